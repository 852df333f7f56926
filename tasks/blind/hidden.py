"""The tables of hidden runs: what their windows show, under names of their own.

hidden_runs    window, run_id, lengths, the settings and finals that are shown
hidden_curves  a file a window: run_id, segment, signal, steps, values
hidden_roles   task, version, window, run_id, role: "train" (public) or "test"
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa

from harness.corpus import Corpus
from harness.early.curves import Curves32, last_step
from harness.errors import DataError
from harness.hidden_rows import LENGTHS, PLANNED
from harness.publish import ENCODINGS
from harness.schema import CURVES, WINDOW_EDGES
from tasks.base import Task
from tasks.blind.planned import planned_rates
from tasks.blind.tables import curve_groups, write
from tasks.blind.windows import Window
from tasks.observations import is_setting
from tasks.splits import divide

RUNS_FILE: Final = "hidden_runs/part-00000.parquet"
ROLES_FILE: Final = "hidden_roles/part-00000.parquet"
Made = TypeVar("Made")
TRAIN: Final = "train"
TEST: Final = "test"


def curves_file(window: str) -> str:
    """Return the file of a window's curves.

    Example:
        >>> curves_file("w20-rates")
        'hidden_curves/w20-rates.parquet'
    """
    return f"hidden_curves/{window}.parquet"


def write_hidden(
    holder: Corpus,
    public: Corpus,
    folder: Path,
    *,
    windows: Sequence[Window],
    tasks: Sequence[Task],
    link: pl.DataFrame,
) -> None:
    """Write the three tables below `folder`.

    Args:
        holder: The corpus that holds the hidden runs.
        public: The corpus that holds the public ones; it may be the same.
        folder: The folder of the blind corpus.
        windows: What is shown.
        tasks: What is asked.
        link: `tasks.blind.dealing.deal`.

    Raises:
        DataError: The plan of a run is not known, or a split leaves nothing.
        StorageError: A file could not be written.
    """
    write(folder / RUNS_FILE, [_runs(holder, windows, link)])
    known = public.signals()["name"].unique().to_list()
    for window in windows:
        rows = _curves(holder, window, link.filter(window=window.name), known)
        write(folder / curves_file(window.name), curve_groups(rows), ENCODINGS)
    everyone = joined(public, holder)
    found = each(
        tasks, lambda task: roles(task, everyone, link, window_of(windows, task))
    )
    table = pl.concat(found.values()).sort("task", "role", "run_id")
    write(folder / ROLES_FILE, [_plain(table)])


def joined(public: Corpus, holder: Corpus) -> pl.DataFrame:
    """Return the runs of both corpora that did not fail, sorted.

    Raises:
        DataError: Their columns are not of the same types.
    """
    tables = [public.runs()]
    if holder is not public:
        tables.append(holder.runs())
    try:
        table = pl.concat(tables, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"the runs of {holder.name} cannot stand in a table with those of "
            f"{public.name}: {error}; record both with one version of the harness"
        ) from error
    return table.filter(pl.col("status") != "failed").sort("run_id")


def each(tasks: Sequence[Task], make: Callable[[Task], Made]) -> dict[str, Made]:
    """Return what is made of each task, by name.

    Raises:
        DataError: Of one or more it cannot be made; all of them are named.
    """
    found: dict[str, Made] = {}
    problems: dict[str, str] = {}
    for task in tasks:
        try:
            found[task.name] = make(task)
        except DataError as error:
            problems[task.name] = str(error)
    if problems:
        told = "\n  ".join(f"{name}: {why}" for name, why in problems.items())
        others = ", ".join(found) or "none"
        raise DataError(
            f"{len(problems)} of {len(tasks)} tasks cannot ask for hidden runs:\n  "
            f"{told}\nhide more families, or name the tasks that can: {others}"
        )
    return found


def window_of(windows: Sequence[Window], task: Task) -> str:
    """Return the window that a task's hidden runs are shown through."""
    return next(window.name for window in windows if task.name in window.tasks)


