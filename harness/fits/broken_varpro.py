"""Variable projection for broken power laws: the search behind `broken_power`.

Floor, scales and break are solved exactly for given exponents, the break between
samples too, so that the search is over two numbers. Curves are columns here, `[n, B]`,
and x = ln t less its mean.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats

EXPONENTS: Final = (-1.0, 8.0)
"""Exponents searched; a negative one means a loss that rises towards the end."""
_GRID: Final = (0.02, 0.1, 0.2, 0.3, 0.42, 0.56, 0.75, 1.0, 1.35, 1.8, 2.4, 3.5)
_BREAKS: Final = 16
_TRIALS: Final = 4
"""Steps of all starts before the better ones are known."""
_FINALISTS: Final = 2
_ITERATIONS: Final = 40
_SETTLED: Final = 1e-8
"""Foreseen fall of the sum of squares, as a share of it, that ends the search."""
_TINY: Final = 1e-12
_VALUES: Final = 24_000
"""Values in work at a time: a dozen arrays of this size stay in the cache."""

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Broken(NamedTuple):
    """Broken power laws with the best break for their exponents, each `[B]`."""

    gain: Floats
    """Sum of squares explained."""
    split: Indices
    """Last sample at or before the break."""
    free: Mask
    """Whether the break lies between samples."""
    a: Floats
    b: Floats
    left: Floats
    """left e^(-a x) above the floor up to the break,"""
    right: Floats
    """right e^(-b x) after it."""
    at: Floats
    """x of the break."""

    def take(self, rows: "Indices | slice") -> "Broken":
        """Return some of them."""
        parts = [part[rows] for part in self]
        return Broken(*parts)  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def _atoms(abscissa: bytes, min_points: int) -> tuple[Floats, Floats]:
    """Return unit shapes `[n, K]` on the grid, and their (a, b) `[K, 2]`."""
    x, grid = np.frombuffer(abscissa), np.array(_GRID)
    inner = x[min_points - 1 : len(x) - min_points + 1]
    places = np.linspace(inner[0], inner[-1], _BREAKS + 2)[1:-1]
    powers = np.exp(-grid[:, None, None] * (x - places[:, None]))  # [G, breaks, n]
    shape = np.where(x < places[:, None], powers[:, None], powers[None])
    shape = shape.reshape(-1, len(x))
    shape -= shape.mean(axis=1, keepdims=True)
    shape /= np.sqrt(np.square(shape).sum(axis=1, keepdims=True))
    a, b, _ = (axis.ravel() for axis in np.meshgrid(grid, grid, places, indexing="ij"))
    return shape.T, np.stack([a, b], axis=1)


def starts(x: Floats, y: Floats, min_points: int) -> tuple[Floats, Floats]:
    """Return exponents a, b `[4, B]`: two from the grid, two for a weak bend."""
    atoms, shapes = _atoms(x.tobytes(), min_points)
    gain = np.square(y.T @ atoms)  # [B, K]
    apart = gain.reshape(len(gain), -1, _BREAKS)
    pick = apart.argmax(axis=1)  # [B, breaks]
    most = np.take_along_axis(apart, pick[:, None], axis=1)[:, 0]
    place = _best_of_bands(most)
    index = np.take_along_axis(pick, place, axis=1) * _BREAKS + place
    grid = shapes[index.T]  # [2, B, 2]
    straight = np.flatnonzero(shapes[:, 0] == shapes[:, 1])[::_BREAKS]
    single = shapes[straight[gain[:, straight].argmax(axis=1)], 0]
    weak = _weak_bends(x, y, single, min_points)
    both = np.concatenate([grid, weak])
    return both[:, :, 0], both[:, :, 1]


def _best_of_bands(gain: Floats) -> Indices:
    """Return the two best places `[B, 2]` of gain `[B, K]`, in different quarters."""
    bands = np.array_split(np.arange(gain.shape[1]), min(4, gain.shape[1]))
    picks = np.stack([gain[:, band].argmax(axis=1) + band[0] for band in bands], axis=1)
    heights = np.take_along_axis(gain, picks, axis=1)
    order = np.argsort(-heights, axis=1, kind="stable")[:, :2]
    best: Indices = np.take_along_axis(picks, order, axis=1)
    return best


def _weak_bends(x: Floats, y: Floats, a: Floats, min_points: int) -> Floats:
    """Return (a, b) `[2, B, 2]` for the best two small changes of one power law.

    To first order a bend at k adds (x - k)+ e^(-a x) to the tangents of E + A e^(-a x).
    """
    for _ in range(6):
        shape = np.exp(-a * x[:, None])
        flat = _centred(shape)
        slope = _without(_centred(-x[:, None] * shape), flat)
        scale = dots(y, flat) / dots(flat, flat)
        move = dots(y, slope) / (scale * dots(slope, slope))
        a = np.clip(a + np.clip(move, -0.5, 0.5), 0.02, 4.0)
    shape = np.exp(-a * x[:, None])
    flat = _centred(shape)
    slope = _without(_centred(-x[:, None] * shape), flat)
    scale = dots(y, flat) / dots(flat, flat)
    residual = _without(y - scale * flat, slope)
    knots = slice(min_points - 1, len(x) - min_points + 1)
    k = x[knots, None]

    def after(v: Floats) -> Floats:
        """Return the sums of v (x - k)+ shape over the samples, for each knot k."""
        u = v * shape
        sums = [np.cumsum(w[::-1], axis=0)[::-1][knots] for w in (u * x[:, None], u)]
        product: Floats = sums[0] - k * sums[1]
        return product

    unit_flat = flat / np.sqrt(dots(flat, flat))
    unit_slope = slope / np.sqrt(dots(slope, slope))
    along = after(residual)
    square = after(shape * x[:, None]) - k * after(shape)
    on_slope, on_flat = after(unit_slope), after(unit_flat)
    power = square - on_slope**2 - on_flat**2 - after(np.ones_like(y)) ** 2 / len(x)
    gain = along**2 / np.maximum(power, _TINY * square)
    pick = _best_of_bands(gain.T).T  # [2, B]
    each = np.arange(len(a))
    bend = along[pick, each] / power[pick, each]
    turn = -bend / scale  # b - a
    shift = -on_slope[pick, each] * bend / np.sqrt(dots(slope, slope)) / scale
    first = np.clip(a + shift, 0.02, 6)
    return np.stack([first, np.clip(first + turn, -0.5, 6)], axis=2)


def search(
    x: Floats, y: Floats, a: Floats, b: Floats, min_points: int
) -> tuple[Broken, Mask]:
    """Return the best of all starts `[S, B]` for each curve, and whether it settled.

    All starts go a few steps; the better ones go on to the end.
    """
    starts, num = a.shape
    each = np.arange(num)
    curve = np.tile(each, starts)
    now = _profile(x, y, curve, a.ravel(), b.ravel(), min_points)
    now, _ = _descend(x, y, curve, now, min_points, _TRIALS)
    order = np.argsort(-now.gain.reshape(starts, num), axis=0, kind="stable")[
        :_FINALISTS
    ]
    some = (order * num + each).ravel()
    now = now.take(some)
    now, settled = _descend(x, y, curve[some], now, min_points, _ITERATIONS)
    win = np.argmax(now.gain.reshape(-1, num), axis=0) * num + each
    return now.take(win), settled[win]


def _descend(
    x: Floats,
    y: Floats,
    curve: Indices,
    now: Broken,
    min_points: int,
    steps: int,
) -> tuple[Broken, Mask]:
    """Improve exponents until the sum of squares settles; `curve` are rows' columns."""
    total = np.square(y).sum(axis=0)[curve]
    damping = np.full(len(curve), 1e-3)
    settled = np.zeros(len(curve), dtype=np.bool_)
    rows = np.arange(len(curve))
    for _ in range(steps):
        here = now.take(rows)
        da, db, fall = _step(x, y, curve[rows], here, damping[rows])
        near_a = np.clip(here.a + da, *EXPONENTS)
        near_b = np.clip(here.b + db, *EXPONENTS)
        then = _profile(x, y, curve[rows], near_a, near_b, min_points)
        better = then.gain > here.gain
        for old, new in zip(now, then, strict=True):
            old[rows[better]] = new[better]
        damping[rows] *= np.where(better, 0.2, 8.0)
        left = np.maximum(total[rows] - here.gain, _TINY * total[rows])
        done = (fall <= _SETTLED * left) | (damping[rows] > 1e8)
        settled[rows[done]] = True
        rows = rows[~done]
        if not len(rows):
            break
    return now, settled


