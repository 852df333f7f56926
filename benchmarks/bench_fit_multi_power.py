"""Fitting the multi-power law against the public fitter's algorithm.

The peer is written here from its description (Luo et al., arXiv 2503.12811, and the
settings of their repository): 135 L-BFGS-B starts with numerical derivatives for the
law whose rates act at once, then AdamW (0.05 for l0, a, b, c, 0.005 for the exponents)
for at most 200 steps from c = 1, beta = gamma = 1/2, with patience 20, every loss a
python loop over points that sums over all steps before it. It runs once, in full, which
takes most of the four processor minutes of this script. Both are judged on the curves
that neither saw; rows that repeat a training row are left out in the last column.
Without the published curves, curves of the law with noise stand in.

Floor: three exponentials or logarithms a term, for one evaluation of law and slope.
"""

import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize

from harness.executors.local import cpu_environment
from harness.fits.huber_lm import huber
from harness.fits.multi_power import DELTA, MultiPower, curve_errors, multi_power_law
from harness.fits.multi_power_fit import (
    NO_PRIOR,
    ScheduledCurve,
    fit_multi_power,
    join_terms,
    law_of,
)
from harness.fits.multi_power_terms import gather_terms
from harness.seeds import stream
from tests.harness.fits.published_curves import (
    HELD_OUT,
    LAWS,
    PEAK,
    TRAINING,
    published_curve,
    published_rates,
)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ROUNDS = 7


def load(size: str, name: str) -> ScheduledCurve:
    """Return a published curve, or one of the published law with noise."""
    if (SHARED_DATA / "multi_power_law").is_dir():
        return published_curve(SHARED_DATA, size, name)
    rates = published_rates(name)
    at = np.arange(2177.0, len(rates) + 1, 128)
    noise = 5e-4 * stream(0, f"bench_fit_multi_power/{size}/{name}").standard_normal(
        len(at)
    )
    loss = multi_power_law(LAWS[size], rates, at) * np.exp(noise)
    return ScheduledCurve(rates=rates, at=at, loss=loss)


class Start(NamedTuple):
    """Where the peer's descent begins."""

    params: list[float]
    evaluations: int


def peer_start(curves: Sequence[ScheduledCurve]) -> Start:
    """Return the best of 135 fits of l0 + a S^-alpha - b (peak - eta)."""
    loss = np.concatenate([c.loss for c in curves])
    at = [np.asarray(c.at, np.int64) - 1 for c in curves]
    lowest = loss.min()
    sums = np.concatenate(
        [np.cumsum(c.rates)[s] for c, s in zip(curves, at, strict=True)]
    )
    slope, level = np.polyfit(np.log(sums), np.log(loss - lowest + 0.01), 1)

    def objective(p: np.ndarray) -> float:
        total = 0.0
        for curve, s in zip(curves, at, strict=True):
            power = np.cumsum(curve.rates)[s] ** -p[2]
            fitted = p[0] + p[1] * power - p[3] * (PEAK - curve.rates[s])
            with np.errstate(invalid="ignore", divide="ignore"):
                off = np.log(curve.loss) - np.log(fitted)
            total += float(huber(off, DELTA).sum())
        return total

    best, evaluations = None, 0
    for start in itertools.product(
        np.linspace(lowest - 0.2, lowest + 0.2, 5),
        np.exp(level) + np.array([-0.1, 0.0, 0.1]),
        -slope + np.array([-0.1, 0.0, 0.1]),
        np.linspace(100, 1000, 3),
    ):
        found = minimize(
            objective,
            start,
            method="L-BFGS-B",
            bounds=[(0, np.inf)] * 4,
            options={"maxiter": 100000, "ftol": 1e-9, "gtol": 1e-6, "eps": 1e-8},
        )
        evaluations += found.nfev
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    return Start([float(v) for v in best.x], evaluations)


def naive_loss(
    p: Sequence[torch.Tensor], curves: Sequence[ScheduledCurve]
) -> torch.Tensor:
    """Return the summed Huber loss, point by point and step by step."""
    l0, a, alpha, b, c, beta, gamma = p
    total = torch.zeros((), dtype=torch.float64)
    for curve in curves:
        rates = torch.as_tensor(curve.rates)
        fall, sums = rates[:-1] - rates[1:], torch.cumsum(rates, 0)
        for at, loss in zip(curve.at, curve.loss, strict=True):
            s = int(at) - 1
            tail = sums[s] - sums[:s]
            kernel = 1 - (1 + c * rates[1 : s + 1] ** -gamma * tail) ** -beta
            drop = b * (fall[:s] * kernel).sum()
            fitted = l0 + a * sums[s] ** -alpha - drop
            off = torch.abs(torch.log(fitted) - float(np.log(loss)))
            linear = DELTA * (off - DELTA / 2)
            total = total + torch.where(off < DELTA, off**2 / 2, linear)
    return total


class PeerFit(NamedTuple):
    """What the peer found and how long each half took."""

    law: MultiPower
    start_s: float
    descent_s: float
    steps: int


