"""The multi-power law: one fit of all training files with their learning rates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from harness.fits.multi_power import MultiPower, multi_power_law
from harness.fits.multi_power_fit import UNITS, ScheduledCurve, fit_multi_power
from harness.fits.multi_power_terms import gather_terms
from harness.fitting.files import Columns, check_rows, read_columns
from harness.fitting.rates import fill_rates
from harness.fitting.request import MULTI_POWER, PARAMETERS, Given, Request
from harness.fitting.result import (
    GIVEN,
    TEST,
    TRAIN,
    Answer,
    Fit,
    Mask,
    Scored,
    fit_of,
)
from harness.fitting.single import updates_completed
from harness.measure import Floats

APART: Final = 1000.0
"""Factor between files beyond which the same column cannot be in the same unit."""

MAX_UPDATES: Final = 20_000_000
"""Longest run; every update has its rate in memory."""
EXACT_TERMS: Final = 4e8
"""Rows times changes of the rate up to which the law is evaluated exactly: 6 s."""


class Run(NamedTuple):
    """A file with the rate of every update."""

    file: str
    part: str
    curve: ScheduledCurve
    note: str


def fit_scheduled(request: Request) -> Answer:
    """Fit the multi-power law to the training files, and score it on all.

    Raises:
        ValueError: A file or the parameters cannot be used.
    """
    parts = [TRAIN] * len(request.train) + [TEST] * len(request.test)
    tables = [_read(path) for path in (*request.train, *request.test)]
    _check_units(tables)
    runs = [
        _run(table, part, request) for table, part in zip(tables, parts, strict=True)
    ]
    trained = [run for run in runs if run.part == TRAIN]
    if request.params is None:
        found = fit_multi_power([run.curve for run in trained])
        fits = [fit_of(found, PARAMETERS[MULTI_POWER], None)]
    else:
        given = Given(request.params, MULTI_POWER)
        sets = {run.file: given.of(run.file) for run in runs}
        names = list(sets) if given.by_file else [None]
        fits = [
            Fit(file=name, status=GIVEN, values=given.of(name or ""), units=UNITS)
            for name in names
        ]
    laws = {fit.file: fit for fit in fits}
    known = {point for run in trained for point in _points(run)}
    scored = [
        _scored(run, laws.get(run.file, fits[0]), known if trained else None)
        for run in runs
    ]
    return Answer(
        law=MULTI_POWER,
        formula=(
            "L(t) = l0 + a S^-alpha - LD(b, c, beta, gamma), S: sum of the learning "
            "rates up to t; arXiv 2503.12811"
        ),
        x_label="updates completed",
        fits=fits,
        scored=scored,
        notes=_notes(fits[0], scored),
    )


def _run(table: Columns, part: str, request: Request) -> Run:
    """Return a file from its first row with a rate above 0 on."""
    lr, loss = table.values["lr"], table.values["loss"]
    at = updates_completed(table, request.first_step).astype(np.int64)
    if at[-1] > MAX_UPDATES:
        raise ValueError(
            f"{table.name}: {table.at(len(at) - 1)}: step is {at[-1]:g}, more than "
            f"{MAX_UPDATES:g} updates, expected updates; turn tokens or examples into "
            "updates"
        )
    schedule = fill_rates(
        at, lr, warmup_steps=request.warmup_steps, peak_lr=request.peak_lr
    )
    begun = at > np.flatnonzero(schedule.rates)[0]
    note = schedule.note
    if not begun.all():
        note += f"; {int((~begun).sum())} rows before the first rate above 0 left out"
    curve = ScheduledCurve(
        rates=schedule.rates, at=at[begun].astype(np.float64), loss=loss[begun]
    )
    return Run(table.name, part, curve, note)


def _read(path: Path) -> Columns:
    table = read_columns(path, ("step", "lr", "loss"))
    check_rows(table, 2)
    if not table.values["lr"].any():
        raise ValueError(f"{path}: every lr is 0; expected the learning rate in use")
    return table


def _check_units(tables: Sequence[Columns]) -> None:
    """Refuse files whose numbers differ so much that their units must differ."""
    for name, size in (("step", np.max), ("lr", np.max), ("loss", np.median)):
        sizes = [float(size(table.values[name])) for table in tables]
        low, high = int(np.argmin(sizes)), int(np.argmax(sizes))
        if sizes[high] > APART * sizes[low]:
            raise ValueError(
                f"{name} of {tables[high].name} (about {sizes[high]:g}) and of "
                f"{tables[low].name} (about {sizes[low]:g}) differ by a factor of over "
                f"{APART:g}: these are not the same unit; one law needs steps in "
                "updates, the learning rate itself (no multiple of its peak) and nat"
            )


def _points(run: Run) -> list[tuple[float, float]]:
    return list(zip(run.curve.at.tolist(), run.curve.loss.tolist(), strict=True))


def _scored(run: Run, fit: Fit, known: set[tuple[float, float]] | None) -> Scored:
    curve, note = run.curve, run.note
    predicted = np.full(len(curve.at), np.nan)
    if fit.has_law:
        law = MultiPower(**fit.values)
        if len(curve.at) * np.count_nonzero(np.diff(curve.rates)) <= EXACT_TERMS:
            predicted = multi_power_law(law, curve.rates, curve.at)
        else:
            predicted = _gathered(law, curve)
            note += "; so many rows that the law is evaluated to about 1e-5 nat only"
    seen: Mask | None = None
    if known is not None and run.part == TEST:
        seen = np.array([point in known for point in _points(run)], dtype=np.bool_)
    return Scored(
        file=run.file,
        part=run.part,
        x=curve.at,
        loss=curve.loss,
        predicted=predicted,
        asked=np.ones(len(curve.at), dtype=np.bool_),
        status=fit.status,
        known=seen,
        note=note,
    )


def _gathered(law: MultiPower, curve: ScheduledCurve) -> Floats:
    """Return the law at the points of a curve by the sum that the fit uses."""
    terms = gather_terms(curve.rates, curve.at)
    drop = terms.drop(law.c, law.beta, law.gamma).value
    return law.l0 + law.a * terms.sums**-law.alpha - law.b * drop


def _notes(fit: Fit, scored: Sequence[Scored]) -> list[str]:
    notes = []
    if not fit.has_law:
        notes.append(
            "the training files do not fix the law: add curves of other schedules, "
            "whose rates fall at other times and to other values"
        )
    if any("guessed" in s.note for s in scored):
        notes.append(
            "what came before the first rows is a guess; --warmup-steps and --peak-lr "
            "tell it (--warmup-steps 0: no warm-up)"
        )
    twice = sum(int(s.known.sum()) for s in scored if s.known is not None)
    if twice:
        total = sum(len(s.loss) for s in scored if s.known is not None)
        notes.append(
            f"{twice} of {total} test rows have the step and loss of a training row; "
            "'unseen' leaves them out"
        )
    return notes
