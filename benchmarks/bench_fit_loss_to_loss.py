"""Shifted power laws with free floors against a loop of scipy's curve_fit.

L1 = K (L0 - E0)^kappa + E1, four parameters, 40 pairs a set, laws drawn at random. The
peer is what a user would write: `curve_fit` (Levenberg-Marquardt) from 12 starts with
an analytic Jacobian, the best kept; 4 starts and one are timed as well. Both get the
same sets; "found" is the share of sets whose sum of squares is within 1e-6 of the best
that anyone reached (1e-20 of the variance for exact data; E0 >= min L0 does not count),
over sets whose optimum we place inside the region that the fit searches; the others
it calls undetermined.

Floor: the arithmetic of the starting grid alone, 18 exponentials and 135 products,
sums and dot products a pair.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

from harness.fits.loss_to_loss import fit_free_floors, shifted_power_law
from harness.seeds import stream

ROUNDS = 7
OURS, THEIRS = 2_000, 20  # sets a round
PAIRS = 40
STARTS = [(e0, kappa) for kappa in (1.2, 0.6, 2.5) for e0 in (0.0, -0.5, 0.6, 0.95)]
COUNTS = (12, 4, 1)  # starts of the peer


def sets(noise: float, count: int, turn: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw laws and their pairs, `[count, PAIRS]` each."""
    rng = stream(turn, "bench loss to loss", round(noise * 1e6))
    low = rng.uniform(0.3, 0.6, count)
    l0 = np.linspace(low, low + rng.uniform(0.8, 1.5, count), PAIRS).T
    kappa, k = rng.uniform(0.6, 2.0, count), rng.uniform(0.5, 1.5, count)
    e0, e1 = low * rng.uniform(0.0, 0.9, count), rng.uniform(0.1, 0.5, count)
    l1 = shifted_power_law(l0.T, kappa, k, e0, e1).T
    return l0, l1 + noise * rng.normal(size=l1.shape)


def law(x: np.ndarray, e0: float, kappa: float, k: float, e1: float) -> np.ndarray:
    """Return the law, continued flat below its floor so that the search survives."""
    return k * np.maximum(x - e0, 1e-9) ** kappa + e1


def slopes(x: np.ndarray, e0: float, kappa: float, k: float, e1: float) -> np.ndarray:
    """Return the Jacobian `[PAIRS, 4]`."""
    over = np.maximum(x - e0, 1e-9)
    power = over**kappa
    columns = (-k * kappa * power / over, k * power * np.log(over), power, over * 0 + 1)
    return np.stack(columns, axis=1)


def peer(l0: np.ndarray, l1: np.ndarray, starts: list[tuple[float, float]]) -> list:
    """Return the best sum of squares of every set, the user's way."""
    best = []
    for x, y in zip(l0, l1, strict=True):
        least = np.inf
        for share, kappa in starts:
            first = (share * x.min(), kappa, 1.0, y.min())
            try:
                found, _ = curve_fit(law, x, y, first, jac=slopes, maxfev=2_000)
            except RuntimeError:
                continue
            if found[0] < x.min():  # else the law says nothing of its least pairs
                least = min(least, float(((law(x, *found) - y) ** 2).sum()))
        best.append(least)
    return best


def seconds(action: Callable[[], object]) -> float:
    """Return the processor seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def grid() -> None:
    """Do the arithmetic that scores the starting grid of 400 sets, and no more."""
    cells = np.full((400, PAIRS), 0.5)
    for _ in range(18):
        np.exp(cells)
    for _ in range(135):
        (cells * cells).sum(axis=1)
        np.linalg.vecdot(cells, cells)


def found(noise: float) -> list[float]:
    """Return shares: inside the region, found by us, by the peer from its starts."""
    l0, l1 = sets(noise, 200, 99)
    fit = fit_free_floors(l0, l1, max_relative_se=np.inf)
    dof = PAIRS - 4
    ours = np.where(fit.ok, fit["rmse"] ** 2 * dof, np.inf)
    theirs = [np.array(peer(l0, l1, STARTS[:count])) for count in COUNTS]
    best = np.minimum(ours, theirs[0])  # the most starts hold the fewer
    enough = best * (1 + 1e-6) + 1e-20 * l1.var(axis=1) * PAIRS
    inside = fit.ok
    return [inside.mean()] + [
        (s[inside] <= enough[inside]).mean() for s in (ours, *theirs)
    ]


def quartiles(values: list[float]) -> str:
    """Return median and quartiles."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.0f} [{low:.0f}, {high:.0f}]".rjust(18)


def compare(noise: float) -> None:
    """Print one line of the table."""
    ratios: list[list[float]] = [[] for _ in COUNTS]
    share, rate = [], []
    fit_free_floors(*sets(noise, 100, 0))
    for turn in range(ROUNDS):
        batch, few = sets(noise, OURS, turn), sets(noise, THEIRS, turn)
        ours = seconds(lambda b=batch: fit_free_floors(*b)) / OURS
        for ratio, count in zip(ratios, COUNTS, strict=True):
            start = STARTS[:count]
            theirs = seconds(lambda f=few, s=start: peer(*f, s)) / THEIRS
            ratio.append(theirs / ours)
        share.append(seconds(grid) / 400 / ours)
        rate.append(1 / ours)
    print(
        f"{noise:6.3f}{np.median(rate):9.0f}{''.join(map(quartiles, ratios))}"
        f"{np.median(share):7.0%}{''.join(f'{s:8.1%}' for s in found(noise))}"
    )


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", OptimizeWarning)
    warnings.simplefilter("ignore", RuntimeWarning)
    print(f"sets a CPU-second, one thread; load {os.getloadavg()[0]:.1f}")
    print("ratios of CPU time: median [quartiles] of", ROUNDS, "interleaved rounds")
    columns = "".join(f"vs {c} start(s)".rjust(18) for c in COUNTS)
    print(f" noise   sets/s{columns}  floor  inside  found: 12, 4, 1 start(s)")
    for noise in (0.0, 0.001, 0.005, 0.01):
        compare(noise)


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(
            sys.executable,
            [sys.executable, *sys.argv],
            os.environ | {"OMP_NUM_THREADS": "1"},
        )
    main()
