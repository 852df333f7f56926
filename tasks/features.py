"""What can be seen of each example as one table, and as numbers for a regressor."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import polars as pl

from harness.measure import Floats
from tasks.observations import Observations, is_setting


def features(
    seen: Observations, *, settings: bool = True, signals: bool = True
) -> pl.DataFrame:
    """Return a row an example: what is visible, each as a column.

    id, num_steps, steps_per_epoch, given finals; hyper-parameters under the names of
    the table `runs`; early signals under those of `harness.early` (null: no value).

    Args:
        seen: Examples.
        settings: Whether hyper-parameters are in it.
        signals: Whether early signals are in it.
    """
    kept = [c for c in seen.settings.columns if settings or not is_setting(c)]
    table = seen.settings.select(kept)
    if signals:
        table = table.join(seen.early, on="id", how="left", maintain_order="left")
    return table


class Encoder:
    """Turns feature tables into numbers, as learned from a first one.

    Strings and booleans become an indicator for each value seen; numbers stay. Columns
    that are constant, or hold lists, are left out. With `complete`, missing numbers
    become the median and every column has mean 0 and standard deviation 1 over the
    examples learned from.

    Example:
        table = pl.DataFrame({"id": ["a", "b"], "x": [1.0, 3.0], "o": ["sgd", "lion"]})
        Encoder().fit(table).transform(table)  # x, o=lion, o=sgd
    """

    def __init__(self, *, complete: bool = False) -> None:
        self.complete = complete

    def fit(self, table: pl.DataFrame) -> Self:
        """Learn columns and levels from a table of `features`."""
        self.levels: dict[str, tuple[str, ...]] = {}
        for name, column in zip(table.columns, table.get_columns(), strict=True):
            if name == "id" or column.dtype.is_nested() or column.n_unique() < 2:
                continue
            if column.dtype.is_numeric():
                self.levels[name] = ()
            else:
                found = column.cast(pl.String).drop_nulls().unique()
                self.levels[name] = tuple(found.sort())
        raw = self._numbers(table)
        self.center, self.scale = np.zeros(raw.shape[1]), np.ones(raw.shape[1])
        self.fill = np.full(raw.shape[1], np.nan)
        if self.complete and raw.size:
            empty = ~np.isfinite(raw).any(axis=0)
            self.fill = np.where(empty, 0.0, _median(raw))
            filled = np.where(np.isfinite(raw), raw, self.fill)
            self.center, spread = filled.mean(axis=0), filled.std(axis=0)
            self.scale = np.where(spread > 0, spread, 1.0)
        return self

    @property
    def names(self) -> list[str]:
        """Names of the columns of the matrix, `name` or `name=level`."""
        return [
            f"{name}={level}" if levels else name
            for name, levels in self.levels.items()
            for level in (levels or ("",))
        ]

    def transform(self, table: pl.DataFrame) -> Floats:
        """Return `[n, C]`; missing numbers are NaN unless completed.

        Raises:
            KeyError: The table lacks a column that was learned.
        """
        raw = self._numbers(table)
        if self.complete:
            raw = np.where(np.isfinite(raw), raw, self.fill)
        return np.asarray((raw - self.center) / self.scale)

    def _numbers(self, table: pl.DataFrame) -> Floats:
        columns = [
            column
            for name, levels in self.levels.items()
            for column in _encoded(table[name], levels)
        ]
        return np.stack(columns, axis=1) if columns else np.empty((len(table), 0))


def _encoded(column: pl.Series, levels: Sequence[str]) -> list[Floats]:
    """Return one number column, or an indicator for each level."""
    if levels:
        text = column.cast(pl.String)
        return [
            (text == level).fill_null(False).cast(pl.Float64).to_numpy()
            for level in levels
        ]
    numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return [np.where(np.isfinite(numbers), numbers, np.nan)]


def _median(values: Floats) -> Floats:
    """Return the median of each column's finite values; NaN where there is none."""
    some = np.isfinite(values).any(axis=0)
    middle = np.full(values.shape[1], np.nan)
    middle[some] = np.nanmedian(values[:, some], axis=0)
    return middle
