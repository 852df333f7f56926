"""Variable projection for shifted power laws: the search behind `loss_to_loss`.

y = c0 + c1 phi(z; d, a), phi = ((1 + d z)^(a/d) - 1) / a, is y = K (x - E0)^kappa + E1
with x = middle + half z, kappa = a / d, E0 = middle - half / d. This form stays smooth
when the floor runs to minus infinity (an exponential) and when kappa falls to 0 (a
logarithm), so that the surface searched is tame; c0 and c1 are projected out.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats

KAPPA_RANGE: Final = (0.05, 10.0)
"""Exponents searched."""
SHAPE_RANGE: Final = (0.05, 0.9995)
"""Values of d searched: floors from 20 half ranges below the middle to the least x."""
_GRID_D: Final = (0.06, 0.3, 0.5, 0.65, 0.78, 0.88, 0.95, 0.985, 0.998)
_GRID_KAPPA: Final = (0.06, 0.09)  # and these doubled again and again, up to 8
_ITERATIONS: Final = 60
_GAUSS_NEWTON: Final = 12  # then the few sets that are left get true curvature
_SETTLED: Final = 1e-12  # foreseen fall of the sum of squares, as a share of it
_EXACT: Final = 1e-27  # share of the variance at which only rounding is left

Mask = npt.NDArray[np.bool_]


class Problem(NamedTuple):
    """Sets of pairs in units of their own; unused cells are 0."""

    z: Floats
    """`[N, T]`, abscissa in [-1, 1]."""
    y: Floats
    """`[N, T]`, ordinate less its mean."""
    used: Mask
    """`[N, T]`."""
    n: npt.NDArray[np.int64]
    """`[N]`, used cells."""

    def take(self, rows: npt.NDArray[Any]) -> "Problem":
        """Return some of the sets."""
        return Problem(*(part[rows] for part in self))

    def centred(self, f: Floats) -> Floats:
        """Return `f` less its mean over the used cells, 0 elsewhere."""
        mean = np.where(self.used, f, 0).sum(1) / self.n
        return np.where(self.used, f - mean[:, None], 0)


class Optimum(NamedTuple):
    """Where the sum of squares is least; all `[N]`."""

    d: Floats
    a: Floats
    settled: Mask
    """False where the iterations ran out."""
    inside: Mask
    """False at an edge of the search."""


class _Model(NamedTuple):
    rss: Floats
    dd: Floats  # J'J for d and s = a - d, with c0 and c1 projected out
    ds: Floats
    ss: Floats
    rd: Floats  # J'r
    rs: Floats


def basis(p: Problem, d: Floats, a: Floats) -> tuple[Floats, Floats, Floats]:
    """Return phi and its derivatives for d and a, each `[N, T]`."""
    d, a = d[:, None], a[:, None]
    u = 1 + d * p.z
    g = np.log(u) / d
    e = np.exp(a * g)
    phi = (e - 1) / a
    return phi, e * (p.z / u - g) / d, (e * g - phi) / a


def _model(p: Problem, d: Floats, a: Floats) -> _Model:
    """Project out c0 and c1 and linearise the rest at (d, a).

    Along d at equal s = (kappa - 1) d the curvature of phi at the middle stays, so d
    and s are far less entangled than E0 and kappa.
    """
    phi, by_d, by_a = (p.centred(f) for f in basis(p, d, a))
    by_d += by_a
    size = (phi * phi).sum(1)
    slope = (phi * p.y).sum(1) / size
    r = p.y - slope[:, None] * phi
    by_d -= phi * ((phi * by_d).sum(1) / size)[:, None]
    by_a -= phi * ((phi * by_a).sum(1) / size)[:, None]
    square = slope * slope
    return _Model(
        (r * r).sum(1),
        square * (by_d * by_d).sum(1),
        square * (by_d * by_a).sum(1),
        square * (by_a * by_a).sum(1),
        slope * (by_d * r).sum(1),
        slope * (by_a * r).sum(1),
    )


def _curved(p: Problem, d: Floats, a: Floats, m: _Model) -> _Model:
    """Replace J'J by the Hessian, from differences of the gradient, where definite.

    Gauss-Newton steps overshoot where residuals are large and the floor is close to
    the least x; with the true curvature the last digits come at once.
    """
    h = 1e-5 * (1 - d)
    by_d, by_s = _model(p, d + h, a + h), _model(p, d, a + h)
    dd, ss = (m.rd - by_d.rd) / h, (m.rs - by_s.rs) / h
    ds = (m.rs - by_d.rs + m.rd - by_s.rd) / (2 * h)
    good = (dd > 0) & (dd * ss > ds * ds)
    return m._replace(
        dd=np.where(good, dd, m.dd),
        ds=np.where(good, ds, m.ds),
        ss=np.where(good, ss, m.ss),
    )


def _start(p: Problem, held: Floats | None) -> tuple[Floats, Floats]:
    """Return the best cell of the grid as (d, a)."""
    best = np.full(len(p.y), -1.0)
    where = np.ones((2, len(p.y)))
    unused = p.y.shape[1] - p.n
    for shape in _GRID_D if held is None else (held,):
        d = np.broadcast_to(np.asarray(shape), best.shape)
        g = np.log1p(d[:, None] * p.z)
        for kappa in _GRID_KAPPA:
            phi = np.exp(kappa * g)  # 1 in unused cells
            total = phi.sum(1) - unused
            while kappa <= 8:
                square = (
                    phi * phi
                )  # phi of the doubled exponent, so its sum serves both
                next_total = square.sum(1) - unused
                score = np.linalg.vecdot(phi, p.y) ** 2 / (next_total - total**2 / p.n)
                better = score > best
                best = np.where(better, score, best)
                where = np.where(better, np.stack([d, kappa * d]), where)
                kappa, phi, total = 2 * kappa, square, next_total
    return where[0], where[1]


def _step(
    m: _Model, d: Floats, a: Floats, damping: Floats, held: bool
) -> tuple[Floats, Floats, Floats]:
    """Return a damped step inside the search region and the fall it promises."""
    stuck_d = ((d <= SHAPE_RANGE[0]) & (m.rd < 0)) | (
        (d >= SHAPE_RANGE[1]) & (m.rd > 0)
    )
    stuck_d |= held
    kappa = a / d
    stuck_s = (kappa <= KAPPA_RANGE[0]) & (m.rs < 0)
    stuck_s |= (kappa >= KAPPA_RANGE[1]) & (m.rs > 0)
    rd, rs = np.where(stuck_d, 0, m.rd), np.where(stuck_s, 0, m.rs)
    ds = np.where(stuck_d | stuck_s, 0, m.ds)
    tiny = np.finfo(float).tiny
    dd, ss = m.dd * (1 + damping) + tiny, m.ss * (1 + damping) + tiny
    det = dd * ss - ds * ds
    by_d, by_s = (ss * rd - ds * rs) / det, (dd * rs - ds * rd) / det
    promise = by_d * rd + by_s * rs
    new_d = d if held else np.clip(d + by_d, *SHAPE_RANGE)
    # A step along s keeps a - d; the clipped part of a step along d must not count.
    new_a = a + by_s + (new_d - d)
    return (
        new_d,
        np.clip(new_a, KAPPA_RANGE[0] * new_d, KAPPA_RANGE[1] * new_d),
        promise,
    )


def search(p: Problem, held: Floats | None = None) -> Optimum:
    """Find the least sum of squares of each set, with d held where it is given."""
    final_d, final_a = _start(p, held)
    settled = np.zeros(len(p.y), bool)
    enough = _EXACT * (p.y * p.y).sum(1)
    rows = np.arange(len(p.y))
    d, a, part = final_d, final_a, p
    now, damping = _model(p, d, a), np.full(len(rows), 1e-3)
    for turn in range(_ITERATIONS):
        to_d, to_a, promise = _step(now, d, a, damping, held is not None)
        done = (promise <= _SETTLED * now.rss) | (now.rss <= enough[rows])
        final_d[rows], final_a[rows], settled[rows] = d, a, done
        go = ~done
        if not go.any():
            break
        if not go.all():
            rows, part = rows[go], part.take(go)
            d, a, to_d, to_a, damping = (v[go] for v in (d, a, to_d, to_a, damping))
            now = _Model(*(v[go] for v in now))
        then = _model(part, to_d, to_a)
        if turn >= _GAUSS_NEWTON:
            then = _curved(part, to_d, to_a, then)
        better = then.rss <= now.rss
        d, a = np.where(better, to_d, d), np.where(better, to_a, a)
        now = _Model(*(np.where(better, n, o) for n, o in zip(then, now, strict=True)))
        damping = np.where(better, damping * 0.1, damping * 10)
    kappa = final_a / final_d
    inside = (kappa > KAPPA_RANGE[0] * 1.0001) & (kappa < KAPPA_RANGE[1] * 0.9999)
    if held is None:
        inside &= (final_d > SHAPE_RANGE[0]) & (final_d < SHAPE_RANGE[1])
    return Optimum(final_d, final_a, settled, inside)


class Solution(NamedTuple):
    """The law's numbers; those of undetermined sets mean nothing."""

    values: dict[str, Floats]
    """kappa, k, e0, e1, rmse, r2 and corr_kappa_e0, `[N]`."""
    errors: dict[str, Floats]
    """Standard errors of the first four."""
    determined: Mask
    """False at an edge of the search, not settled or singular."""


