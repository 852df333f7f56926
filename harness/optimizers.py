"""Optimizers that update a whole cohort: S runs as one flat tensor [S, P].

Every hyper-parameter is a number or a column [S, 1], one value a run. All operations
are elementwise along the row, so a run's update does not depend on its neighbours.
A run whose scale is 0 keeps its parameters bit for bit, whatever its state holds: its
update is cleared before it is taken, as 0 * inf would be NaN. On a CPU that pass is
made only if a run is frozen; with `static` nobody asks, for that would stall a GPU.
"""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from harness.registry import OPTIMIZERS

Column: TypeAlias = float | Tensor
"""One number for all runs, or one a run: `[S, 1]`."""


class Optimizer:
    """What optimizers share.

    Attributes:
        static: Whether `step` must not ask the device for a value.
    """

    static = False

    def _descend(self, params: Tensor, update: Tensor, lr: Tensor) -> None:
        """Subtract lr * `update`, which is overwritten where lr is 0."""
        frozen = lr == 0
        if self.static or update.device.type != "cpu" or bool(frozen.any()):
            update.masked_fill_(frozen, 0.0)
        params.addcmul_(update, -lr)


@OPTIMIZERS.register("sgd")
class SGD(Optimizer):
    """Stochastic gradient descent with (Nesterov) momentum and an L2 penalty.

    Formula: d = g + l2 * p; b = momentum * b + d; u = d + momentum * b (Nesterov) or
    b; p = p - lr * scale * u. The buffer b starts at 0, which equals a start at d.
    Without damping, as in Sutskever et al. 2013 (On the importance of initialization
    and momentum in deep learning), in the form of torch.optim.SGD.

    Args:
        params: `[S, P]`, updated in place.
        lr: Peak learning rate, at least 0.
        momentum: In [0, 1).
        nesterov: Whether to look ahead; the same for all runs.
        l2: Added to the gradient as l2 * p, so it is scaled by lr and passes through
            the momentum; at least 0.

    Raises:
        ValueError: A hyper-parameter is out of range or a column is not `[S, 1]`.
    """

    def __init__(
        self,
        params: Tensor,
        *,
        lr: Column,
        momentum: Column = 0.9,
        nesterov: bool = True,
        l2: Column = 0.0,
    ) -> None:
        self._params = params
        self._lr = _column("lr", lr, params)
        self._momentum = _column("momentum", momentum, params, below=1.0)
        self._nesterov = nesterov
        self._l2 = _unless_zero(_column("l2", l2, params))
        self._buffer = torch.zeros_like(params)
        self._scratch = torch.empty_like(params)

    @torch.no_grad()
    def step(self, grads: Tensor, scale: Tensor) -> None:
        """Update the parameters with `grads` `[S, P]` at lr * `scale` `[S, 1]`."""
        params, buffer, update = self._params, self._buffer, self._scratch
        if self._l2 is not None:
            grads = torch.addcmul(grads, params, self._l2, out=update)
        torch.addcmul(grads, buffer, self._momentum, out=buffer)
        if self._nesterov:
            torch.addcmul(grads, buffer, self._momentum, out=update)
        else:
            update.copy_(buffer)
        self._descend(params, update, self._lr * scale)

    def state(self) -> dict[str, Tensor]:
        """Return the live state, each tensor with runs as rows."""
        return {"momentum": self._buffer}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copy `state`, as `state()` returned it, into this optimizer."""
        _load(self.state(), state)


@OPTIMIZERS.register("adam")
class Adam(Optimizer):
    """Adam with an L2 penalty in the gradient.

    Formula (Kingma and Ba, arXiv 1412.6980, algorithm 1): d = g + l2 * p;
    m = beta1 * m + (1 - beta1) * d; v = beta2 * v + (1 - beta2) * d^2;
    p = p - lr * scale * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
    Kept are M = m / (1 - beta1) and V = v / (1 - beta2), whose recursions take one
    multiply-add an element; the constants move into columns. beta^t is kept as a
    float64 column on the device, so that no step count is read by the host.

    Args:
        params: `[S, P]`, updated in place.
        lr: Peak learning rate, at least 0.
        beta1: Decay of the mean gradient a step, in [0, 1).
        beta2: Decay of the mean squared gradient a step, in [0, 1).
        eps: Added to the root of the mean square, at least 0.
        l2: Added to the gradient as l2 * p, so it is divided by the root as well;
            at least 0.

    Raises:
        ValueError: A hyper-parameter is out of range or a column is not `[S, 1]`.
    """

    def __init__(
        self,
        params: Tensor,
        *,
        lr: Column,
        beta1: Column = 0.9,
        beta2: Column = 0.999,
        eps: Column = 1e-8,
        l2: Column = 0.0,
    ) -> None:
        self._params = params
        self._lr = _column("lr", lr, params)
        self._beta1 = _column("beta1", beta1, params, below=1.0)
        self._beta2 = _column("beta2", beta2, params, below=1.0)
        self._eps = _column("eps", eps, params).double()
        self._l2 = _unless_zero(_column("l2", l2, params))
        self._first, self._second = torch.zeros_like(params), torch.zeros_like(params)
        self._scratch = torch.empty_like(params)
        self._power1 = torch.ones_like(self._eps)
        self._power2 = torch.ones_like(self._eps)

    @torch.no_grad()
    def step(self, grads: Tensor, scale: Tensor) -> None:
        """Update the parameters with `grads` `[S, P]` at lr * `scale` `[S, 1]`."""
        first, second, scratch = self._first, self._second, self._scratch
        if self._l2 is not None:
            grads = torch.addcmul(grads, self._params, self._l2, out=scratch)
        torch.addcmul(grads, first, self._beta1, out=first)
        torch.mul(grads, grads, out=scratch)
        torch.addcmul(scratch, second, self._beta2, out=second)
        lr, eps = self._corrected(self._lr * scale)
        torch.sqrt(second, out=scratch).add_(eps)
        torch.div(first, scratch, out=scratch)
        self._descend(self._params, scratch, lr)

    def _corrected(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Count one step; return lr and eps that make M / (sqrt(V) + eps) exact."""
        beta1, beta2 = self._beta1.double(), self._beta2.double()
        self._power1.mul_(beta1)
        self._power2.mul_(beta2)
        root = torch.sqrt((1 - beta2) / (1 - self._power2))
        lr64 = lr.double() * (1 - beta1) / (1 - self._power1) / root
        return lr64.to(lr.dtype), (self._eps / root).to(lr.dtype)

    def state(self) -> dict[str, Tensor]:
        """Return the live state, each tensor with runs as rows."""
        return {
            "first": self._first,
            "second": self._second,
            "beta1_power": self._power1,
            "beta2_power": self._power2,
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copy `state`, as `state()` returned it, into this optimizer."""
        _load(self.state(), state)


@OPTIMIZERS.register("adamw")
class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Formula (Loshchilov and Hutter, arXiv 1711.05101, in the form of
    torch.optim.AdamW): p = p * (1 - lr * scale * weight_decay), then Adam's step.

    Args:
        params: `[S, P]`, updated in place.
        lr: Peak learning rate, at least 0.
        beta1: Decay of the mean gradient a step, in [0, 1).
        beta2: Decay of the mean squared gradient a step, in [0, 1).
        eps: Added to the root of the mean square, at least 0.
        weight_decay: Multiplied by the learning rate in force; at least 0.

    Raises:
        ValueError: A hyper-parameter is out of range or a column is not `[S, 1]`.
    """

    def __init__(
        self,
        params: Tensor,
        *,
        lr: Column,
        beta1: Column = 0.9,
        beta2: Column = 0.999,
        eps: Column = 1e-8,
        weight_decay: Column = 0.0,
    ) -> None:
        self._params = params
        self._adam = Adam(params, lr=lr, beta1=beta1, beta2=beta2, eps=eps)
        self._lr = _column("lr", lr, params)
        self._decay = _unless_zero(_column("weight_decay", weight_decay, params))

    @torch.no_grad()
    def step(self, grads: Tensor, scale: Tensor) -> None:
        """Update the parameters with `grads` `[S, P]` at lr * `scale` `[S, 1]`."""
        _shrink(self._params, self._decay, self._lr * scale)
        self._adam.static = self.static
        self._adam.step(grads, scale)

    def state(self) -> dict[str, Tensor]:
        """Return the live state, each tensor with runs as rows."""
        return self._adam.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copy `state`, as `state()` returned it, into this optimizer."""
        self._adam.load_state(state)


@OPTIMIZERS.register("lion")
class Lion(Optimizer):
    """Lion: sign of an interpolated momentum, with decoupled weight decay.

    Formula (Chen et al., arXiv 2302.06675, algorithm 2):
    p = p * (1 - lr * scale * weight_decay);
    p = p - lr * scale * sign(beta1 * m + (1 - beta1) * g);
    m = beta2 * m + (1 - beta2) * g.

    Args:
        params: `[S, P]`, updated in place.
        lr: Peak learning rate, at least 0; every parameter moves by it.
        beta1: Weight of the momentum in the direction, in [0, 1).
        beta2: Decay of the momentum a step, in [0, 1).
        weight_decay: Multiplied by the learning rate in force; at least 0.

    Raises:
        ValueError: A hyper-parameter is out of range or a column is not `[S, 1]`.
    """

    def __init__(
        self,
        params: Tensor,
        *,
        lr: Column,
        beta1: Column = 0.9,
        beta2: Column = 0.99,
        weight_decay: Column = 0.0,
    ) -> None:
        self._params = params
        self._lr = _column("lr", lr, params)
        self._new1 = 1 - _column("beta1", beta1, params, below=1.0)
        self._new2 = 1 - _column("beta2", beta2, params, below=1.0)
        self._decay = _unless_zero(_column("weight_decay", weight_decay, params))
        self._momentum = torch.zeros_like(params)
        self._scratch = torch.empty_like(params)

    @torch.no_grad()
    def step(self, grads: Tensor, scale: Tensor) -> None:
        """Update the parameters with `grads` `[S, P]` at lr * `scale` `[S, 1]`."""
        lr = self._lr * scale
        _shrink(self._params, self._decay, lr)
        torch.lerp(self._momentum, grads, self._new1, out=self._scratch).sign_()
        self._descend(self._params, self._scratch, lr)
        self._momentum.lerp_(grads, self._new2)

    def state(self) -> dict[str, Tensor]:
        """Return the live state, each tensor with runs as rows."""
        return {"momentum": self._momentum}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copy `state`, as `state()` returned it, into this optimizer."""
        _load(self.state(), state)


def _column(
    name: str, value: Column, params: Tensor, *, below: float = float("inf")
) -> Tensor:
    """Return `value` as `[S, 1]` of the type of `params`: a number equals a column."""
    shape = (len(params), 1)
    if isinstance(value, Tensor):
        if value.shape != shape:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}, expected a number or {shape}"
            )
        column = value.to(params)
    else:
        column = torch.full(shape, float(value)).to(params)
    if not bool(((column >= 0) & (column < below)).all()):
        raise ValueError(
            f"{name} is {column.flatten().tolist()}, expected at least 0 "
            f"and below {below}"
        )
    return column


def _unless_zero(column: Tensor) -> Tensor | None:
    """Return None where no run needs the column, which saves a pass over `[S, P]`."""
    return column if bool(column.any()) else None


def _shrink(params: Tensor, decay: Tensor | None, lr: Tensor) -> None:
    """Multiply `params` by 1 - lr * decay; exactly 1 where lr is 0."""
    if decay is not None:
        params.mul_(1 - lr * decay)


def _load(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    expected = {name: tuple(value.shape) for name, value in own.items()}
    got = {name: tuple(value.shape) for name, value in given.items()}
    if got != expected:
        raise ValueError(f"the optimizer state is {got}, expected {expected}")
    for name, value in own.items():
        value.copy_(given[name])