def peer_fit(curves: Sequence[ScheduledCurve]) -> PeerFit:
    """Fit as the public algorithm does, in full."""
    begin = time.process_time()
    start = peer_start(curves)
    middle = time.process_time()
    p = [
        torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for v in [*start.params, 1.0, 0.5, 0.5]
    ]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p[0], p[1], p[3], p[4]], "lr": 5e-2},
            {"params": [p[2], p[5], p[6]], "lr": 5e-3},
        ]
    )
    least, best, idle = float("inf"), [v.item() for v in p], 0
    for step in range(200):
        optimizer.zero_grad()
        total = naive_loss(p, curves)
        total.backward()  # type: ignore[no-untyped-call]
        idle = 0 if total.item() < least else idle + 1
        if total.item() < least:
            least, best = total.item(), [v.item() for v in p]
        slope = sum(float(v.grad**2) for v in p if v.grad is not None) ** 0.5
        if (step > 20 and idle >= 20) or slope < 1e-5:
            break
        optimizer.step()
    end = time.process_time()
    return PeerFit(MultiPower(*best), middle - begin, end - middle, step + 1)


def judge(
    label: str, law: MultiPower, trained: Sequence[ScheduledCurve], size: str
) -> None:
    """Print one line of the table of errors."""
    seen = {row for c in trained for row in zip(c.at, c.loss, strict=True)}

    def huber_of(curves: Sequence[ScheduledCurve], losses: list[np.ndarray]) -> float:
        return sum(
            float(huber(np.log(loss / c.loss), DELTA).sum())
            for c, loss in zip(curves, losses, strict=True)
        )

    fitted = [multi_power_law(law, c.rates, c.at) for c in trained]
    held = [load(size, name) for name in HELD_OUT]
    ahead = [multi_power_law(law, c.rates, c.at) for c in held]
    new = [
        np.array([row not in seen for row in zip(c.at, c.loss, strict=True)])
        for c in held
    ]
    train_mae = np.mean(
        [curve_errors(c.loss, f).mae for c, f in zip(trained, fitted, strict=True)]
    )
    errors = np.mean(
        [curve_errors(c.loss, f) for c, f in zip(held, ahead, strict=True)], axis=0
    )
    apart = np.mean(
        [
            curve_errors(c.loss[k], f[k]).mae
            for c, f, k in zip(held, ahead, new, strict=True)
        ]
    )
    print(
        f"{size:>4}M {label:>10} {huber_of(trained, fitted):10.2e} {train_mae:9.5f}"
        f" {huber_of(held, ahead):10.2e} {errors[1]:9.5f} {errors[0]:8.5f}"
        f" {errors[2]:8.5f} {errors[3]:8.5f} {errors[4]:8.5f} {apart:9.5f}"
    )


def seconds(action: Callable[[], object]) -> float:
    """Return the processor seconds of an action."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def floor(curves: Sequence[ScheduledCurve]) -> tuple[float, float]:
    """Return seconds of one evaluation and of its exponentials and logarithms."""
    terms = join_terms([gather_terms(c.rates, c.at) for c in curves])
    x = np.linspace(0.1, 3.0, len(terms.fall))
    whole = [seconds(lambda: terms.drop(2.0, 0.6, 0.6)) for _ in range(20)]
    least = [seconds(lambda: (np.exp(x), np.log1p(x), np.exp(-x))) for _ in range(20)]
    return statistics.median(whole), statistics.median(least)


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    real = (SHARED_DATA / "multi_power_law").is_dir()
    print(
        f"{'published' if real else 'simulated'} curves; load {os.getloadavg()[0]:.1f}"
    )
    fits = {}
    print("size   peer start+descent s (steps)   own s   ratio [quartiles]   floor")
    for size in LAWS:
        curves = [load(size, name) for name in TRAINING]
        first = [seconds(partial(fit_multi_power, curves)) for _ in range(ROUNDS)]
        peer = peer_fit(curves)
        again = [seconds(partial(fit_multi_power, curves)) for _ in range(ROUNDS)]
        own = first + again
        total = peer.start_s + peer.descent_s
        ratios = statistics.quantiles([total / s for s in own], n=4)
        one, least = floor(curves)
        print(
            f"{size:>4}M {peer.start_s:8.1f} + {peer.descent_s:.1f} ({peer.steps})"
            f" {statistics.median(own):14.2f} {ratios[1]:9.0f} "
            f"[{ratios[0]:.0f}, {ratios[2]:.0f}]   {least / one:.0%} of an evaluation, "
            f"{one * 1e3:.1f} ms"
        )
        fits[size] = {
            "own": law_of(fit_multi_power(curves)),
            "peer": peer.law,
            "published": LAWS[size],
        }
        plain = fit_multi_power(curves, prior=NO_PRIOR)
        if plain.ok[0]:
            fits[size]["no prior"] = law_of(plain)
    print(
        "\nsize        law  train sum      MAE   held sum       MAE       R2     RMSE"
        "    PredE   WorstE  MAE apart"
    )
    for size, found in fits.items():
        trained = [load(size, name) for name in TRAINING]
        for label, law in found.items():
            judge(label, law, trained, size)


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | cpu_environment(1)
        )
    main()
