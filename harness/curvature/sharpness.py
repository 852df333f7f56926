"""s_eps: how much the loss can rise within a ball around the parameters."""

from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor

from harness.curvature.vectors import Draw, dot, host, norm, unit
from harness.reading import Reading, reading

STEPS: Final = 20
STARTS: Final = 3


class Sharpness(NamedTuple):
    """Rises of the loss in the ball, in the loss's unit."""

    rise: Reading
    """s_eps, the largest rise that was found."""
    one_step: Reading
    """The rise after one step of length eps along the gradient, as SAM takes it."""


def sharpness(
    loss_at: Callable[[Tensor], Tensor],
    gradient_at: Callable[[Tensor], Tensor],
    draw: Draw,
    radius: float,
    *,
    steps: int = STEPS,
    starts: int = STARTS,
) -> Sharpness:
    """Return s_eps = max over ||delta|| <= eps of L(theta + delta) - L(theta).

    Projected gradient ascent: delta <- P(delta + a g / ||g||), P onto the ball. The
    first start is the centre, whose first step is SAM's; the others lie on the sphere.
    A step a is twice the radius, which on the sphere is nearly a power iteration, and
    is halved whenever the gradient turns against the one before, as it does around a
    maximum inside the ball.

    Range: >= 0. It is a lower bound: other maxima may be higher, and 20 steps may be
    too few: at a minimum with lambda_2 / lambda_1 = .9 they miss up to 2 %. A one-step
    rise is no such maximum and may be negative; it is 0 where the gradient is. Not
    invariant to a change of parameters that leaves the function alone.

    Cost: starts * steps gradients and starts + 2 losses.
    Source: Keskar et al. 2017, arXiv 1609.04836 (there in a box); one step: Foret et
    al. 2021, arXiv 2010.01412, eq. 2.

    Args:
        loss_at: Loss `[S]` at the parameters plus `[S, P]`.
        gradient_at: Its gradient `[S, P]` there.
        draw: Random directions of the other starts, by index.
        radius: eps, in the parameters' unit.
        steps: Gradients a start.
        starts: At least 1.

    Raises:
        ValueError: The radius is not positive, or no step or start is asked for.

    Example:
        L = sum of lambda_i x_i^2 / 2, lambda = (10, 1, .1), at its minimum with
        eps = .1: eps^2 lambda_1 / 2 = .05. With a gradient (.05, .2, -.1): .057584,
        of which one step finds .029199.
    """
    if not (radius > 0 and steps >= 1 and starts >= 1):
        raise ValueError(
            "radius must be positive, steps and starts at least 1, got "
            f"{radius}, {steps} and {starts}"
        )
    centre = torch.zeros_like(draw(0))
    base = loss_at(centre).double()
    gradient = gradient_at(centre)
    first = radius * _direction(gradient)
    one_step = loss_at(first).double() - base
    # At a minimum the centre leads nowhere: these runs start at random.
    lost = norm(gradient)[:, None] == 0
    ends = [torch.where(lost, radius * _direction(draw(0)), first)]
    ends += [radius * _direction(draw(index)) for index in range(1, starts)]
    rise = torch.zeros_like(base)
    for index, end in enumerate(ends):
        end = _ascend(gradient_at, end, radius, steps - (index == 0))
        rise = torch.maximum(rise, loss_at(end).double() - base)
    return Sharpness(reading(host(rise)), reading(host(one_step)))


def _ascend(
    gradient_at: Callable[[Tensor], Tensor], delta: Tensor, radius: float, steps: int
) -> Tensor:
    """Return where `steps` projected steps from `delta [S, P]` lead."""
    length = delta.new_full((len(delta), 1), 2 * radius)
    before = torch.zeros_like(delta)
    for _ in range(steps):
        uphill = _direction(gradient_at(delta))
        length = torch.where(dot(uphill, before)[:, None] < 0, length / 2, length)
        delta = _into_ball(delta + length * uphill, radius)
        before = uphill
    return delta


def _direction(rows: Tensor) -> Tensor:
    return unit(rows, norm(rows)).to(rows.dtype)


def _into_ball(rows: Tensor, radius: float) -> Tensor:
    length = norm(rows)[:, None]
    return torch.where(length > radius, rows * (radius / length), rows).to(rows.dtype)
