"""Power laws fitted to many curves against a loop over scipy.optimize.curve_fit.

Same curves of 200 points, same objective, one thread, interleaved. For the plain power
law scipy has the same line on logarithms; for the one with a floor the analytic
Jacobian and a start at (0.9 min L, 1, 0.5). "worst" is the largest relative excess of
our sum of squares over scipy's. Before that, a million curves from a float32 file; the
memory is that beside the mapped file, over what the process had after its imports.

Floor: a curve has to be read (bytes) and, with a floor, multiplied with the sketch and
raised to one power (flops); the last column is the share of the time that copying the
bytes to float64, the product and the exponentials or logarithms alone take here.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

from harness.executors.local import cpu_environment
from harness.fits.power_law import fit_power_law
from harness.fits.shifted_power import fit_shifted_power
from harness.measure import Floats
from harness.seeds import stream

ROUNDS = 9
SCIPY_CURVES = 300
OUR_CURVES = 20_000
POINTS = 200
T: Floats = np.arange(1, POINTS + 1) / 4
LOG_T = np.log(T)


def curves(num: int, *counters: int) -> np.ndarray:
    """Return falling curves with a floor and 2 % noise, float32."""
    draw = stream(0, "bench", *counters)
    floor, scale, alpha = (draw.random((num, 1)) for _ in range(3))
    clean = 0.6 * floor + (0.3 + scale) * np.exp(-(0.2 + alpha) * LOG_T)
    noise = draw.standard_normal((num, POINTS), dtype=np.float32)
    return (clean * (1 + 0.02 * noise)).astype(np.float32)


def shifted(t: Floats, floor: float, scale: float, alpha: float) -> Floats:
    """Return the power law with a floor."""
    return floor + scale * t**-alpha


def shifted_jacobian(t: Floats, floor: float, scale: float, alpha: float) -> Floats:
    """Return its derivatives, [T, 3]."""
    p = t**-alpha
    return np.stack([np.ones_like(t), p, -scale * LOG_T * p], axis=1)


def scipy_shifted(loss: np.ndarray) -> Floats:
    """Return the sums of squares that curve_fit reaches with a floor."""
    rss = np.empty(len(loss))
    for i, curve in enumerate(loss.astype(np.float64)):
        start = (0.9 * curve.min(), 1.0, 0.5)
        p, _ = curve_fit(shifted, T, curve, start, jac=shifted_jacobian)
        rss[i] = np.square(curve - shifted(T, *p)).sum()
    return rss


def scipy_power(loss: np.ndarray) -> Floats:
    """Return the sums of squares on logarithms that curve_fit reaches."""
    rss = np.empty(len(loss))
    for i, curve in enumerate(np.log(loss.astype(np.float64))):
        p, _ = curve_fit(lambda x, a, b: a - b * x, LOG_T, curve, (0.0, 0.5))
        rss[i] = np.square(curve - p[0] + p[1] * LOG_T).sum()
    return rss


def seconds(action: Callable[[], object]) -> float:
    """Return the processor seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def unavoidable(loss: np.ndarray, columns: int, function: np.ufunc) -> float:
    """Return seconds a curve for reading, one product and one transcendental."""
    block = loss[:320]
    wide = block.astype(np.float64)
    sketch = np.ones((POINTS, columns))
    times = []
    for _ in range(50):
        start = time.process_time()
        np.copyto(wide, block)
        if columns:
            wide @ sketch
        function(wide, out=wide)
        times.append(time.process_time() - start)
    return statistics.median(times) / len(block)


def compare(
    name: str,
    ours: Callable[[np.ndarray], Floats],
    theirs: Callable[[np.ndarray], Floats],
    floor: Callable[[np.ndarray], float],
) -> None:
    """Print one line of the table."""
    loss = curves(OUR_CURVES)
    few = loss[:SCIPY_CURVES]
    excess = ours(few) / theirs(few) - 1
    mine, scipys = [], []
    for _ in range(ROUNDS):
        mine.append(seconds(lambda: ours(loss)) / OUR_CURVES)
        scipys.append(seconds(lambda: theirs(few)) / SCIPY_CURVES)
    ratios = [b / a for a, b in zip(mine, scipys, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    best = statistics.median(mine)
    print(
        f"{name:14s} {1 / statistics.median(scipys):9,.0f} {1 / best:11,.0f}"
        f"   {middle:5.0f} [{low:.0f}, {high:.0f}]   {excess.max():9.1e}"
        f"   {floor(loss) / best:5.0%}"
    )


def anonymous_mib() -> float:
    """Return resident memory that is no file's, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(x for x in lines if x.startswith("RssAnon")).split()[1]) / 1024


def peak_mib(action: Callable[[], object]) -> float:
    """Return by how much an action raises the anonymous resident memory."""
    before, highest, done = anonymous_mib(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            highest[0] = max(highest[0], anonymous_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    action()
    done.set()
    watcher.join()
    return highest[0] - before


def million(num: int) -> None:
    """Fit curves from a file and print speed and memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loss.f32"
        with path.open("wb") as file:
            for i in range(0, num, 500):
                file.write(curves(500, i).tobytes())
        loss = np.memmap(path, np.float32, "r", shape=(num, POINTS))
        for name, fit in (("power", fit_power_law), ("shifted", fit_shifted_power)):
            took: list[float] = []
            good: list[float] = []

            def run(fit=fit, took=took, good=good) -> None:  # type: ignore[no-untyped-def]
                start = time.process_time()
                good.append(float(fit(T, loss).ok.mean()))
                took.append(time.process_time() - start)

            extra = peak_mib(run)
            print(
                f"{name:8s} {num:,} curves from {loss.nbytes / 2**20:.0f} MiB: "
                f"{took[0]:.1f} CPU-s, {good[0]:.2%} ok, memory over import "
                f"{extra:.0f} MiB ({extra * 2**20 / num:.0f} bytes a curve)"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=1_000_000)
    options = parser.parse_args()
    million(options.curves)
    print(f"curves a CPU-second, {POINTS} points; load {os.getloadavg()[0]:.1f}")
    print("fit            curve_fit        ours   ratio [quartiles]   worst   floor")
    compare(
        "A t^-alpha",
        lambda loss: fit_power_law(T, loss)["rss"],
        scipy_power,
        lambda loss: unavoidable(loss, 0, np.log),
    )
    compare(
        "E + A t^-alpha",
        lambda loss: fit_shifted_power(T, loss)["rss"],
        scipy_shifted,
        lambda loss: unavoidable(loss, 44, np.exp),
    )


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | cpu_environment(1)
        )
    main()
