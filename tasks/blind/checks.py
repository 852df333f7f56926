"""What a blind release must pass before it goes out; every check has a name."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import polars as pl

from harness.early.curves import last_step
from harness.hidden_rows import LENGTHS, PLANNED
from harness.manifest import HIDDEN_TABLES, TABLES
from harness.schema import CURVES
from tasks.blind.digests import digests
from tasks.blind.findings import Finding, Made
from tasks.blind.hidden import ROLES_FILE, RUNS_FILE, TEST, TRAIN, curves_file
from tasks.blind.metadata import metadata
from tasks.blind.prefixes import Beginnings, Nearest, nearest
from tasks.blind.view import read_table
from tasks.blind.windows import Window
from tasks.observations import is_setting

__all__ = ["CHECKS", "Finding", "Made"]

GUESSED: Final = 2**32
"""Seeds below this are tried out in no time."""
SHOWN: Final = 3
"""Problems that a text names."""
CURE: Final = (
    "hide the runs of a grid trained with a key of its own (`harness generate --key`)"
)


def families(made: Made) -> Finding:
    """Say whether a family, or a trajectory, is on both sides or in two windows.

    Statistic: their number. Two runs of a family differ in their seed only, two of a
    trajectory in their probes only; one in the public part all but tells the other.
    """
    hidden = made.runs()
    wrong = []
    for name in ("family_id", "trajectory_id"):
        mine = set(hidden[name])
        for corpus in (made.blind, *made.against):
            for each in sorted(mine & set(corpus.runs([name])[name])):
                wrong.append(f"{each} is in {corpus.name}")
    windows = made.link.group_by("family_id").agg(pl.col("window").n_unique())
    for each in windows.filter(pl.col("window") > 1)["family_id"].sort():
        wrong.append(f"{each} is in two windows")
    return _counted(wrong, "families and trajectories on both sides")


def prefix(made: Made) -> Finding:
    """Say whether the beginning of a hidden run is found where its end is known.

    Statistic: the least ratio of `tasks.blind.prefixes.nearest` over the hidden runs,
    against the public runs, those of further corpora, and hidden runs that are shown
    at least as far in another window.
    """
    furthest = max(window.visibility.until for window in made.windows)
    public = [
        Beginnings.of(corpus, furthest, None) for corpus in (made.blind, *made.against)
    ]
    hidden = {
        window.name: Beginnings.of(made.holder, window.visibility.until, runs)
        for window in made.windows
        for runs in [made.link.filter(window=window.name)["run_id"].to_list()]
    }
    others = sum(len(part.run_ids) for part in public) + len(made.link)
    found: list[Nearest] = []
    for window in made.windows:
        seen = window.visibility.until
        longer = [
            hidden[other.name]
            for other in made.windows
            if other is not window and other.visibility.until >= seen
        ]
        known = Beginnings.joined([*public, *longer])
        pairs = len(made.link) * others
        twins = Beginnings.of(made.holder, seen, None)
        asked = hidden[window.name]
        found.append(nearest(asked, known, seen, pairs=pairs, twins=twins))
    ratios = np.concatenate([one.ratio for one in found])
    prefixes = np.concatenate([one.prefix for one in found])
    caught = np.concatenate([one.found for one in found])
    if np.isnan(ratios).all():
        return Finding(
            passed=False,
            statistic=None,
            text="no hidden run has two training losses in its window, so none can be "
            "compared with the public ones",
        )
    least = float(np.nanmin(ratios))
    text = (
        f"{caught.sum()} of {len(ratios)} hidden runs are found by the first half of "
        f"their window; nearest at {least:.2g} of the distance between seed twins, "
        f"longest equal beginning {prefixes.max():.0%} of a window"
    )
    if caught.any():
        text += f": {CURE}, or hide families that begin alike together"
    return Finding(
        passed=not caught.any(), statistic=least, text=text, shown=round(least, 1)
    )


def columns(made: Made) -> Finding:
    """Say whether anything is shown that the windows do not show.

    Statistic: the number of files, columns, cells and rows that are not as they must
    be: every cell that a window shows equals the hidden run's, every other is null, no
    signal and no step beyond the window, no run without its rows, roles of known runs.
    """
    return _counted(list(_columns(made)), "things shown beyond the windows")


def retraining(made: Made) -> Finding:
    """Say whether hidden runs can be trained again by whoever has the harness.

    Statistic: their share: the seed is below 2^32, and the configuration is shown or,
    as a gap in the grid of the public runs, known. Imported runs have no seed to guess.
    """
    runs = made.runs()
    shown = {w.name for w in made.windows if w.visibility.settings or made.whole}
    seed = runs["seed"] if "seed" in runs.columns else pl.Series([None] * len(runs))
    guessed = seed.cast(pl.Int64, strict=False).fill_null(GUESSED) < GUESSED
    open_ = guessed & runs["window"].is_in(list(shown))
    count = int(open_.sum())
    text = f"{count} of {len(runs)} hidden runs can be trained again by anybody"
    if count:
        text += f": {CURE}"
    share = count / max(len(runs), 1)
    return Finding(passed=not count, statistic=share, text=text, shown=round(share, 1))


CHECKS: Final[dict[str, Callable[[Made], Finding]]] = {
    "families": families,
    "prefix": prefix,
    "metadata": metadata,
    "digests": digests,
    "columns": columns,
    "retraining": retraining,
}
"""All checks, in the order in which they run."""


def _counted(wrong: list[str], what: str) -> Finding:
    """Return the finding that nothing may be wrong."""
    text = f"{len(wrong)} {what}"
    if wrong:
        text += f": {'; '.join(wrong[:SHOWN])}{'; ...' if len(wrong) > SHOWN else ''}"
    count = float(len(wrong))
    return Finding(passed=not wrong, statistic=count, text=text, shown=count)


def _columns(made: Made) -> Iterator[str]:
    """Yield what is not as it must be."""
    allowed = {RUNS_FILE, ROLES_FILE, *(curves_file(w.name) for w in made.windows)}
    for name in made.blind.manifest["files"]:
        table = name.split("/")[0]
        known = name in allowed if table in HIDDEN_TABLES else table in TABLES
        if not known:
            yield f"the file {name}"
    yield from _runs(made)
    for window in made.windows:
        yield from _curves(made, window)
    yield from _roles(made)


def _runs(made: Made) -> Iterator[str]:
    """Yield what is wrong with hidden_runs."""
    found = read_table(made.blind, RUNS_FILE)
    truth = made.runs()
    if found["run_id"].to_list() != truth["id"].to_list():
        yield f"{RUNS_FILE} has other rows than the hidden runs, by id"
        return
    settings = {name for name in truth.columns if is_setting(name)}
    finals = {f for w in made.windows for f in w.visibility.finals}
    for name in found.columns:
        if name == "run_id":
            continue
        if name not in {"window", *LENGTHS, *settings, *finals}:
            yield f"the column {name} of {RUNS_FILE}"
            continue
        having = [
            w.name
            for w in made.windows
            if name in ("window", *LENGTHS, *w.visibility.finals)
            or (w.visibility.settings and name in settings)
        ]
        shown = truth.select(
            pl.when(pl.col("window").is_in(having)).then(pl.col(name))
        ).to_series()
        if bad := int((~found[name].eq_missing(shown)).sum()):
            yield f"{bad} cells of the column {name} of {RUNS_FILE}"


def _curves(made: Made, window: Window) -> Iterator[str]:
    """Yield what is wrong with the curves of a window."""
    name, seen = curves_file(window.name), window.visibility
    found = read_table(made.blind, name)
    if found.columns != CURVES.names:
        yield f"{name} has the columns {', '.join(found.columns)}"
        return
    runs = made.runs().filter(window=window.name).select(pl.col("id"), "num_steps")
    signals = set(made.blind.signals()["name"])
    signals = signals if seen.signals is None else signals & set(seen.signals)
    signals |= {PLANNED} if seen.planned_rate else set()
    ends = last_step(seen.until, runs["num_steps"].to_numpy())
    runs = runs.with_columns(end=pl.Series(ends))
    rows = found.join(runs, left_on="run_id", right_on="id", how="left")
    planned = pl.col("signal") == PLANNED
    last = pl.col("steps").list.max()
    for what, bad in (
        ("rows of unknown runs", pl.col("num_steps").is_null()),
        ("rows of a signal that is not shown", ~pl.col("signal").is_in(list(signals))),
        ("rows with steps after the window", ~planned & (last > pl.col("end"))),
        (
            "rows with as many values as steps lacking",
            pl.col("steps").list.len() != pl.col("values").list.len(),
        ),
    ):
        if count := len(rows.filter(bad)):
            yield f"{count} {what} in {name}"
    if count := len(set(runs["id"]) - set(found["run_id"])):
        yield f"{count} runs without any row in {name}"
    if seen.planned_rate:
        whole = (
            rows.filter(planned)
            .explode("steps", "values")
            .filter(pl.col("values").is_finite())
            .group_by("run_id")
            .agg(whole=pl.len() == pl.col("num_steps").first())
        )
        if count := len(runs) - int(whole["whole"].sum()):
            yield f"{count} runs without a whole plan in {name}"


def _roles(made: Made) -> Iterator[str]:
    """Yield what is wrong with hidden_roles."""
    found = read_table(made.blind, ROLES_FILE)
    if found.columns != ["task", "version", "window", "run_id", "role"]:
        yield f"{ROLES_FILE} has the columns {', '.join(found.columns)}"
        return
    public = set(made.blind.runs(["run_id"])["run_id"])
    for (task,), part in found.partition_by("task", as_dict=True).items():
        window = made.window(str(task))
        mine = set(made.link.filter(window=window.name)["id"])
        for role, known in ((TRAIN, public), (TEST, mine)):
            runs = part.filter(role=role)["run_id"].to_list()
            if strange := set(runs) - known:
                yield f"{len(strange)} runs with the role {role} of {task}"
        if set(part["role"]) - {TRAIN, TEST} or set(part["window"]) != {window.name}:
            yield f"roles or windows of {task}"
