"""False knees, power and error of the knee test on simulated curves.

Prints what was claimed beside what is measured, with 95 % (Wilson) intervals of the
measured rates and the chance of a claim this far off, if 100 curves stood behind it.
Curves: 4 logs an epoch over epochs 3 to 50, ln L = -alpha ln t plus AR(1) noise with
standard deviation sigma and lag-1 correlation rho per log, plus a saw-tooth of the
given height that repeats every epoch.

    .venv/bin/python benchmarks/knee_rates.py [curves]
"""

import sys
import time
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from harness.fits.knee import find_knees
from harness.fits.online_knee import OnlineKnee, find_knees_online
from harness.fits.two_segment import best_hinge
from harness.fits.windows import epoch_axis, epoch_means
from harness.measure import Floats
from harness.seeds import stream

LOGS = 4
FIRST, LAST = 3, 50
"""Epochs, counted from 1, both included."""
BREAK = 15.0
TIMES = FIRST - 1 + np.arange(1, (LAST - FIRST + 1) * LOGS + 1) / LOGS
"""Times of the logs in epochs."""
BINS = epoch_axis(LAST, LOGS)[FIRST - 1 :]


class Scene(NamedTuple):
    """A kind of curve and what was claimed of it, in per cent or epochs."""

    sigma: float
    rho: float
    saw: float = 0.0
    before: float = 0.5
    after: float = 0.5
    claim: float | None = None
    error: float | None = None


NULLS = (
    Scene(0.02, 0, claim=1),
    Scene(0.05, 0.5, claim=0),
    Scene(0.05, 0.9, claim=5),
    Scene(0.02, 0, 0.3, claim=0),
    Scene(0.05, 0.5, 0.3, claim=3),
)
SAW = NULLS[3]
NAIVE = (
    Scene(0.02, 0, claim=22),
    Scene(0.05, 0.5, claim=69),
    Scene(0.05, 0.9, claim=99),
)
KNEES = (
    Scene(0.05, 0.5, before=0.9, claim=100, error=0.6),
    Scene(0.05, 0.9, before=0.9, claim=85, error=1.4),
    Scene(0.05, 0.5, before=0.54, after=0.3, claim=98, error=1.4),
    Scene(0.05, 0.9, before=0.54, after=0.3, claim=55, error=4),
)


def simulate(scene: Scene, num: int, seed: int = 0) -> Floats:
    """Return losses `[num, 4 x 48]` at `TIMES`."""
    shocks = stream(seed, "knee_rates", *map(int, np.array(scene[:5]) * 1000))
    noise = shocks.standard_normal((num, len(TIMES)))
    for i in range(1, len(TIMES)):
        fresh = np.sqrt(1 - scene.rho**2) * noise[:, i]
        noise[:, i] = scene.rho * noise[:, i - 1] + fresh
    x = np.log(TIMES)
    trend = -scene.before * x
    trend += (scene.before - scene.after) * np.maximum(x - np.log(BREAK), 0)
    phase = (np.arange(len(TIMES)) % LOGS) / (LOGS - 1) - 0.5
    losses: Floats = np.exp(trend + scene.sigma * noise + scene.saw * phase)
    return losses


def naive_flags(losses: Floats) -> np.ndarray:
    """Return which curves the AIC of single logs says have a knee (12 logs a side)."""
    best = best_hinge(np.log(TIMES), np.log(losses), min_points=12, between=False)
    return len(TIMES) * np.log(best.rss_line / best.rss) - 4 > 0


def median_filtered(losses: Floats, width: int = 5) -> Floats:
    """Return running medians, the ends repeated."""
    wide = np.pad(losses, ((0, 0), (width // 2, width // 2)), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(wide, width, 1), axis=2)


def rate(flags: np.ndarray, claim: float | None) -> str:
    """Return claimed and measured rate, its interval, and how surprising."""
    hits, num = int(flags.sum()), len(flags)
    test = binomtest(hits, num)
    low, high = test.proportion_ci(method="wilson")
    text = f"{hits / num:6.1%} [{low:5.1%}, {high:6.1%}]"
    if claim is None:
        return f"      -  {text}"
    share = np.clip(hits / num, 0.5 / num, 1 - 0.5 / num)
    chance = binomtest(round(claim), 100, share).pvalue
    return f"{claim:6.0f}%  {text}  p {chance:.2f}"


def label(scene: Scene) -> str:
    """Return the scene in a few characters."""
    return (
        f"sigma {scene.sigma:.2f} rho {scene.rho:.1f} saw {scene.saw:.1f} "
        f"{scene.before:.2f} -> {scene.after:.2f}"
    )


def main(num: int) -> None:
    """Print the tables."""
    print(f"{num} curves a row; claimed, measured [95 % interval], p of the claim")
    print("\nfalse knees of find_knees")
    for scene in NULLS:
        means = epoch_means(simulate(scene, num), LOGS)
        print(label(scene), rate(find_knees(BINS, means)["knee"] > 0, scene.claim))
    print("\nfalse knees of the naive AIC test on single logs")
    for scene in NAIVE:
        print(label(scene), rate(naive_flags(simulate(scene, num)), scene.claim))
    print("\nfalse knees after a running median of 5 logs, one log an epoch kept")
    print("(claimed: 14 to 24 %), by which of the 4 logs")
    smooth = median_filtered(simulate(SAW, num))
    for log in range(LOGS):
        found = find_knees(TIMES[log::LOGS], smooth[:, log::LOGS])
        print(label(SAW), f"log {log + 1}", rate(found["knee"] > 0, None))
    print("\npower of find_knees; |error| in epochs: claimed, median, mean")
    for scene in KNEES:
        found = find_knees(BINS, epoch_means(simulate(scene, num), LOGS))
        flags = found["knee"] > 0
        error = np.abs(found["t_knee"] - BREAK)[flags]
        print(
            label(scene),
            rate(flags, scene.claim),
            f"  {scene.error} {np.median(error):.2f} {error.mean():.2f}",
        )
    print(
        "\nwatched as they grow (find_knees_online): flagged at all; before the knee;"
    )
    print("latency in epochs: median, 90 %")
    for scene in (*NULLS, *KNEES):
        means = epoch_means(simulate(scene, num // 4, seed=1), LOGS)
        found = find_knees_online(BINS, means)
        late = found["t_flag"][found.ok] - BREAK
        line = f"{label(scene)} {rate(found.ok, None)}"
        if scene.before != scene.after:
            spread = np.percentile(late[late > 0], [50, 90])
            line += f"  {np.mean(late < 0):.1%}  {spread[0]:.1f} {spread[1]:.1f}"
        print(line)
    watch = OnlineKnee()
    start = time.process_time()
    for t, mean in zip(BINS, means[0], strict=True):
        watch.push(t, mean)
    spent = (time.process_time() - start) / len(BINS)
    print(f"\nOnlineKnee.push: {1e3 * spent:.2f} ms of processor time a bin")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
