"""The long format: CSV or Parquet with the columns run_id, signal, step, value.

Every further column is a fact about its run, see `harness.importers.facts`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from harness.errors import DataError
from harness.importers.points import POINTS, Context, Facts, Points, is_nothing
from harness.importers.tabular import Block, blocks, header, names, numbers
from harness.registry import IMPORTERS

COLUMNS: Final = ("run_id", "signal", "step", "value")


@IMPORTERS.register("long")
def read_long(paths: Sequence[Path], context: Context) -> Iterator[Points]:
    """Yield the values of files with a row a value.

    A blank value was not measured, and the row says nothing but facts; NaN and inf were
    measured. A fact may stand in every row of its run or in some; it must not change.

    Raises:
        DataError: A column is missing, or a cell is not what it should be; the message
            names file, row and column.
    """

    def accepts(found: Sequence[str]) -> bool:
        return set(COLUMNS) <= {context.renamed.get(name, name) for name in found}

    for path in paths:
        found = header(path, accepts)
        if not found:
            context.note(f"{path.name} is empty")
            continue
        if not accepts(found):
            raise _missing(path, found)
        # pandas writes its index under an empty name
        columns = {name: context.column(name) if name else None for name in found}
        for block in blocks(path, accepts, context):
            yield _points(block, columns, context)


def facts_of(frame: pl.DataFrame, run: str, path: Path) -> Facts:
    """Return the facts of runs from columns that are constant within each.

    Args:
        frame: Column `run`, and a column a fact; a null or blank cell says nothing.
        run: Name of the column with the run ids.
        path: File they are from, for messages.

    Raises:
        DataError: A column has two values for one run.
    """
    columns = [name for name in frame.columns if name != run]
    for name in columns:
        if frame[name].dtype.is_nested():
            raise DataError(
                f"{path}, column {name!r}: got a {frame[name].dtype}, expected plain "
                "values: leave it out with --drop"
            )
    facts: dict[str, dict[str, object]] = {}
    for row in frame.unique(maintain_order=True).iter_rows(named=True):
        known = facts.setdefault(row[run], {})
        for name in columns:
            value = row[name]
            if not is_nothing(value) and known.setdefault(name, value) != value:
                raise contradiction(str(path), row[run], name, known[name], value)
    return facts


def contradiction(
    source: str, run: str, column: str, one: object, other: object
) -> DataError:
    """Return the error of a fact that changes within a run."""
    return DataError(
        f"{source}, run {run!r}, column {column!r}: got {one!r} and {other!r}, "
        "expected one value a run; what changes along a run belongs in rows of its own "
        "signal, and what does not matter is left out with --drop"
    )


def _points(block: Block, columns: dict[str, str | None], context: Context) -> Points:
    source = {new: old for old, new in columns.items() if new is not None}
    frame = block.frame
    run = names(block, source["run_id"])
    signal = names(block, source["signal"])
    distinct = signal.unique(maintain_order=True).to_list()
    new_names = {name: context.signal(name) for name in distinct}
    values = pl.DataFrame(
        [
            run.alias("run"),
            signal.replace_strict(new_names, return_dtype=pl.String).alias("signal"),
            _steps(block, source["step"]).alias("step"),
            numbers(block, source["value"]).alias("value"),
        ],
        schema=POINTS,
    )
    context.drop("values of signals left out", values["signal"].null_count())
    values = values.filter(pl.col("signal").is_not_null())
    context.drop("rows without a value", values["value"].null_count())
    extra = [name for name in source if name not in COLUMNS]
    facts: Facts = {}
    if extra:
        told = frame.select(*(pl.col(source[name]).alias(name) for name in extra))
        facts = facts_of(told.with_columns(run.alias("run_id")), "run_id", block.path)
    return Points(values.drop_nulls(), str(block.path), facts)


def _steps(block: Block, column: str) -> pl.Series:
    """Return the steps; a row with a value needs one."""
    steps = numbers(block, column)
    bad = steps.is_null() | ~steps.is_finite() | (steps < 0)
    if bad.any():
        raise block.problem(
            bad.arg_true()[0],
            column,
            "a step, 0 or more",
            "give the number of updates completed, or delete the row",
        )
    return steps


def _missing(path: Path, found: Sequence[str]) -> DataError:
    lacking = [name for name in COLUMNS if name not in found]
    return DataError(
        f"{path} lacks the column(s) {', '.join(lacking)}; it has "
        f"{', '.join(found[:12])}: rename them, or use --map such as --map "
        f"{found[0]}={lacking[0]}"
    )
