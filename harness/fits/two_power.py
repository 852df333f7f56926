"""The multi-power law with the course of its loss drop frozen: what one run allows.

Many runs under one schedule are fitted at once. With all parameters free see
`multi_power_fit`, which begins with this fit.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.fits.huber_lm import HuberFit, Model, Residuals, Rows, fit_huber
from harness.fits.multi_power import DELTA
from harness.fits.multi_power_terms import gather_terms
from harness.measure import DIVERGED, ILL_CONDITIONED, OK, TOO_SHORT, Estimates, Floats

VERSION: Final = "1"
ALPHAS: Final = np.geomspace(0.05, 3.0, 28)
"""Exponents that the search for a start tries."""
BLOCK_ROWS: Final = 2048
"""Curves fitted at a time; bounds the extra memory."""
MIN_POINTS: Final = 6
MAX_LOG_ERROR: Final = 1.0
"""A parameter that is known to less than a factor of e is called ill-conditioned."""


class _Points(NamedTuple):
    """The schedule at the points `[n]` of the curves."""

    at: npt.NDArray[np.int64]
    """Updates completed."""
    rate: Floats
    """Rate of the last of them."""
    sums: Floats
    """Sum of the rates of all of them."""
    drop: Floats | None
    """Loss drop for b = 1; None leaves b out."""


def fit_two_power(
    loss: npt.NDArray[np.floating],
    rates: npt.ArrayLike,
    at: npt.ArrayLike,
    *,
    c: float = 1.0,
    beta: float = 0.5,
    gamma: float = 0.5,
    with_drop: bool = True,
    first: npt.ArrayLike = 1,
    last: npt.ArrayLike | None = None,
) -> Estimates:
    """Fit l0, a, alpha and b of the multi-power law, c, beta and gamma held fixed.

    L(t) = l0 + a S(t)^-alpha - b D(t), with D the `loss_drop` for b = 1, by the least
    Huber loss (delta 1e-3) of ln L. Here a, alpha > 0; l0 and b may have either sign.
    Luo et al., arXiv 2503.12811; "two power laws" of the sum of rates, not of t.

    Standard errors take residuals for independent, so they are too small for a curve
    whose residuals are not.

    Status: "too_short" with fewer than 6 points in the window; "diverged" if one of
    them is not finite and positive; "ill_conditioned" if the fit did not converge, or
    if the data fix a, alpha or b no better than to a factor of e, or b is asked for
    and the rate is constant in the window: `with_drop=False` is the fit for that.

    Cost: about 25 evaluations of the law a curve, 0.5 ms at 200 points. Extra memory:
    a block of `BLOCK_ROWS` curves.

    Args:
        loss: `[N, n]`, loss in nat, one curve a row.
        rates: `[T]`, learning rates of the updates 1 .. T, shared by the curves.
        at: `[n]`, updates completed at each point.
        c: Speed of the drop; the authors start from 1.
        beta: Exponent of the drop; the authors start from 1/2.
        gamma: Exponent of the rate; the authors start from 1/2.
        with_drop: False leaves b D(t) out and b out of the result.
        first: First update that counts, one number or `[N]`.
        last: Last update that counts, one number or `[N]`; None: the last point.

    Raises:
        ValueError: Shapes do not agree, or the schedule is unusable.

    Example:
        >>> t = np.arange(1, 33)
        >>> fit = fit_two_power(1 + 2 / t[None] ** 0.5, np.ones(32), t, with_drop=False)
        >>> [round(float(fit[name][0]), 6) for name in ("l0", "a", "alpha")]
        [1.0, 2.0, 0.5]
    """
    terms = gather_terms(rates, at)
    updates = np.asarray(at, np.int64)
    loss = np.asarray(loss)
    if loss.ndim != 2 or loss.shape[1] != len(updates) or not len(updates):
        raise ValueError(
            f"loss must be [N, {len(updates)}] with at least one point, got "
            f"{loss.shape}"
        )
    points = _Points(
        at=updates,
        rate=np.asarray(rates, np.float64)[updates - 1],
        sums=terms.sums,
        drop=terms.drop(c, beta, gamma).value if with_drop else None,
    )
    begin = np.broadcast_to(np.asarray(first), len(loss))[:, None]
    end = np.broadcast_to(
        np.asarray(updates.max() if last is None else last), len(loss)
    )[:, None]
    blocks = []
    for i in range(0, max(len(loss), 1), BLOCK_ROWS):
        rows = slice(i, i + BLOCK_ROWS)
        used = (begin[rows] <= updates) & (updates <= end[rows])
        blocks.append(_fit_block(loss[rows].astype(np.float64), used, points))
    values, errors, status, num, window = map(np.concatenate, zip(*blocks, strict=True))
    names = ["l0", "a", "alpha", "b"][: 4 if with_drop else 3]
    units = {"l0": "nat", "a": "nat * rate^alpha", "alpha": "1", "b": "nat / rate"}
    return Estimates(
        estimator="two_power" if with_drop else "two_power_no_drop",
        estimator_version=VERSION,
        params={"c": c, "beta": beta, "gamma": gamma, "delta": DELTA},
        units={name: units[name] for name in names},
        values={name: values[:, i] for i, name in enumerate(names)},
        errors={name: errors[:, i] for i, name in enumerate(names)},
        status=status,
        n=num,
        window=window,
    )


def solve_frozen(
    loss: Floats,
    used: npt.NDArray[np.bool_],
    sums: Floats,
    drop: Floats | None,
) -> HuberFit:
    """Fit l0, ln a, ln alpha and b `[N, 4]` for a given drop per unit of b.

    Args:
        loss: `[N, n]`, positive where used.
        used: `[N, n]`, the points that count.
        sums: `[n]`, sums of the rates up to each point, > 0.
        drop: `[n]`, loss drop for b = 1; None leaves b out, so that p = 3.
    """
    loss = np.where(used, loss, 1.0)
    # A unit of the sum inside the data keeps a and alpha from moving together.
    unit = float(np.exp(np.log(sums).mean()))
    size = 1.0 if drop is None or not drop.any() else float(np.abs(drop).max())
    scaled = None if drop is None else drop / size
    model = _frozen_model(np.log(loss), np.log(sums / unit), scaled)
    start = _start(loss, used, np.log(sums / unit), scaled)
    fit = fit_huber(model, start, used, delta=DELTA)
    theta = fit.theta.copy()
    alpha = np.exp(theta[:, 2])
    # Back to a unit of 1: ln a = ln a' + alpha ln unit, b = b' / size.
    turn = np.broadcast_to(np.eye(theta.shape[1]), fit.covariance.shape).copy()
    turn[:, 1, 2] = alpha * np.log(unit)
    theta[:, 1] += alpha * np.log(unit)
    if drop is not None:
        turn[:, 3, 3] = 1 / size
        theta[:, 3] /= size
    with np.errstate(invalid="ignore"):
        covariance = turn @ fit.covariance @ turn.transpose(0, 2, 1)
    return HuberFit(
        theta=theta, cost=fit.cost, converged=fit.converged, covariance=covariance
    )


def _frozen_model(log_loss: Floats, log_sums: Floats, drop: Floats | None) -> Model:
    """Return ln L(model) - ln L(data) as a function of l0, ln a, ln alpha, b."""

    def residuals(theta: Floats, rows: Rows) -> Residuals:
        alpha = np.exp(theta[:, 2, None])
        power = np.exp(theta[:, 1, None] - alpha * log_sums)
        loss = theta[:, 0, None] + power
        columns = [np.ones_like(power), power, -power * alpha * log_sums]
        if drop is not None:
            loss = loss - theta[:, 3, None] * drop
            columns.append(np.broadcast_to(-drop, loss.shape))
        loss = np.where(loss > 0, loss, np.nan)
        jacobian = np.stack(columns, axis=2) / loss[:, :, None]
        return Residuals(np.log(loss) - log_loss[rows], jacobian)

    return residuals


def _start(
    loss: Floats,
    used: npt.NDArray[np.bool_],
    log_sums: Floats,
    drop: Floats | None,
) -> Floats:
    """Return the best linear fit over the grid of exponents, `[N, p]`."""
    weight = np.where(used, loss**-2, 0.0)
    best = np.full(len(loss), np.inf)
    start = np.zeros((len(loss), 3 if drop is None else 4))
    start[:, 0], start[:, 1], start[:, 2] = np.median(loss, axis=1), -6.0, -0.7
    for alpha in ALPHAS:
        columns = [np.ones_like(log_sums), np.exp(-alpha * log_sums)]
        columns += [] if drop is None else [-drop]
        basis = np.stack(columns)  # [p - 1, n]
        gram = (weight[:, None, :] * basis) @ basis.T
        own = np.einsum("npp->np", gram)
        own += 1e-12 * own + 1e-300
        right = ((weight * loss)[:, None, :] * basis).sum(axis=2)
        linear = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
        fitted = linear @ basis
        rss = (weight * (loss - fitted) ** 2).sum(axis=1)
        usable = (linear[:, 1] > 0) & (np.where(used, fitted, 1.0) > 0).all(axis=1)
        better = usable & (rss < best)
        best[better] = rss[better]
        start[better, 0] = linear[better, 0]
        start[better, 1] = np.log(linear[better, 1])
        start[better, 2] = np.log(alpha)
        if drop is not None:
            start[better, 3] = linear[better, 2]
    return start


def _fit_block(
    loss: Floats, used: npt.NDArray[np.bool_], points: _Points
) -> tuple[Floats, Floats, npt.NDArray[np.str_], npt.NDArray[np.int64], Floats]:
    """Return values and errors `[N, p]`, status, n and window of a block of curves."""
    num = used.sum(axis=1)
    first = np.where(used, points.at, np.inf).min(axis=1)
    last = np.where(used, points.at, -np.inf).max(axis=1)
    status = np.full(len(loss), OK, dtype="<U16")
    if points.drop is not None:
        highest = np.where(used, points.rate, -np.inf).max(axis=1)
        lowest = np.where(used, points.rate, np.inf).min(axis=1)
        status[highest <= lowest] = ILL_CONDITIONED
    healthy = (np.isfinite(loss) & (loss > 0) | ~used).all(axis=1)
    status[~healthy] = DIVERGED
    status[num < MIN_POINTS] = TOO_SHORT
    go = np.flatnonzero(status == OK)
    fit = solve_frozen(loss[go], used[go], points.sums, points.drop)
    error = np.sqrt(np.einsum("npp->np", fit.covariance))
    value, relative = fit.theta.copy(), error.copy()
    relative[:, 0] = 0.0  # l0 may well be 0 within its error
    if points.drop is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            relative[:, 3] = error[:, 3] / np.abs(value[:, 3])
    value[:, 1:3] = np.exp(value[:, 1:3])
    error[:, 1:3] *= value[:, 1:3]
    good = fit.converged & (relative < MAX_LOG_ERROR).all(axis=1)
    status[go[~good]] = ILL_CONDITIONED
    values = np.full((len(loss), value.shape[1]), np.nan)
    errors = values.copy()
    values[go[good]], errors[go[good]] = value[good], error[good]
    window = np.stack([first, last], axis=1)
    window[num == 0] = np.nan
    return values, errors, status, num, window
