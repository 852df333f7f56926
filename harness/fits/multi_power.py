"""The multi-power law: the loss of a run as a function of its learning rates.

Evaluated exactly for given parameters; `multi_power_fit` finds the parameters,
`multi_power_terms` is the faster sum that it uses.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats

DELTA: Final = 1e-3
"""Where the authors' Huber loss of ln L turns from quadratic to linear."""
RATE_FLOOR: Final = 1e-30
"""A rate below this share of the schedule's peak counts as this share in rate^-gamma,
so that a schedule may touch 0; sums of rates are not touched. At the floor the drop
has all but come to its end, as it does in the limit."""


class MultiPower(NamedTuple):
    """Parameters of the law, in the authors' order; rates enter as they are."""

    l0: float
    """Loss after infinitely much training, nat."""
    a: float
    """Loss above `l0` at a sum of rates of 1, nat."""
    alpha: float
    """Exponent of the sum of rates, > 0."""
    b: float
    """Loss drop per unit of rate given up, nat."""
    c: float
    """Speed of the drop, in units of rate^(gamma - 1)."""
    beta: float
    """Exponent of the drop, > 0."""
    gamma: float
    """Exponent of the rate after a change, usually in (0, 1)."""


def multi_power_law(law: MultiPower, rates: npt.ArrayLike, at: npt.ArrayLike) -> Floats:
    """Return the loss `[n]` in nat after `at` updates with the given rates.

    L(t) = l0 + a S(t)^-alpha - LD(t), where S(t) = eta_1 + ... + eta_t, warm-up
    included (the paper writes S_1 + S_W), and LD is `loss_drop`. Without a change of
    the rate LD is exactly 0. Luo et al., arXiv 2503.12811, eq. 1 and 6.

    Cost: that of `loss_drop`, and n sums of at most T numbers.

    Args:
        law: Parameters.
        rates: `[T]`, learning rates of the updates 1 .. T.
        at: `[n]`, updates completed, 1 .. T, in any order. In the authors' files the
            first rate is 0, so their step s is the point s + 1.

    Raises:
        ValueError: The rates or points are unusable.

    Example:
        >>> law = MultiPower(2.0, 1.0, 0.5, 1.0, 1.0, 1.0, 0.0)
        >>> multi_power_law(law, [1.0, 1.0, 1.0, 1.0], [1, 4]).tolist()
        [3.0, 2.5]
        >>> multi_power_law(law, [3.0, 1.0], [2]).tolist()  # 2 + 1 / 2 - 2 (1 - 1/2)
        [1.5]
    """
    rates, at = checked_schedule(rates, at)
    return law.l0 + law.a * sums(rates, at) ** -law.alpha - loss_drop(law, rates, at)


def loss_drop(law: MultiPower, rates: npt.ArrayLike, at: npt.ArrayLike) -> Floats:
    """Return what the changes of the rate have taken off the loss, `[n]` in nat.

    LD(t) = b sum_(1<k<=t) (eta_(k-1) - eta_k) [1 - (1 + c eta_k^-gamma S_k(t))^-beta]
    with S_k(t) = eta_k + ... + eta_t. It is negative after a rise of the rate, so a
    warm-up adds about b times the peak to the loss. A rate of 0 is raised to
    `RATE_FLOOR` times the peak in eta_k^-gamma. Exact up to rounding. Luo et al.,
    arXiv 2503.12811, eq. 6.

    Cost: n x (number of changes of the rate before the point) powers and n x T
    additions: 171 points of a cosine over 24,000 updates take about 0.1 s. Extra
    memory: a few arrays of T numbers, whatever n.

    Raises:
        ValueError: The rates or points are unusable.

    Example:
        >>> law = MultiPower(2.0, 1.0, 0.5, 1.0, 1.0, 1.0, 0.0)
        >>> loss_drop(law, [3.0, 1.0, 1.0], [1, 2, 3]).round(6).tolist()
        [0.0, 1.0, 1.333333]
    """
    rates, at = checked_schedule(rates, at)
    fall = -np.diff(rates)
    changes = np.flatnonzero(fall)  # the rate of index changes + 1 is another
    fall = fall[changes]
    with np.errstate(over="ignore"):
        scale = law.c * floored(rates)[changes + 1] ** -law.gamma
    scale = np.minimum(scale, 1e300)  # times a sum of 0 it must stay 0
    drop = np.zeros(len(at))
    for i, t in enumerate(at):
        num_seen = int(np.searchsorted(changes, t - 1))
        # Adding backwards from the point keeps the smallest sums exact.
        tail = np.cumsum(rates[t - 1 :: -1])[t - 2 - changes[:num_seen]]
        gone = -np.expm1(-law.beta * np.log1p(scale[:num_seen] * tail))
        drop[i] = law.b * (fall[:num_seen] * gone).sum()
    return drop


