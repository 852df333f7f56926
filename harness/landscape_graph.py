"""One module of a cohort as a pure function of its parameters, and its graphs.

`harness.landscape` sums these over modules and micro-batches of images.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.layout import FlatLayout
from harness.linear_rows import LinearRows, has_linear_rows, linear_rows


class FrozenNet:
    """A module of one run, or of all, with copies of its parameters and buffers.

    The copies begin on a boundary of memory whatever the cohort: kernels choose their
    order of summation by the address of an operand. They stay where they are when
    `load` renews them, and keep the order in memory that the cohort's have.

    Attributes:
        rows: The s runs that the module computes, of all S of the cohort.
        leaves: The parameters; they require a gradient.
    """

    def __init__(
        self,
        module: nn.Module,
        rows: slice,
        params: Tensor,
        layout: FlatLayout,
        *,
        stacked: bool,
        dtype: torch.dtype,
        autocast: bool,
    ) -> None:
        self._module, self._stacked, self._autocast = module, stacked, autocast
        self._names = [name for name, _ in module.named_parameters()]
        self._layout = layout
        self.rows, self.dtype = rows, dtype
        self._buffers = {
            name: b.detach().to(dtype if b.is_floating_point() else b.dtype, copy=True)
            for name, b in module.named_buffers()
        }
        self.leaves = [piece.requires_grad_() for piece in self.cut(params)]

    def load(self, params: Tensor) -> None:
        """Copy the module's parameters, of `params [S, P]`, and buffers again."""
        views = self._layout.views(params.detach()[self.rows])
        with torch.no_grad():
            # By `data`: a recording that reads the copies is to see the new values.
            for leaf, view in zip(self.leaves, views, strict=True):
                leaf.data.copy_(view)
            for name, buffer in self._module.named_buffers():
                self._buffers[name].data.copy_(buffer)

    def cut(self, flat: Tensor) -> list[Tensor]:
        """Return copies of this module's part of `flat [S, P]`, shaped as `leaves`."""
        views = self._layout.views(flat.detach()[self.rows])
        return [view.to(self.dtype, copy=True) for view in views]

    def moved(self, delta: Tensor) -> list[Tensor]:
        """Return new leaves at the parameters plus `delta [S, P]`."""
        pieces = zip(self.leaves, self.cut(delta), strict=True)
        return [(leaf.detach() + piece).requires_grad_() for leaf, piece in pieces]

    def join(self, pieces: Sequence[Tensor]) -> Tensor:
        """Return tensors shaped as `leaves` as `[s, P]`, without their graph."""
        return self._layout.join([piece.detach() for piece in pieces])

    def losses(
        self, leaves: Sequence[Tensor], images: Tensor, labels: Tensor
    ) -> Tensor:
        """Return the cross-entropy of every run on every image, float64 `[s, B]`.

        Args:
            leaves: Parameters, shaped as `self.leaves`.
            images: `[B, ...]`, the same for every run.
            labels: int64 `[B]`.
        """
        state = (dict(zip(self._names, leaves, strict=True)), self._buffers)
        images = images.to(self.dtype)
        if self._stacked:
            images = images.expand(self.rows.stop, *images.shape)
        with (
            _evaluation_mode(self._module),
            sdpa_kernel(SDPBackend.MATH),  # fused kernels have no second derivative
            torch.autocast(labels.device.type, torch.bfloat16, enabled=self._autocast),
        ):
            logits = functional_call(self._module, state, (images,))
        log_p = F.log_softmax(logits.double(), -1)
        log_p = log_p if self._stacked else log_p[None]
        truth = labels[None, :, None].expand(len(log_p), -1, 1)
        return -log_p.gather(2, truth)[..., 0]

    def mean_gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the gradients of c micro-batches `[c, B, ...]`, as `[s, c, P]`.

        All in one go: the gradients of a convolution's weights are grouped convolutions
        then, which are slow on a GPU.
        """

        def loss(leaves: list[Tensor], images: Tensor, labels: Tensor) -> Tensor:
            return self.losses(leaves, images, labels).mean(1).sum()

        def gradient(leaves: list[Tensor], images: Tensor, labels: Tensor) -> Tensor:
            return self._layout.join(grad(loss)(leaves, images, labels))

        leaves = [leaf.detach() for leaf in self.leaves]
        rows = vmap(gradient, in_dims=(None, 0, 0))(leaves, images, labels)
        return rows.transpose(0, 1)

    def mean_gradient(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the gradient of one micro-batch `[B, ...]`, as `[s, P]`."""
        # Leaves of its own: where those of kept graphs are, autograd's streams meet.
        leaves = [leaf.detach().requires_grad_() for leaf in self.leaves]
        with torch.enable_grad():
            loss = self.losses(leaves, images, labels).mean(1).sum()
        pieces = torch.autograd.grad(loss, leaves, materialize_grads=True)
        return self.join(pieces)

    @property
    def is_linear(self) -> bool:
        """Whether `linear_rows` may be asked for."""
        return self._stacked and has_linear_rows(self._module)

    def linear_rows(self, images: Tensor, labels: Tensor) -> list[LinearRows] | None:
        """Return what every linear layer sees of images `[B, ...]`, or None."""
        return linear_rows(
            self._module, lambda: self.losses(self.leaves, images, labels), len(labels)
        )


class Graph(NamedTuple):
    """The graph of one micro-batch's gradient, from which products are drawn."""

    losses: Tensor
    """float64 `[s, B]`."""
    weights: Tensor
    """Ones `[s, B]` by which the losses are multiplied in the gradient."""
    grads: list[Tensor]
    """Gradient of the weighted sum of losses, shaped as the leaves."""


def gradient_graph(net: FrozenNet, images: Tensor, labels: Tensor) -> Graph:
    """Return the graph of the gradient of the sum of losses of images `[B, ...]`."""
    with torch.enable_grad():
        losses = net.losses(net.leaves, images, labels)
        weights = torch.ones_like(losses, requires_grad=True)
        grads = torch.autograd.grad(
            (weights * losses).sum(),
            net.leaves,
            create_graph=True,
            materialize_grads=True,
        )
    return Graph(losses, weights, list(grads))


def derivative(
    outputs: Sequence[Tensor],
    leaves: Sequence[Tensor],
    along: Sequence[Tensor],
    *,
    retain: bool,
) -> Sequence[Tensor]:
    """Return the derivative of sum of <outputs, along> by each of `leaves`."""
    # A gradient that nothing depends on, such as an unused parameter's, has no graph.
    pairs = [(o, a) for o, a in zip(outputs, along, strict=True) if o.requires_grad]
    return torch.autograd.grad(
        [output for output, _ in pairs],
        leaves,
        [direction for _, direction in pairs],
        retain_graph=retain,
        materialize_grads=True,
    )


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Clear every training flag for a while, then give each its own value back.

    Flags are set one by one: `nn.Module.eval` may be overridden to do more.
    """
    flags = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in flags:
            part.training = False
        yield
    finally:
        for part, flag in flags:
            part.training = flag
