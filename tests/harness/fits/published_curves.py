"""The curves of arXiv 2503.12811 with their schedules, and its fitted parameters."""

from pathlib import Path

import numpy as np

from harness.fits.multi_power import MultiPower
from harness.fits.multi_power_fit import ScheduledCurve

WARMUP, PEAK, FLOOR = 2160, 3e-4, 3e-5
TRAINING = ("cosine_24000", "constant_24000", "wsdcon_9")
HELD_OUT = (
    "constant_72000",
    "cosine_72000",
    "wsd_20000_24000",
    "wsdld_20000_24000",
    "wsdcon_3",
    "wsdcon_18",
)
LAWS = {
    "25": MultiPower(
        3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013,
        0.64142257,
    ),
    "100": MultiPower(
        2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199,
        0.65523644,
    ),
}  # fmt: skip


def published_rates(name: str) -> np.ndarray:
    """Return the learning rates of a schedule; the first is 0, as in the paper."""
    kind, *numbers = name.split("_")
    step = np.arange(WARMUP, 16000 if kind == "wsdcon" else int(numbers[-1]))
    if kind == "cosine":
        share = (step - WARMUP) / (step[-1] + 1 - WARMUP)
        rates = FLOOR + (PEAK - FLOOR) * (1 + np.cos(np.pi * share)) / 2
    elif kind == "wsdcon":
        rates = np.where(step < 8000, PEAK, int(numbers[0]) * 1e-5)
    elif kind == "wsd":
        rates = PEAK * 0.1 ** (np.maximum(step - 20000, 0) / 4000)
    elif kind == "wsdld":
        rates = PEAK - (PEAK - FLOOR) * np.maximum(step - 20000, 0) / 4000
    else:
        rates = np.full(len(step), PEAK)
    return np.r_[np.linspace(0, PEAK, WARMUP), rates]


def published_curve(shared_data: Path, size: str, name: str) -> ScheduledCurve:
    """Return a curve; step s of the files comes after s + 1 of the rates."""
    path = shared_data / "multi_power_law" / size / f"{name}.csv"
    step, rate, loss = np.loadtxt(path, delimiter=",", skiprows=1).T
    rates = published_rates(name)
    np.testing.assert_allclose(rates[step.astype(int)], rate, rtol=1e-9)
    return ScheduledCurve(rates=rates, at=step + 1, loss=loss)
