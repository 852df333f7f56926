"""The law between two losses of the same models, from two files or two columns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.fits.loss_to_loss import (
    fit_fixed_floors,
    fit_free_floors,
    shifted_power_law,
)
from harness.fitting.files import (
    Columns,
    check_rows,
    check_unique,
    read_columns,
)
from harness.fitting.request import LOSS_TO_LOSS, PARAMETERS, Given, Request
from harness.fitting.result import GIVEN, TEST, TRAIN, Answer, Fit, Scored, fit_of
from harness.measure import Estimates, Floats

KEYS = ("tokens", "step")
"""Columns that pair the rows of two files; the first that both have."""


class Pairs:
    """Two losses of the same models, ordered by the first."""

    def __init__(self, file: str, l0: Floats, l1: Floats, *notes: str) -> None:
        order = np.argsort(l0, kind="stable")
        self.file, self.l0, self.l1, self.notes = file, l0[order], l1[order], notes


def fit_pairs(request: Request) -> Answer:
    """Fit the law to the training pairs, and score it on all.

    Raises:
        ValueError: A file or the parameters cannot be used.
    """
    parts = [(TRAIN, request.train), (TEST, request.test)]
    sets = [(part, read_pairs(paths)) for part, paths in parts if paths]
    if request.params is not None:
        given = Given(request.params, LOSS_TO_LOSS)
        fit = Fit(file=None, status=GIVEN, values=given.of(sets[0][1].file))
    else:
        pairs = sets[0][1]
        fixed = {"e0": request.e0, "e1": request.e1}
        held = {name: e for name, e in fixed.items() if e is not None}
        found = _fit(pairs, request.e0, request.e1)
        fit = fit_of(found, PARAMETERS[LOSS_TO_LOSS], None, held)
    return Answer(
        law=LOSS_TO_LOSS,
        formula="L1 = k (L0 - e0)^kappa + e1; arXiv 2411.12925",
        x_label="L0 in nat",
        fits=[fit],
        scored=[_scored(pairs, part, fit) for part, pairs in sets],
        notes=_notes(fit, request),
    )


def read_pairs(paths: Sequence[Path]) -> Pairs:
    """Return the pairs of two files (L0, then L1), or of one with columns l0 and l1.

    Raises:
        ValueError: The files cannot be used, or have no row in common.
    """
    if len(paths) == 1:
        table = read_columns(paths[0], ("l0", "l1"))
        check_rows(table, 2)
        return Pairs(table.name, table.values["l0"], table.values["l1"])
    if len(paths) != 2:
        raise ValueError(
            f"loss-to-loss takes two files (L0, then L1) or one with columns l0 and "
            f"l1, got {len(paths)}: {', '.join(map(str, paths))}"
        )
    tables = [read_columns(path, ("loss",), KEYS) for path in paths]
    key = _key(tables)
    for table in tables:
        check_rows(table, 2)
        check_unique(table, key)
    first, second = (table.values[key] for table in tables)
    _, one, two = np.intersect1d(first, second, return_indices=True)
    if not len(one):
        raise ValueError(
            f"{tables[0].name} and {tables[1].name} have no {key} in common "
            f"({first.min():g} .. {first.max():g} and {second.min():g} .. "
            f"{second.max():g}); rows are paired by equal {key}: are they in the same "
            "unit, and logged at the same places?"
        )
    left = len(first) + len(second) - 2 * len(one)
    return Pairs(
        f"{tables[0].name} -> {tables[1].name}",
        tables[0].values["loss"][one],
        tables[1].values["loss"][two],
        f"paired by {key}",
        *([f"{left} rows without a partner"] if left else []),
    )


def _key(tables: Sequence[Columns]) -> str:
    for key in KEYS:
        if all(key in table.values for table in tables):
            return key
    raise ValueError(
        f"{tables[0].name} and {tables[1].name} share no column tokens or step; "
        "expected one of them in both, to pair their rows"
    )


def _fit(pairs: Pairs, e0: float | None, e1: float | None) -> Estimates:
    if e0 is not None and e1 is not None:
        return fit_fixed_floors(pairs.l0, pairs.l1[None], e0=e0, e1=e1)
    return fit_free_floors(pairs.l0, pairs.l1[None], e0=e0)


def _scored(pairs: Pairs, part: str, fit: Fit) -> Scored:
    predicted, notes = np.full(len(pairs.l0), np.nan), list(pairs.notes)
    if fit.has_law:
        p = fit.values
        predicted = shifted_power_law(pairs.l0, p["kappa"], p["k"], p["e0"], p["e1"])
        below = int(np.isnan(predicted).sum())
        if below:
            notes.append(f"{below} rows with L0 below e0, where there is no law")
    return Scored(
        file=pairs.file,
        part=part,
        x=pairs.l0,
        loss=pairs.l1,
        predicted=predicted,
        asked=np.ones(len(pairs.l0), dtype=np.bool_),
        status=fit.status,
        note="; ".join(notes),
    )


def _notes(fit: Fit, request: Request) -> list[str]:
    if not fit.has_law and request.e0 is None:
        return ["free floors are hardly ever determined; --e0 and --e1 hold them"]
    if fit.status == GIVEN:
        return []
    return ["standard errors assume independent errors of L1 only"]
