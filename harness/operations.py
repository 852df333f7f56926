"""What a model must at least compute and write, counted once and on any machine.

Counted are matrix products and convolutions, 2 floating-point operations a
multiply-add; what is computed element by element is bounded by memory, for which
`activation_elements` gives the floor. Padding to the width of a vector does not count.
"""

import math
from functools import cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from harness.cohort import is_stacked
from harness.models.layers import ALIGNED, Linear
from harness.registry import MODELS
from harness.spec import Part

STACKED_BATCH: Final = 2 * ALIGNED
"""Images counted of a stacked model: a multiple to which its rows need no padding."""
ORDINARY_BATCH: Final = 2
"""Images counted of an ordinary model: the fewest that can be normalised."""
CPU: Final = torch.device("cpu")


def training_flops(
    model: Part,
    in_shape: tuple[int, ...],
    num_classes: int,
    device: torch.device = CPU,
) -> float:
    """Return the floating-point operations of training on one image, in one run.

    Formula: the forward product of a layer, its gradient by the weights and, but for
    the first layer, its gradient by the inputs: each as many operations as the first.
    Optimizer, augmentation and loss are not counted. Attention is counted by its
    definition, without what fused kernels compute twice.

    Range: more than 0, nearly 3 times `scoring_flops`. Undefined (0) for a model of
    operations that `torch.utils.flop_counter` does not know, such as foreign kernels.

    Cost: a forward and backward pass of 2 images, 32 of a stacked model, once a
    process.

    Args:
        model: A registered model, or `module:attribute`.
        in_shape: Shape of one input, (C, H, W) or (2,).
        num_classes: K.
        device: Where to count; the count is the same, but a model of foreign kernels
            may run on one kind of device only.

    Example:
        A perceptron 64-64-10: 2 * (3 * (64 * 64 + 64 * 10) - 64 * 64) = 20,224.
    """
    return _count(model, in_shape, num_classes, device).training


def scoring_flops(
    model: Part,
    in_shape: tuple[int, ...],
    num_classes: int,
    device: torch.device = CPU,
) -> float:
    """Return the floating-point operations of a forward pass of one image, in one run.

    Arguments and cost are those of `training_flops`.

    Example:
        A perceptron 64-64-10: 2 * (64 * 64 + 64 * 10) = 9,472.
    """
    return _count(model, in_shape, num_classes, device).forward


def activation_elements(
    model: Part,
    in_shape: tuple[int, ...],
    num_classes: int,
    device: torch.device = CPU,
) -> float:
    """Return the numbers an image that convolutions and linear layers put out.

    The logits are left out, as nothing keeps them. Times bytes an element this is the
    memory traffic of a training step: 18 if every other operation is fused into its
    neighbours, 28 as a compiler fuses, 44 without (two-byte activations, normalisation
    after every convolution). Arguments and cost are those of `training_flops`.

    Example:
        A perceptron 64-64-10: 64; ResNet-18 of a 32 x 32 image: 614,400.
    """
    return _count(model, in_shape, num_classes, device).elements


class _Counts(NamedTuple):
    """Per image."""

    forward: float
    training: float
    elements: float


@cache
def _count(
    model: Part, in_shape: tuple[int, ...], num_classes: int, device: torch.device
) -> _Counts:
    stacked = is_stacked(model)
    lead = (1,) if stacked else ()
    images = STACKED_BATCH if stacked else ORDINARY_BATCH
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), sdpa_kernel(SDPBackend.MATH):
        factory = MODELS.get(model.name)
        net: nn.Module = factory(*lead, in_shape, num_classes, **model.params)
        layers = _Layers(net.to(device).train(), device)
        inputs = torch.zeros(*lead, images, *in_shape, device=device)
        with _Products() as products:
            logits: Tensor = net(inputs)
            forward = products.flops
            torch.autograd.grad(logits.sum(), list(net.parameters()))
    return _Counts(
        (forward - layers.forward_padding) / images,
        (products.flops - layers.training_padding) / images,
        (layers.elements - logits.numel()) / images,
    )


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the operations of all products computed meanwhile.

    Unlike `FlopCounterMode`, whose formulas it uses, it does not load the compiler,
    which takes seconds: longer than some cohorts train.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(getattr(func, "overloadpacket", func))
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


class _Layers:
    """Watches the layers of a network: what they put out, and what was padding."""

    def __init__(self, net: nn.Module, device: torch.device) -> None:
        self.elements = 0
        self.forward_padding = 0
        self.training_padding = 0
        for module in net.modules():
            if isinstance(module, Linear):
                module.register_forward_hook(self._padded)
            if isinstance(module, (Linear, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
                module.register_forward_hook(self._put_out)
            if hasattr(module, "generators"):
                module.generators = [torch.Generator(device)]  # type: ignore[assignment]

    def _put_out(self, layer: nn.Module, args: tuple[Tensor], out: Tensor) -> None:
        self.elements += out.numel()

    def _padded(self, layer: Linear, args: tuple[Tensor], out: Tensor) -> None:
        """Take note of what `Linear.forward` adds to its operands."""
        (x,) = args
        runs, fan_in, fan_out = layer.weight.shape
        wide_in, wide_out = max(fan_in, 2), math.ceil(fan_out / ALIGNED) * ALIGNED
        spare = 2 * runs * x.shape[1] * (wide_in * wide_out - fan_in * fan_out)
        self.forward_padding += spare
        self.training_padding += spare * (2 + x.requires_grad)