def solve(
    p: Problem, middle: Floats, half: Floats, mean_y: Floats, d: Floats | None
) -> Solution:
    """Search, then turn (c0, c1, d, a) and their covariance into the law's terms."""
    best = search(p, d)
    d_, a = best.d, best.a
    phi, by_d, by_a = basis(p, d_, a)
    mean_phi = np.where(p.used, phi, 0).sum(1) / p.n
    inner = p.centred(phi)
    c1 = (inner * p.y).sum(1) / (inner * inner).sum(1)
    c0 = mean_y - c1 * mean_phi
    rss, tss = ((p.y - c1[:, None] * inner) ** 2).sum(1), (p.y * p.y).sum(1)
    kappa, scale = a / d_, np.log(d_ / half)
    k = c1 / a * np.exp(kappa * scale)
    values = {"kappa": kappa, "k": k, "e0": middle - half / d_, "e1": c0 - c1 / a}
    zero, one = np.zeros_like(a), np.ones_like(a)
    steps = np.array(  # of kappa, k, e0, e1 with c0, c1, d, a
        [
            [zero, zero, -kappa / d_, 1 / d_],
            [zero, k / c1, k * kappa * (1 - scale) / d_, k * (scale / d_ - 1 / a)],
            [zero, zero, half / d_**2, zero],
            [one, -1 / a, zero, c1 / a**2],
        ]
    )
    jacobian = [p.used, phi, c1[:, None] * by_d, c1[:, None] * by_a]
    if d is not None:
        steps[:, 2] = 0
        del jacobian[2]
        steps = np.delete(steps, 2, axis=1)
    columns = np.stack([np.where(p.used, c, 0) for c in jacobian], 1)
    inverse, regular = _inverse(np.einsum("nit,njt->nij", columns, columns))
    variance = rss / (p.n - columns.shape[1])
    spread = np.einsum("ian,nab,jbn->ijn", steps, inverse, steps) * variance
    errors = {q: np.sqrt(np.maximum(spread[i, i], 0)) for i, q in enumerate(values)}
    product = errors["kappa"] * errors["e0"]
    corr = np.divide(spread[0, 2], product, out=np.zeros_like(a), where=product > 0)
    values |= {"rmse": np.sqrt(variance), "r2": 1 - rss / tss, "corr_kappa_e0": corr}
    fine = np.all([np.isfinite(v) for v in [*values.values(), *errors.values()]], 0)
    return Solution(values, errors, best.settled & best.inside & regular & fine)


def _inverse(gram: Floats) -> tuple[Floats, Mask]:
    """Invert positive matrices `[N, q, q]`; say which are regular."""
    size = np.sqrt(np.einsum("nii->ni", gram))
    outer = size[:, :, None] * size[:, None, :]
    roots, vectors = np.linalg.eigh(gram / outer)
    regular = roots[:, 0] > 1e-13
    roots = np.where(regular[:, None], roots, 1)
    return np.einsum("nik,nk,njk->nij", vectors, 1 / roots, vectors) / outer, regular