def roles(
    task: Task, everyone: pl.DataFrame, link: pl.DataFrame, window: str
) -> pl.DataFrame:
    """Return who is learned from and who is asked about, whatever ends they have.

    The task's split divides public and hidden runs together, of which it is told the
    settings and, of public runs, the ends. Public runs on a training side are learned
    from, hidden runs of the window on a test side are asked about; those that the split
    cannot place without their end are asked about too, and left out by the scorer where
    they turn out to be on the other side.

    Args:
        task: Says how runs are divided.
        everyone: `joined`.
        link: `tasks.blind.dealing.deal`.
        window: The window of the task.
    """
    hidden = pl.col("run_id").is_in(link["run_id"].to_list())
    told = ("run_id", "family_id", "trajectory_id", "status", *LENGTHS)
    ends = [c for c in everyone.columns if c not in told and not is_setting(c)]
    known = everyone.with_columns(
        [pl.when(~hidden).then(pl.col(name)).alias(name) for name in ends]
    )
    train, test = _sides(task, known)
    own = link.filter(window=window)
    asked = own.filter(
        pl.col("run_id").is_in(list(test)) | ~pl.col("run_id").is_in(list(train | test))
    )["id"]
    learned = train - set(link["run_id"])
    if not learned or not len(asked):
        what = "public run to learn from" if not learned else "hidden run to ask about"
        raise DataError(f"its split leaves no {what}")
    rows = [(run, TRAIN) for run in learned] + [(name, TEST) for name in asked]
    return pl.DataFrame(rows, schema=["run_id", "role"], orient="row").select(
        task=pl.lit(task.name),
        version=pl.lit(task.version),
        window=pl.lit(window),
        run_id="run_id",
        role="role",
    )


def scored(task: Task, everyone: pl.DataFrame) -> set[str]:
    """Return the runs on a test side, once all ends are known."""
    return _sides(task, everyone)[1]


def _sides(task: Task, runs: pl.DataFrame) -> tuple[set[str], set[str]]:
    """Return the runs of all training and of all test sides."""
    try:
        divisions = divide(task.split, runs, runs["run_id"].to_list())
    except ValueError as error:
        raise DataError(str(error)) from error
    train = {run for d in divisions for run in (*d.train, *d.validation)}
    return train, {run for d in divisions for run in d.test}


def _runs(holder: Corpus, windows: Sequence[Window], link: pl.DataFrame) -> pa.Table:
    """Return lengths, and the settings and finals that a run's window shows."""
    runs = holder.runs()
    settings = sorted(name for name in runs.columns if is_setting(name))
    if not any(window.visibility.settings for window in windows):
        settings = []
    finals = sorted({f for window in windows for f in window.visibility.finals})
    table = link.join(runs, on="run_id", how="left")
    shown = []
    for name in (*settings, *finals):
        having = [
            window.name
            for window in windows
            if name in window.visibility.finals
            or (window.visibility.settings and is_setting(name))
        ]
        seen = pl.col("window").is_in(having)
        shown.append(pl.when(seen).then(pl.col(name)).alias(name))
    own = pl.col("id").alias("run_id")
    return _plain(table.sort("id").select("window", own, *LENGTHS, *shown))


def _plain(table: pl.DataFrame) -> pa.Table:
    """Return a table with the types that other tables of a corpus have."""
    arrow = table.to_arrow()
    large = pa.large_string()
    fields = [f.with_type(pa.string()) if f.type == large else f for f in arrow.schema]
    return arrow.cast(pa.schema(fields))


def _curves(
    holder: Corpus, window: Window, link: pl.DataFrame, known: Sequence[str]
) -> pl.DataFrame:
    """Return what a window shows of its runs, sorted by signal and id."""
    seen = window.visibility
    names = [n for n in known if seen.signals is None or n in seen.signals]
    run_ids = link["run_id"].to_list()
    frame = holder.curves(names, until=seen.until, run_ids=run_ids)
    if seen.planned_rate:
        rates = planned_rates(holder, run_ids)
        frame = pl.concat([frame, _planned(rates)])
    frame = frame.join(link.select("id", "run_id"), on="run_id")
    found = frame.drop("run_id").rename({"id": "run_id"}).select(CURVES.names)
    return found.sort("signal", "run_id", "segment")


def _planned(rates: Mapping[str, Curves32]) -> pl.DataFrame:
    """Return planned learning rates as curves, cut at the edges of the segments."""
    rows = []
    for run, values in rates.items():
        ends = last_step(1.0, len(values)) * np.asarray(WINDOW_EDGES) // 100
        for segment, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
            if stop > start:
                steps = np.arange(start + 1, stop + 1)
                rows.append((run, segment, PLANNED, steps, values[start:stop]))
    schema = pl.DataFrame(CURVES.empty_table()).schema
    return pl.DataFrame(rows, schema=schema, orient="row")
