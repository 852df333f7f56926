"""What a fit says of files: parameters that were found or given, and scored curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.fits.multi_power import CurveErrors, curve_errors
from harness.measure import OK, Estimates, Floats

TRAIN: Final = "train"
TEST: Final = "test"
GIVEN: Final = "given"
"""Status of parameters that were not fitted."""

_UNITS: Final = {"unit of t": "updates"}

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Parameters of a law, with what they were fitted to."""

    file: str | None
    """The one file; None: all training files, or parameters for any file."""
    status: str
    """One of `harness.measure.STATUSES`, or "given"."""
    values: Mapping[str, float]
    """The law's parameters; empty if the data did not determine them."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """Standard errors of those that have one."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit of each parameter."""
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    """What else the estimator says."""
    n: int | None = None
    """Points used."""
    window: tuple[float, float] | None = None
    """First and last abscissa used."""
    estimator: str | None = None
    """Name and version of the estimator."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the estimator."""

    @property
    def has_law(self) -> bool:
        """Whether there are parameters."""
        return bool(self.values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """A curve, or a set of pairs, beside what its law says."""

    file: str
    """The file; two files of a pair of losses as "A.csv -> B.csv"."""
    part: str
    """"train" or "test"."""
    x: Floats
    """`[n]`, updates completed, or the loss that predicts."""
    loss: Floats
    """`[n]`, nat."""
    predicted: Floats
    """`[n]`, what the law says; NaN where it says nothing."""
    asked: Mask
    """`[n]`, points that count in the scores if the law has a value there."""
    status: str
    """That of the law's fit."""
    known: Mask | None = None
    """`[n]`, points that stand in a training file too; None: not looked for."""
    note: str = ""
    """What was taken for granted about this file."""

    @property
    def scored(self) -> Mask:
        """Points that count, `[n]`."""
        return self.asked & np.isfinite(self.predicted)

    def errors(self, among: Mask | None = None) -> CurveErrors | None:
        """Return the errors over those points that count; None if there are none."""
        points = self.scored if among is None else self.scored & among
        if not points.any():
            return None
        return curve_errors(self.loss[points], self.predicted[points])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """All that `harness fit` found."""

    law: str
    formula: str
    """The law in one line, with the meaning of its variable."""
    x_label: str
    """Name and unit of the abscissa."""
    fits: Sequence[Fit]
    """One of all training files, or one a file."""
    scored: Sequence[Scored]
    """A row a file, training files first."""
    notes: Sequence[str] = ()
    """What a reader of the numbers must know."""


def fit_of(
    estimates: Estimates,
    parameters: Sequence[str],
    file: str | None,
    fixed: Mapping[str, float] | None = None,
) -> Fit:
    """Return the only row of estimates as parameters and diagnostics.

    Args:
        estimates: One row.
        parameters: Which quantities are parameters of the law.
        file: What they were fitted to.
        fixed: Parameters that were held, by name.
    """
    status = str(estimates.status[0])
    found = {q: float(estimates[q][0]) for q in estimates.units} if status == OK else {}
    values = {q: found.get(q, (fixed or {}).get(q)) for q in parameters if found}
    first, last = estimates.window[0].tolist()
    return Fit(
        file=file,
        status=status,
        values={q: value for q, value in values.items() if value is not None},
        errors={q: float(e[0]) for q, e in estimates.errors.items() if q in values},
        units={q: _UNITS.get(u, u) for q, u in estimates.units.items()},
        diagnostics={q: value for q, value in found.items() if q not in parameters},
        n=int(estimates.n[0]),
        window=(first, last) if np.isfinite([first, last]).all() else None,
        estimator=f"{estimates.estimator} {estimates.estimator_version}",
        settings=dict(estimates.params),
    )


def mean_errors(
    scored: Sequence[Scored], among: Sequence[Mask] | None = None
) -> tuple[CurveErrors | None, int]:
    """Return the mean of each error over files, and how many files have errors.

    The files count alike, whatever their lengths, as in arXiv 2503.12811.
    """
    if among is None:
        among = [np.ones(len(s.x), dtype=np.bool_) for s in scored]
    rows = [s.errors(mask) for s, mask in zip(scored, among, strict=True)]
    good = [row for row in rows if row is not None]
    if not good:
        return None, 0
    return CurveErrors(*np.mean(good, axis=0).tolist()), len(good)
