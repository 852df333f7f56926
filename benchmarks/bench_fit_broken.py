"""Two-segment and broken power laws against curve_fit with four starts.

Same curves, same process, one thread, interleaved; processor seconds. The peer fits
each curve by Levenberg-Marquardt (MINPACK) from four breaks and keeps the best. "found"
is the share of curves whose sum of squares is within 1e-3 (1e-6) of the least that
either found, breaks within the first or last two samples and exponents outside -1 ... 8
excepted, where we do not look.

Floor of ours: reading a curve once; 2 exponentials a sample for each pair of exponents
tried (broken), of which no method needs fewer than one.

    .venv/bin/python benchmarks/bench_fit_broken.py [curves for the peer]
"""

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import curve_fit

from harness.fits.broken_power import fit_broken_power
from harness.fits.two_segment import fit_two_segment
from harness.measure import Floats
from harness.seeds import stream

T = np.linspace(1, 50, 200)
STARTS = (5.0, 10.0, 20.0, 35.0)
ROUNDS = 5
OURS_A_ROUND = 1000

Law = Callable[..., Floats]


def hinge(x: Floats, height: float, slope: float, bend: float, knee: float) -> Floats:
    """Return ln L of two segments."""
    return height + slope * x + bend * np.maximum(x - knee, 0)


def broken(
    t: Floats, floor: float, scale: float, a: float, b: float, t_break: float
) -> Floats:
    """Return the broken power law."""
    k = abs(t_break) + 1e-9
    return floor + scale * np.where(t <= k, t**-a, k ** (b - a) * t**-b)


def curves(num: int, floor: float) -> Floats:
    """Return curves with exponents and breaks all over, and 1 % noise."""
    rng = stream(0, "bench_fit_broken")
    draws = rng.uniform(size=(num, 5))
    noise = 0.01 * rng.standard_normal((num, len(T)))
    a, b = 0.3 + 0.9 * draws[:, :1], 0.1 + 1.1 * draws[:, 1:2]
    k = 5 * 6 ** draws[:, 2:3]
    scale = 0.5 + 2.5 * draws[:, 3:4]
    shape = scale * np.where(k >= T, T**-a, k ** (b - a) * T**-b)
    if floor == 0:
        return shape * np.exp(noise)
    return floor * draws[:, 4:] + shape + noise


def peer(law: Law, x: Floats, y: Floats, guess: Callable[..., tuple]) -> tuple:  # type: ignore[type-arg]
    """Return the least sum of squares of four starts, and its parameters."""
    best: tuple = (np.inf, None)  # type: ignore[type-arg]
    for start in STARTS:
        try:
            params, _ = curve_fit(law, x, y, p0=guess(y, start), maxfev=2000)
        except RuntimeError:
            continue
        rss = np.square(y - law(x, *params)).sum()
        if rss < best[0]:
            best = (rss, params)
    return best


def guess_hinge(y: Floats, start: float) -> tuple[float, ...]:
    """Return a start: one slope through both ends."""
    return (y[0], (y[-1] - y[0]) / np.log(T[-1]), 0.1, np.log(start))


def guess_broken(y: Floats, start: float) -> tuple[float, ...]:
    """Return a start: half the least loss as floor."""
    return (0.5 * y.min(), y[0] - 0.5 * y.min(), 0.5, 0.5, start)


def inside(params: Floats, name: str) -> bool:
    """Return whether the peer's optimum lies where we look."""
    if params is None:
        return True
    if name == "two_segment":
        return bool(np.log(T[5]) <= params[3] <= np.log(T[-6]))
    exponents = bool(min(params[2:4]) >= -1 and max(params[2:4]) <= 8)
    return exponents and bool(T[2] <= abs(params[4]) <= T[-3])


def compare(name: str, num: int) -> None:
    """Print the rates, their ratio and how often either finds the optimum."""
    exact = name == "two_segment"
    losses = curves(OURS_A_ROUND, 0.0 if exact else 0.5)
    fit = fit_two_segment if exact else fit_broken_power
    law, guess = (hinge, guess_hinge) if exact else (broken, guess_broken)
    x = np.log(T) if exact else T
    ordinates = np.log(losses) if exact else losses
    share = num // ROUNDS
    ours, theirs, found = [], [], []
    fit(T, losses[:10])
    for i in range(ROUNDS):
        start = time.process_time()
        result = fit(T, losses)
        ours.append((time.process_time() - start) / len(losses))
        start = time.process_time()
        part = ordinates[i * share : (i + 1) * share]
        found += [peer(law, x, y, guess) for y in part]
        theirs.append((time.process_time() - start) / share)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    print(
        f"{name:12s} {1 / statistics.median(theirs):8.0f}"
        f" {1 / statistics.median(ours):8.0f}   {middle:6.1f} [{low:.1f}, {high:.1f}]",
        end="  ",
    )
    mine = result["rss"][: len(found)]
    rss = np.array([f[0] for f in found])
    fair = np.array([inside(f[1], name) for f in found]) & np.isfinite(mine)
    least = np.minimum(mine, rss)[fair]
    for which in (mine[fair], rss[fair]):
        rates = [np.mean(which <= least * (1 + tol)) for tol in (1e-3, 1e-6)]
        print(f"  {rates[0]:6.1%} ({rates[1]:6.1%})", end="")
    print(f"   {fair.mean():.0%}, {np.isfinite(mine).mean():.0%}")


def main(num: int) -> None:
    """Print the table."""
    warnings.simplefilter("ignore")  # the peer overflows now and then
    print(
        f"200 points a curve; load {os.getloadavg()[0]:.1f}; {num} curves for the peer"
    )
    print(
        "law          peer/s    ours/s   ratio [quartiles]   ours found   peer found"
        "     compared, ours ok"
    )
    for name in ("two_segment", "broken_power"):
        compare(name, num)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
