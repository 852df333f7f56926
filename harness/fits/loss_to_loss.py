"""Shifted power law between two losses of the same models: what one says of the other.

L1 = K (L0 - E0)^kappa + E1, with floors E0 and E1 that are either given (the published
manner) or fitted; many sets of pairs at once.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.fits.shifted_varpro import Mask, Problem, solve
from harness.measure import (
    DIVERGED,
    ILL_CONDITIONED,
    NOT_APPLICABLE,
    OK,
    TOO_SHORT,
    Estimates,
    Floats,
)

_CELLS_A_BLOCK: Final = 1 << 14  # pairs in flight: the search stays in a core's cache


def shifted_power_law(
    l0: npt.ArrayLike,
    kappa: npt.ArrayLike,
    k: npt.ArrayLike,
    e0: npt.ArrayLike,
    e1: npt.ArrayLike,
) -> Floats:
    """Return K (L0 - E0)^kappa + E1; NaN where L0 lies below E0.

    Example:
        >>> shifted_power_law(1.1, 2.0, 0.5, 0.1, 0.3)  # 0.5 * 1^2 + 0.3
        array(0.8)
    """
    over = np.asarray(l0, np.float64) - np.asarray(e0, np.float64)
    power = np.where(over >= 0, np.maximum(over, 0), np.nan) ** np.asarray(kappa)
    return np.asarray(np.asarray(k) * power + np.asarray(e1), np.float64)


def fit_fixed_floors(
    l0: npt.ArrayLike,
    l1: npt.ArrayLike,
    *,
    e0: npt.ArrayLike,
    e1: npt.ArrayLike,
    use: npt.ArrayLike | None = None,
) -> Estimates:
    """Fit K and kappa with given floors, by least squares on logarithms.

    Measures how the excess of one loss over its floor scales with that of another:
    ln(L1 - E1) = ln K + kappa ln(L0 - E0), ordinary least squares, which weighs every
    pair by its relative excess. Pairs at or below a floor have no logarithm; they are
    left out and counted in `excluded`. The standard errors assume independent errors
    of L1 only: checkpoints of one run are not independent, so they are too small there.
    Undefined for fewer than 3 usable pairs (`too_short`) or when L0 does not vary
    (`ill_conditioned`). Cost: two logarithms a pair.

    Source: Brandfonbrener et al., arXiv 2411.12925 (language models), whose floors
    come from separate scaling fits.

    Args:
        l0: Losses that predict, `[T]` or `[N, T]`, nats.
        l1: Losses to be predicted, `[N, T]`, nats.
        e0: Floor of `l0`, one or `[N]`, nats.
        e1: Floor of `l1`, one or `[N]`, nats.
        use: Pairs that count, `[T]` or `[N, T]`; all by default. Others may be NaN.

    Returns:
        kappa, k, r2 (on logarithms) and excluded; errors of kappa and k; the window is
        the least and largest L0 used.

    Raises:
        ValueError: Shapes do not fit.

    Example:
        >>> l0 = np.array([0.6, 1.1, 2.1])
        >>> l1 = shifted_power_law(l0, 1.3, 0.8, 0.1, 0.35)[None]
        >>> fit_fixed_floors(l0, l1, e0=0.1, e1=0.35)["kappa"].round(9)
        array([1.3])
    """
    x, y, used = _pairs(l0, l1, use)
    floors = [_per_set(name, e, len(y)) for name, e in (("e0", e0), ("e1", e1))]
    parts = [
        _fixed_block(x[rows], y[rows], used[rows], *(f[rows] for f in floors))
        for rows in _blocks(y.shape)
    ]
    params = {"floors": "fixed", "objective": "log_l1"} | {
        name: given.tolist() if np.ndim(given := np.asarray(e)) == 0 else "per set"
        for name, e in (("e0", e0), ("e1", e1))
    }
    units = {"kappa": "1", "k": "nats^(1-kappa)", "r2": "1", "excluded": "pairs"}
    return _estimates(parts, params, units, ("kappa", "k"))


def fit_free_floors(
    l0: npt.ArrayLike,
    l1: npt.ArrayLike,
    *,
    e0: npt.ArrayLike | None = None,
    use: npt.ArrayLike | None = None,
    max_relative_se: float = 0.5,
) -> Estimates:
    """Fit K, kappa and the floors E0 and E1 by least squares on L1.

    Minimises sum (L1 - K (L0 - E0)^kappa - E1)^2 by variable projection over E0 < min
    L0, kappa in `shifted_varpro.KAPPA_RANGE`, any K and E1. The floors are hardly
    identified: on L0 in [0.35, 1.6] with 40 pairs corr(kappa, E0) = -0.99 and noise of
    0.01 in L1 gives sd 0.14 of kappa and 0.34 of E0 (Cramer-Rao), against 0.022 of
    kappa with E0 given. Standard errors are sqrt of the diagonal of s^2 (J'J)^-1,
    s^2 = RSS / (n - fitted parameters): first order, independent errors of L1 only.
    A set is `ill_conditioned` when its optimum lies on the edge of the search (the
    floor runs away, or into the least L0), when J'J is singular, or when se(kappa) >
    `max_relative_se` * kappa. Cost: some 40 exponentials and 300 products a pair.
    Source: form of Brandfonbrener et al., arXiv 2411.12925; variable projection:
    Golub and Pereyra 1973, in Kaufman's variant.

    Args:
        l0: Losses that predict, `[T]` or `[N, T]`, nats.
        l1: Losses to be predicted, `[N, T]`, nats.
        e0: Floor of `l0` to be held, one or `[N]`, nats; fitted if None.
        use: Pairs that count, `[T]` or `[N, T]`; all by default. Others may be NaN.
        max_relative_se: Largest standard error of kappa, as a share of it, that
            still counts as determined.

    Returns:
        kappa, k, e0, e1, rmse (sqrt of s^2), r2 and corr_kappa_e0 (correlation of the
        two estimates); errors of the first four; the window is the least and largest
        L0 used.

    Raises:
        ValueError: Shapes do not fit.

    Example:
        >>> l0 = np.linspace(0.35, 1.6, 40)
        >>> l1 = shifted_power_law(l0, 1.3, 0.8, 0.1, 0.35)[None]
        >>> fit_free_floors(l0, l1)["e0"].round(6)
        array([0.1])
    """
    x, y, used = _pairs(l0, l1, use)
    held = None if e0 is None else _per_set("e0", e0, len(y))
    parts = []
    for rows in _blocks(y.shape):
        floor = None if held is None else held[rows]
        parts.append(_free_block(x[rows], y[rows], used[rows], floor, max_relative_se))
    floors = "free" if e0 is None else "e0 fixed, e1 free"
    params = {"floors": floors, "objective": "l1", "max_relative_se": max_relative_se}
    nats = dict.fromkeys(("e0", "e1", "rmse"), "nats")
    pure = dict.fromkeys(("kappa", "r2", "corr_kappa_e0"), "1")
    units = pure | nats | {"k": "nats^(1-kappa)"}
    return _estimates(parts, params, units, ("kappa", "k", "e0", "e1"))


class _Part(NamedTuple):
    """What a block of sets yields; values of failed sets are still arbitrary."""

    values: dict[str, Floats]
    errors: dict[str, Floats]
    status: npt.NDArray[np.str_]
    n: npt.NDArray[np.int64]
    window: Floats


def _pairs(
    l0: npt.ArrayLike, l1: npt.ArrayLike, use: npt.ArrayLike | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Mask]:
    """Return views `[N, T]` of the pairs; nothing is copied, memory maps stay so."""
    y = np.asanyarray(l1)
    if y.ndim != 2 or 0 in y.shape:
        raise ValueError(f"l1 must be [sets, pairs] and not empty, got {y.shape}")
    given = {"l0": np.asanyarray(l0)}
    given["use"] = np.asarray(True if use is None else use, bool)
    for name, array in given.items():
        if name == "l0" or use is not None:
            allowed = (y.shape, y.shape[1:])
            if array.shape not in allowed:
                raise ValueError(
                    f"{name} must have the shape {allowed[0]} of l1 or {allowed[1]}, "
                    f"got {array.shape}"
                )
    return (
        np.broadcast_to(given["l0"], y.shape),
        y,
        np.broadcast_to(given["use"], y.shape),
    )


def _per_set(name: str, value: npt.ArrayLike, count: int) -> Floats:
    floor = np.asarray(value, np.float64)
    if floor.shape not in ((), (count,)):
        raise ValueError(f"{name} must be one number or [{count}], got {floor.shape}")
    return np.broadcast_to(floor, (count,))


def _blocks(shape: tuple[int, ...]) -> list[slice]:
    rows = max(1, _CELLS_A_BLOCK // shape[1])
    return [slice(i, i + rows) for i in range(0, shape[0], rows)]


def _estimates(
    parts: list[_Part],
    params: dict[str, Any],
    units: dict[str, str],
    with_error: tuple[str, ...],
) -> Estimates:
    """Join blocks and blank what has no value."""
    status = np.concatenate([p.status for p in parts])
    bad = status != OK

    def joined(pieces: list[Floats]) -> Floats:
        return np.where(bad, np.nan, np.concatenate(pieces))

    return Estimates(
        estimator="loss_to_loss",
        estimator_version="1",
        params=params,
        units=units,
        values={q: joined([p.values[q] for p in parts]) for q in units},
        errors={q: joined([p.errors[q] for p in parts]) for q in with_error},
        status=status,
        n=np.concatenate([p.n for p in parts]),
        window=np.concatenate([p.window for p in parts]),
    )


def _prepare(
    l0: npt.NDArray[Any], l1: npt.NDArray[Any], used: Mask
) -> tuple[Floats, Floats, Mask]:
    """Return float64 pairs with unused cells NaN, and which sets are not finite."""
    x = np.where(used, l0, np.nan).astype(np.float64)
    y = np.where(used, l1, np.nan).astype(np.float64)
    infinite: Mask = np.asarray((used & ~(np.isfinite(x) & np.isfinite(y))).any(1))
    return x, y, infinite


def _window(x: Floats, used: Mask) -> Floats:
    """Return the least and largest used abscissa `[N, 2]`; NaN where there is none."""
    ends = np.stack(
        [
            np.where(used, x, np.inf).min(1),
            np.where(used, x, -np.inf).max(1),
        ],
        axis=1,
    )
    return np.where(np.isfinite(ends).all(1, keepdims=True), ends, np.nan)


def _fixed_block(
    l0: npt.NDArray[Any], l1: npt.NDArray[Any], used: Mask, e0: Floats, e1: Floats
) -> _Part:
    x, y, infinite = _prepare(l0, l1, used)
    infinite |= ~(np.isfinite(e0) & np.isfinite(e1))
    above = used & (x > e0[:, None]) & (y > e1[:, None]) & ~infinite[:, None]
    n = above.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        u = np.where(above, np.log(np.where(above, x - e0[:, None], 1)), 0)
        v = np.where(above, np.log(np.where(above, y - e1[:, None], 1)), 0)
        mean_u, mean_v = u.sum(1) / n, v.sum(1) / n
        du = np.where(above, u - mean_u[:, None], 0)
        dv = np.where(above, v - mean_v[:, None], 0)
        sxx, sxy, syy = (du * du).sum(1), (du * dv).sum(1), (dv * dv).sum(1)
        kappa = sxy / sxx
        k = np.exp(mean_v - kappa * mean_u)
        rss = ((dv - kappa[:, None] * du) ** 2).sum(1)
        variance = rss / (n - 2)
        values = {"kappa": kappa, "k": k, "r2": 1 - rss / syy}
        errors = {
            "kappa": np.sqrt(variance / sxx),
            "k": k * np.sqrt(variance * (1 / n + mean_u**2 / sxx)),
        }
    values["excluded"] = (used.sum(1) - n).astype(np.float64)
    flat = (sxx <= 1e-24 * n) | (syy <= 1e-24 * n)
    cases = [infinite, n < 3, flat | ~np.isfinite(k)]
    status = np.select(cases, [DIVERGED, TOO_SHORT, ILL_CONDITIONED], OK)
    return _Part(values, errors, status, n, _window(x, above))


def _free_block(
    l0: npt.NDArray[Any],
    l1: npt.NDArray[Any],
    used: Mask,
    held: Floats | None,
    max_relative_se: float,
) -> _Part:
    """Solve the sets that can be solved and say of the others why not."""
    x, y, infinite = _prepare(l0, l1, used)
    n, ends = used.sum(1), _window(np.where(np.isfinite(x), x, 0), used)
    least = 5 if held is None else 4
    flat = _spread(x, used, infinite) | _spread(y, used, infinite)
    cases = [infinite, n < least, flat]
    names = [DIVERGED, TOO_SHORT, ILL_CONDITIONED]
    if held is not None:
        infinite |= ~np.isfinite(held)
        cases.append(held >= np.where(n > 0, ends[:, 0], 0))
        names.append(NOT_APPLICABLE)
    status = np.select(cases, names, OK)
    rows = np.flatnonzero(status == OK)
    names = ["kappa", "k", "e0", "e1", "rmse", "r2", "corr_kappa_e0"]
    values = {q: np.full(len(y), np.nan) for q in names}
    errors = {q: np.full(len(y), np.nan) for q in names[:4]}
    if len(rows):
        middle, half = ends[rows].mean(1), np.diff(ends[rows], axis=1)[:, 0] / 2
        inner = used[rows]
        mean_y = np.where(inner, y[rows], 0).sum(1) / n[rows]
        p = Problem(
            np.where(inner, (x[rows] - middle[:, None]) / half[:, None], 0),
            np.where(inner, y[rows] - mean_y[:, None], 0),
            inner,
            n[rows],
        )
        d = None if held is None else half / (middle - held[rows])
        solved = solve(p, middle, half, mean_y, d)
        for q, value in solved.values.items():
            values[q][rows] = value
        for q, value in solved.errors.items():
            errors[q][rows] = value
        wide = solved.errors["kappa"] > max_relative_se * solved.values["kappa"]
        status[rows[~solved.determined | wide]] = ILL_CONDITIONED
    return _Part(values, errors, status, n, ends)


def _spread(x: Floats, used: Mask, skip: Mask) -> Mask:
    """Return which sets do not vary beyond rounding."""
    inner = used & ~skip[:, None]
    low = np.where(inner, x, np.inf).min(1)
    high = np.where(inner, x, -np.inf).max(1)
    varies: Mask = high - low > 1e-12 * np.maximum(abs(low), abs(high))
    return ~varies