def _in_parts(num: int, length: int) -> list[slice]:
    """Return slices of so many columns that a dozen arrays of them stay in cache."""
    size = max(_VALUES // length, 16)
    return [slice(i, i + size) for i in range(0, num, size)]


def _profile(
    x: Floats,
    y: Floats,
    curve: Indices,
    a: Floats,
    b: Floats,
    min_points: int,
) -> Broken:
    """Return the best breaks for exponents a, b `[B]` of the curves y[:, curve]."""
    parts = [
        _profile_part(x, y[:, curve[cut]], a[cut], b[cut], min_points)
        for cut in _in_parts(len(curve), len(x))
    ]
    joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
    return Broken(*joined)


def _profile_part(
    x: Floats, y: Floats, a: Floats, b: Floats, min_points: int
) -> Broken:
    """Return the best breaks for exponents a, b `[B]` of curves y `[n, B]`, mean 0."""
    num = len(x)
    knots = slice(min_points - 1, num - min_points + 1)
    after = slice(min_points, num - min_points + 2)
    p, q = np.exp(-x[:, None] * a), np.exp(-x[:, None] * b)
    p0, p1, p2 = (np.cumsum(v, axis=0)[knots] for v in (p, p * y, p * p))
    q0, q1, q2 = (np.cumsum(v[::-1], axis=0)[::-1][after] for v in (q, q * y, q * q))
    p2 -= p0 * p0 / num
    q2 -= q0 * q0 / num
    cross = p0 * q0 / -num
    p, q = p[knots], q[knots]
    join = p / q  # right = join * left when the break is on the sample
    power = p2 + join * (2 * cross + join * q2)
    together = p1 + join * q1
    on_sample = together * together / power
    det = p2 * q2 - cross * cross
    left = (q2 * p1 - cross * q1) / det
    right = (p2 * q1 - cross * p1) / det
    gap = left * p - right * q
    next_gap = left[:-1] * p[1:] - right[:-1] * q[1:]
    crossing = (gap[:-1] * next_gap <= 0) & (det[:-1] > _TINY * (p2 * q2)[:-1])
    between = np.where(crossing, (left * p1 + right * q1)[:-1], -1.0)
    each = np.arange(y.shape[1])
    at, free_at = on_sample.argmax(axis=0), between.argmax(axis=0)
    free = between[free_at, each] > on_sample[at, each]
    at = np.where(free, free_at, at)
    left = np.where(free, left[at, each], (together / power)[at, each])
    right = np.where(free, right[at, each], left * join[at, each])
    ratio = np.where(free, right / left, 1)
    gap = np.where(free, b - a, 1)
    place = np.where(free, np.log(ratio) / gap, x[knots][at])
    return Broken(
        gain=np.where(free, between[free_at, each], on_sample[at, each]),
        split=at + min_points - 1,
        free=free,
        a=a,
        b=b,
        left=left,
        right=right,
        at=place,
    )


def _step(
    x: Floats,
    y: Floats,
    curve: Indices,
    here: Broken,
    damping: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Return the damped step in (a, b) and the fall foreseen without damping."""
    sums = []
    for cut in _in_parts(len(curve), len(x)):
        part = here.take(cut)
        residual, by_a, by_b = tangents(x, y[:, curve[cut]], part)
        pairs = (
            (by_a, by_a),
            (by_b, by_b),
            (by_a, by_b),
            (residual, by_a),
            (residual, by_b),
        )
        sums.append([dots(u, v) for u, v in pairs])
    aa, bb, ab, ra, rb = (np.concatenate(part) for part in zip(*sums, strict=True))
    da, db = _solve(aa, bb, ab, ra, rb)
    fall = ra * da + rb * db
    da, db = _solve(aa * (1 + damping), bb * (1 + damping), ab, ra, rb)
    return da, db, fall


def _solve(
    aa: Floats, bb: Floats, ab: Floats, ra: Floats, rb: Floats
) -> tuple[Floats, Floats]:
    """Solve many symmetric systems of two equations; 0 where singular."""
    det = aa * bb - ab * ab
    sound = det > _TINY * aa * bb
    inverse = np.divide(1, det, out=np.zeros_like(det), where=sound)
    return (bb * ra - ab * rb) * inverse, (aa * rb - ab * ra) * inverse


def tangents(x: Floats, y: Floats, here: Broken) -> tuple[Floats, Floats, Floats]:
    """Return residuals and the derivatives by a and b, the linear part projected out.

    Linear are the floor and the scale, and, for a break between samples, the scale
    beyond it, that is the break.
    """
    before = np.arange(len(x))[:, None] <= here.split
    far = x[:, None] - here.at
    shape = np.exp(-np.where(before, here.a, here.b) * x[:, None])
    shape *= np.where(before, here.left, here.right)
    slope = -far * shape
    ahead = _centred(shape * before)
    shape = _centred(shape)
    residual = y - shape
    ahead = _without(ahead, shape) * here.free
    parts = []
    for side in (before, ~before):
        tangent = _without(_centred(slope * side), shape)
        parts.append(_without(tangent, ahead))
    return residual, parts[0], parts[1]


def dots(u: Floats, v: Floats) -> Floats:
    """Return the inner products `[B]` of columns."""
    product: Floats = np.einsum("nb,nb->b", u, v)
    return product


def _centred(v: Floats) -> Floats:
    centred: Floats = v - v.mean(axis=0)
    return centred


def _without(v: Floats, direction: Floats) -> Floats:
    """Return v less its part along a direction, which may be 0."""
    power = dots(direction, direction)
    share = np.divide(
        dots(v, direction), power, out=np.zeros_like(power), where=power > 0
    )
    return v - share * direction
