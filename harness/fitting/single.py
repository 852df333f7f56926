"""Laws of one curve: power, shifted-power and two-segment, a fit a file.

A training file is fitted whole; a test file is fitted on its first part and forecast
beyond it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from harness.fits import power_law, shifted_power, two_segment
from harness.fitting.files import Columns, check_ascending, check_rows, read_columns
from harness.fitting.request import PARAMETERS, UNTIL, Given, Request
from harness.fitting.result import GIVEN, TEST, TRAIN, Answer, Fit, Scored, fit_of
from harness.measure import Estimates, Floats


class Family(NamedTuple):
    """A law of one curve."""

    formula: str
    fit: Callable[..., Estimates]
    curve: Callable[[Mapping[str, float], Floats], Floats]
    """The loss `[n]` at times `[n]`."""
    min_points: int
    errors: str
    """What its standard errors assume."""


def _power(p: Mapping[str, float], t: Floats) -> Floats:
    return np.asarray(np.exp(p["log_c"] - p["alpha"] * np.log(t)))


def _shifted(p: Mapping[str, float], t: Floats) -> Floats:
    return np.asarray(p["E"] + p["A"] * t ** -p["alpha"])


def _two_segment(p: Mapping[str, float], t: Floats) -> Floats:
    alpha = np.where(t < p["t_knee"], p["alpha_1"], p["alpha_2"])
    return np.asarray(p["loss_knee"] * (t / p["t_knee"]) ** -alpha)


_WHITE: Final = "standard errors assume residuals without correlation"
FAMILIES: Final = {
    "power": Family(
        "L(t) = exp(log_c) t^-alpha, least squares of ln L",
        power_law.fit_power_law,
        _power,
        power_law.MIN_POINTS,
        "standard errors allow for AR(1) residuals",
    ),
    "shifted-power": Family(
        "L(t) = E + A t^-alpha, least squares of L",
        shifted_power.fit_shifted_power,
        _shifted,
        shifted_power.MIN_POINTS,
        _WHITE,
    ),
    "two-segment": Family(
        "L(t) = loss_knee (t / t_knee)^-alpha, alpha_1 before t_knee and alpha_2 "
        "after it, least squares of ln L",
        two_segment.fit_two_segment,
        _two_segment,
        2 * two_segment.MIN_POINTS,
        _WHITE,
    ),
}


def fit_single(request: Request) -> Answer:
    """Fit a law of one curve to each file, and score it.

    Raises:
        ValueError: A file or the parameters cannot be used.
    """
    family = FAMILIES[request.law]
    given = None if request.params is None else Given(request.params, request.law)
    share = UNTIL if request.until is None else request.until
    fits, scored = [], []
    for part, paths in ((TRAIN, request.train), (TEST, request.test)):
        for path in paths:
            t, loss = read_curve(path, request.first_step, family.min_points)
            end = t[-1] * share if part == TEST else t[-1]
            if given is None:
                found = family.fit(t, loss[None], window=(0.0, end))
                fit = fit_of(found, PARAMETERS[request.law], str(path))
            else:
                fit = Fit(file=str(path), status=GIVEN, values=given.of(str(path)))
            fits.append(fit)
            scored.append(_scored(family, fit, part, t, loss, end))
    notes = [family.errors] if given is None else []
    if request.test:
        notes.append(
            f"test files: fitted up to {share:g} of their last update, scored beyond it"
        )
    return Answer(
        law=request.law,
        formula=f"{family.formula}; t: updates completed",
        x_label="updates completed",
        fits=fits,
        scored=scored,
        notes=notes,
    )


def read_curve(path: Path, first_step: int, least: int) -> tuple[Floats, Floats]:
    """Return updates completed `[n]` and losses `[n]` of a file.

    Raises:
        ValueError: The file cannot be used.
    """
    table = read_columns(path, ("step", "loss"))
    check_rows(table, least)
    return updates_completed(table, first_step), table.values["loss"]


def updates_completed(table: Columns, first_step: int) -> Floats:
    """Return how many updates each row has seen, `[n]`, ascending.

    Raises:
        ValueError: The steps do not ascend, or begin before the first update.
    """
    check_ascending(table)
    step = table.values["step"]
    if step[0] < first_step:
        raise ValueError(
            f"{table.name}: {table.at(0)}: step is {step[0]:g}, before the first "
            f"update, which is step {first_step}; say --first-step 0 if the file "
            "counts updates from 0, or leave the row out if its loss was measured "
            "before training"
        )
    return step - (first_step - 1)


def _scored(
    family: Family, fit: Fit, part: str, t: Floats, loss: Floats, end: float
) -> Scored:
    predicted = np.full(len(t), np.nan)
    if fit.has_law:
        with np.errstate(all="ignore"):
            predicted = family.curve(fit.values, t)
    return Scored(
        file=str(fit.file),
        part=part,
        x=t,
        loss=loss,
        predicted=predicted,
        asked=t > end if part == TEST else np.ones(len(t), dtype=np.bool_),
        status=fit.status,
    )