def checked_schedule(
    rates: npt.ArrayLike, at: npt.ArrayLike
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return rates `[T]` and points `[n]` as arrays that the law is defined for.

    Raises:
        ValueError: The rates are not one-dimensional, finite and >= 0; a point is not
            a whole number of updates in 1 .. T; or all rates up to a point are 0.
    """
    rates = np.asarray(rates, dtype=np.float64)
    points = np.asarray(at)
    if rates.ndim != 1 or not np.isfinite(rates).all() or (rates < 0).any():
        raise ValueError(f"rates must be [T], finite and >= 0, got {rates!r}")
    if points.ndim != 1 or not (points == np.floor(points)).all():
        raise ValueError(f"points must be [n] whole numbers of updates, got {at!r}")
    if points.size and (points.min() < 1 or points.max() > len(rates)):
        raise ValueError(
            f"points must lie in 1 .. {len(rates)}, the updates that have a rate, got "
            f"{points.min()} .. {points.max()}"
        )
    if points.size and not rates[: int(points.min())].any():
        raise ValueError(
            f"the law has no value before the first rate above 0, but update "
            f"{int(points.min())} is asked for; leave such points out"
        )
    return rates, points.astype(np.int64)


def sums(rates: Floats, at: npt.NDArray[np.int64]) -> Floats:
    """Return the sum of the first `at` rates, `[n]`, to the last digits."""
    # numpy adds pairwise within a sum but one by one in a cumulative sum.
    return np.array([rates[:t].sum() for t in at], dtype=np.float64)


def floored(rates: Floats) -> Floats:
    """Return the rates, none below `RATE_FLOOR` times their largest."""
    high: Floats = np.maximum(rates, RATE_FLOOR * rates.max(initial=0.0))
    return high


class CurveErrors(NamedTuple):
    """How far a predicted curve is off, as in the tables of arXiv 2503.12811."""

    r2: float
    """1 - sum of squared errors / sum of squares about the mean, <= 1."""
    mae: float
    """Mean absolute error, nat."""
    rmse: float
    """Root of the mean squared error, nat."""
    pred_e: float
    """Mean absolute error as a share of the loss."""
    worst_e: float
    """Largest absolute error as a share of the loss."""


def curve_errors(loss: Floats, predicted: Floats) -> CurveErrors:
    """Return the errors of a prediction `[n]` of a loss curve `[n]`.

    Of several curves the authors report the mean of each of the five.

    Raises:
        ValueError: The shapes differ or there is no point.

    Example:
        >>> curve_errors(np.array([2.0, 4.0]), np.array([2.0, 3.0])).mae
        0.5
    """
    loss, predicted = np.asarray(loss), np.asarray(predicted)
    if loss.shape != predicted.shape or loss.ndim != 1 or not len(loss):
        raise ValueError(
            f"loss and prediction must be [n] with n > 0, got {loss.shape} and "
            f"{predicted.shape}"
        )
    off = np.abs(loss - predicted)
    spread = float(((loss - loss.mean()) ** 2).sum())
    return CurveErrors(
        r2=1 - float((off**2).sum()) / spread if spread > 0 else float("nan"),
        mae=float(off.mean()),
        rmse=float(np.sqrt((off**2).mean())),
        pred_e=float((off / loss).mean()),
        worst_e=float((off / loss).max()),
    )
