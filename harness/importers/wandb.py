"""CSV as exported by Weights & Biases: a panel of many runs, or a run's history.

A panel has a column a run and metric, "<run> - <metric>", beside Step or _step; its
columns ending in __MIN and __MAX are the envelope that the page draws. A history has a
column a metric beside _step; its run is named by a column, or by the file.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from harness.errors import DataError
from harness.importers.points import POINTS, Context, Points
from harness.importers.tabular import (
    Block,
    blocks,
    header,
    is_blank,
    loose_numbers,
    names,
)
from harness.registry import IMPORTERS

STEP: Final = ("_step", "Step")
RUN: Final = ("run_id", "run", "run_name", "Name", "name")
"""Columns that may name the run of a history, the first found counts."""
ENVELOPE: Final = ("__MIN", "__MAX")
SEPARATOR: Final = " - "


@IMPORTERS.register("wandb")
def read_wandb(paths: Sequence[Path], context: Context) -> Iterator[Points]:
    """Yield the values of exported CSV files, told apart by their columns.

    A cell that is no number (an image, a table) is left out and counted; so are rows
    without a step, envelopes, and columns of the service such as _runtime.

    Raises:
        DataError: A file has no column of steps.
    """

    def accepts(found: Sequence[str]) -> bool:
        return any(context.renamed.get(name, name) in STEP for name in found)

    labels = _labels(paths)
    for path in paths:
        found = header(path, accepts)
        if not found:
            context.note(f"{path.name} is empty")
            continue
        columns = {name: context.renamed.get(name, name) for name in found}
        step = next((c for c, new in columns.items() if new in STEP), None)
        if step is None:
            raise DataError(
                f"{path} has no column {' or '.join(STEP)}; it has "
                f"{', '.join(found[:12])}: export it over steps, or name the column "
                f"that counts updates, such as --map {found[0]}=_step"
            )
        context.column(step)
        panel = _panel(found, context)
        rest = [c for c, new in columns.items() if c != step and new not in STEP]
        run = None if panel else _run_column(rest, columns)
        whose = f"a panel of {len({r for r, _ in panel.values()}):,} runs"
        if not panel:
            panel = _history(rest, run, labels[path], context)
            whose = f"the history of {'runs' if run else f'run {labels[path]!r}'}"
        context.note(f"{path.name} was read as {whose}")
        for block in blocks(path, accepts, context):
            for column, (name, metric) in panel.items():
                who = names(block, run) if run else name
                yield _points(block, step, column, who, metric, context)


def _labels(paths: Sequence[Path]) -> dict[Path, str]:
    """Return a name for each file: its own without ending, or its path if need be."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return dict(zip(paths, stems, strict=True))
    top = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    return {
        path: path.resolve().relative_to(top).with_suffix("").as_posix()
        for path in paths
    }


def _panel(found: Sequence[str], context: Context) -> dict[str, tuple[str, str]]:
    """Return run and signal of each column of a panel; nothing for a history.

    Columns are told by their last " - ", so a run's name may have one and a metric's
    may not.
    """
    panel: dict[str, tuple[str, str]] = {}
    for column in found:
        run, separator, metric = column.rpartition(SEPARATOR)
        if not separator or not run or not metric:
            continue
        if metric.endswith(ENVELOPE) or metric.startswith("_"):
            context.drop("columns of envelopes (__MIN, __MAX) and of the service")
            continue
        signal = context.signal(metric)
        if signal is not None:
            panel[column] = run, signal
    return panel


def _run_column(found: Sequence[str], columns: Mapping[str, str]) -> str | None:
    by_name = {columns[name]: name for name in found}
    return next((by_name[name] for name in RUN if name in by_name), None)


def _history(
    found: Sequence[str], run: str | None, label: str, context: Context
) -> dict[str, tuple[str, str]]:
    """Return run and signal of each column of a history."""
    history: dict[str, tuple[str, str]] = {}
    for column in found:
        if column == run:
            context.column(column)
        elif not column or column.startswith("_"):
            context.drop("columns of envelopes (__MIN, __MAX) and of the service")
        elif (signal := context.signal(column)) is not None:
            history[column] = label, signal
    return history


def _points(
    block: Block,
    step: str,
    column: str,
    run: str | pl.Series,
    signal: str,
    context: Context,
) -> Points:
    """Return the values of one column; rows without one are gaps, not losses."""
    cells = block.frame[column]
    values, at = loose_numbers(cells), loose_numbers(block.frame[step])
    strange = values.is_null() & ~is_blank(cells)
    context.drop(f"cells of {signal!r} that are no numbers", int(strange.sum()))
    lost = values.is_not_null() & (at.is_null() | ~at.is_finite() | (at < 0))
    context.drop("values without a step of 0 or more", int(lost.sum()))
    frame = pl.DataFrame({"step": at, "value": values}).with_columns(
        run=pl.lit(run) if isinstance(run, str) else run,
        signal=pl.lit(signal),
    )
    frame = frame.select(POINTS.names()).filter(~lost & values.is_not_null())
    return Points(frame, str(block.path), {})
