"""What every estimator returns: values that say how they came about.

A number without a value has a status that tells why; a NaN never stands alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

Floats = npt.NDArray[np.float64]

OK: Final = "ok"
NO_WINDOW: Final = "no_window"
"""The window asked for does not exist, such as a burn-in that never ended."""
TOO_SHORT: Final = "too_short"
"""Fewer points than the estimator needs."""
DIVERGED: Final = "diverged"
"""The data in the window are not finite, or not positive where a logarithm is."""
ILL_CONDITIONED: Final = "ill_conditioned"
"""The data do not determine the value: not converged, singular, or at a bound."""
NOT_APPLICABLE: Final = "not_applicable"
"""The quantity is not defined for these data."""

STATUSES: Final = (OK, NO_WINDOW, TOO_SHORT, DIVERGED, ILL_CONDITIONED, NOT_APPLICABLE)


class Estimate(NamedTuple):
    """One number with everything that is needed to judge it."""

    value: float | None
    """None unless the status is "ok"."""
    se: float | None
    """Standard error, None where the estimator has none."""
    status: str
    """One of `STATUSES`."""
    n: int
    """Points that were used."""
    window: tuple[float, float] | None
    """First and last point used, in the unit of the abscissa."""
    unit: str
    estimator: str
    estimator_version: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What one estimator says of N curves; every array has N rows.

    Raises:
        AssertionError: A value is not finite although its status is "ok", or is a
            number although it is not.
    """

    estimator: str
    """Name of the estimator, such as "power_law"."""
    estimator_version: str
    """Raised when the same name starts to mean another number."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that the values depend on."""
    units: Mapping[str, str]
    """Unit of each quantity, "1" for a pure number; its keys are the quantities."""
    values: Mapping[str, Floats]
    """`[N]` a quantity; NaN exactly where the status is not "ok"."""
    errors: Mapping[str, Floats] = field(default_factory=dict)
    """Standard errors `[N]` of the quantities that have one; NaN where not "ok"."""
    status: npt.NDArray[np.str_]
    """`[N]`, one of `STATUSES`."""
    n: npt.NDArray[np.int64]
    """`[N]`, points used."""
    window: Floats
    """`[N, 2]`, first and last abscissa used; NaN where there is no window."""

    def __post_init__(self) -> None:
        """Hold the promise that a missing value has a reason."""
        assert set(self.values) == set(self.units), "every quantity needs a unit"
        assert set(np.unique(self.status)) <= set(STATUSES), "unknown status"
        good = self.ok
        for name, value in [*self.values.items(), *self.errors.items()]:
            assert value.shape == good.shape, f"{name}: one value a curve"
            assert (np.isfinite(value) == good).all(), f"{name}: NaN without a status"

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.status)

    def __getitem__(self, quantity: str) -> Floats:
        """Return the values `[N]` of a quantity."""
        return self.values[quantity]

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Return which curves have values, `[N]`."""
        good: npt.NDArray[np.bool_] = self.status == OK
        return good

    def at(self, index: int, quantity: str) -> Estimate:
        """Return one number of one curve with all that belongs to it."""
        status = str(self.status[index])
        error = self.errors.get(quantity)
        first, last = self.window[index].tolist()
        return Estimate(
            value=float(self.values[quantity][index]) if status == OK else None,
            se=None if error is None or status != OK else float(error[index]),
            status=status,
            n=int(self.n[index]),
            window=(first, last) if np.isfinite([first, last]).all() else None,
            unit=self.units[quantity],
            estimator=self.estimator,
            estimator_version=self.estimator_version,
            params=self.params,
        )

    def frame(self) -> "pl.DataFrame":
        """Return a row a curve: quantities, standard errors, status, n, window."""
        import polars as pl  # estimators work without it

        columns: dict[str, Any] = {}
        for name, value in self.values.items():
            columns[name] = value
            if name in self.errors:
                columns[f"{name}.se"] = self.errors[name]
        table = pl.DataFrame(columns).fill_nan(None)
        return table.with_columns(
            pl.Series("status", self.status.tolist(), pl.String),
            pl.Series("n", self.n),
            pl.Series("window_first", self.window[:, 0]).fill_nan(None),
            pl.Series("window_last", self.window[:, 1]).fill_nan(None),
        )
