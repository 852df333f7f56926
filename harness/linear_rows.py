"""What stacked linear layers see of images: enough for the gradient of every image.

`harness.landscape` gives these rows for a module that consists of such layers;
`harness.noise.linear_moments` reads them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from harness.models.layers import Linear


class LinearRows(NamedTuple):
    """What one linear layer sees of B images for s runs; each image is k rows.

    The gradient of run r's loss of image i is inputs[r, i]^T grads[r, i] by the weight,
    and the sum of grads[r, i] over its k rows by the bias.
    """

    weight: str
    """Name of the parameter `[s, in, out]`."""
    bias: str | None
    """Name of the parameter `[s, out]`, if there is one."""
    inputs: Tensor
    """`[s, B, k, in]`; of stride 0 over runs where they are the same for all."""
    grads: Tensor
    """Gradients of the sum of all losses by the layer's outputs, `[s, B, k, out]`."""


class _Sight(NamedTuple):
    inputs: Tensor
    """`[s, R, in]`"""
    output: GradientEdge
    """Where the gradients by the outputs arrive."""


def has_linear_rows(module: nn.Module) -> bool:
    """Tell whether all parameters of a stacked module are its linear layers'.

    Then the gradients of single images follow from one backward pass. The module must
    use a parameter only by calling its layer, and keep the rows of an image together,
    one image after the other, padded to a multiple of `module.granule` images
    (`harness.models.layers.enter`).
    """
    named = [name for name, _ in module.named_parameters(remove_duplicate=False)]
    ours = [name for pair in _names(module).values() for name in pair if name]
    tied = len(named) > len(list(module.parameters()))
    return ours == named and not tied and _granule(module) > 0


def linear_rows(
    module: nn.Module, losses: Callable[[], Tensor], num_images: int
) -> list[LinearRows] | None:
    """Return the rows of every linear layer, in the order of the parameters.

    Cost: a forward pass, and the part of a backward pass that leads to the layers.

    Args:
        module: One for which `has_linear_rows`.
        losses: Runs the module forward on `num_images` images and returns their losses.
        num_images: B.

    Returns:
        None where a layer was not called exactly once, does not matter to the losses,
        or has no whole number of rows an image.
    """
    with torch.enable_grad(), _watched(module) as seen:
        total = losses().sum()
    if any(len(seen.get(layer, ())) != 1 for layer in _names(module)):
        return None
    sights = [seen[layer][0] for layer in _names(module)]
    grads = torch.autograd.grad(
        total, [sight.output for sight in sights], allow_unused=True
    )
    padded = num_images + -num_images % _granule(module)
    found = []
    for names, sight, grad in zip(_names(module).values(), sights, grads, strict=True):
        if grad is None or grad.shape[1] % padded:
            return None
        each = grad.shape[1] // padded
        pair = (
            rows[:, : num_images * each].view(len(rows), num_images, each, -1)
            for rows in (sight.inputs, grad)
        )
        found.append(LinearRows(*names, *pair))
    return found


def _names(module: nn.Module) -> dict[Linear, tuple[str, str | None]]:
    """Return every linear layer with the names of its weight and bias."""
    return {
        layer: (f"{name}.weight", None if layer.bias is None else f"{name}.bias")
        for name, layer in module.named_modules()
        if type(layer) is Linear
    }


def _granule(module: nn.Module) -> int:
    """Return the multiple to which images are padded; 0 if the module does not say."""
    granule = getattr(module, "granule", 0)
    return granule if isinstance(granule, int) else 0


@contextmanager
def _watched(module: nn.Module) -> Iterator[dict[nn.Module, list[_Sight]]]:
    """Note what linear layers are called with, for a while."""
    seen: dict[nn.Module, list[_Sight]] = {}

    def see(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        # An activation in place would cut a view (of padded outputs) off the graph.
        output = output.clone() if output._is_view() else output
        rows = inputs[0].detach().to(output.dtype)  # as autocast multiplies them
        seen.setdefault(layer, []).append(_Sight(rows, get_gradient_edge(output)))
        return output

    handles = []
    try:
        for layer in _names(module):
            handles.append(layer.register_forward_hook(see))
        yield seen
    finally:
        for handle in handles:
            handle.remove()
