"""What the tables of hidden runs may show: the windows that a manifest tells.

`tasks.blind` writes these tables; here `harness verify` holds them to their windows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import polars as pl

from harness.early.curves import last_step
from harness.storage import read_parquet

LENGTHS: Final = ("num_steps", "steps_per_epoch")
"""Shown of every hidden run."""
SETTINGS: Final = (
    "dataset.",
    "model.",
    "optimizer.",
    "schedule.",
    "augmentation.",
    "objective.",
    "regularizer.",
    "controller.",
)
"""Beginnings of the columns that are settings of a run."""
NUMBERS: Final = ("batch_size", "epochs", "precision")
"""Settings with names of their own; the seed is none."""
PLANNED: Final = "planned_lr"
"""Signal of a hidden run that may go on after its window: the rates as planned."""
_RUNS: Final = {"run_id": pl.String, "window": pl.String, "num_steps": pl.Int64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is shown of some hidden runs, as `tasks.blind.windows` writes it."""

    until: float
    """Share of the steps up to which curves are shown."""
    signals: frozenset[str] | None
    """Signals that are shown; None: all of the corpus's dictionary."""
    settings: bool
    """Whether settings are shown."""
    planned_rate: bool
    """Whether the learning rates of the whole run are shown."""
    finals: frozenset[str]
    """Columns of the table `runs` that are shown although they come later."""

    def shows(self, column: str) -> bool:
        """Tell whether cells of a column of `hidden_runs` may have a value."""
        if column.startswith(SETTINGS) or column in NUMBERS:
            return self.settings
        return column in self.finals or column in ("window", "run_id", *LENGTHS)


class Beyond(NamedTuple):
    """Rows that show more than their window."""

    what: str
    run_ids: Iterable[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """The hidden runs of a corpus and what may be shown of them."""

    windows: Mapping[str, Window]
    """By name; none where the manifest does not tell: then nothing may be shown."""
    runs: pl.DataFrame
    """run_id, window, num_steps."""
    signals: frozenset[str]
    """Names in the corpus's dictionary of signals."""

    @classmethod
    def of(cls, folder: Path, manifest: Mapping[str, Any]) -> Self:
        """Read which runs are hidden; whatever is not as it must be is left out."""
        frames = [
            _select(frame, _RUNS) for frame in _frames(folder, manifest, "hidden_runs")
        ]
        names = [
            _select(frame, {"name": pl.String})["name"]
            for frame in _frames(folder, manifest, "signals")
        ]
        return cls(
            windows=_windows(manifest),
            runs=pl.concat([pl.DataFrame(schema=_RUNS), *frames]),
            signals=frozenset(name for series in names for name in series),
        )

    def may_have(self, column: str) -> bool:
        """Tell whether `hidden_runs` may have a column: some window shows it."""
        return any(window.shows(column) for window in self.windows.values())

    def cells(self, frame: pl.DataFrame) -> Iterator[Beyond]:
        """Yield the runs in `hidden_runs` of which a cell is shown that is hidden."""
        window = pl.col("window").cast(pl.String, strict=False)
        unknown = ~window.is_in(list(self.windows)).fill_null(False)
        told = frame.filter(unknown)["run_id"]
        yield Beyond("run of a window that the manifest does not tell", told)
        for name in (c for c in frame.columns if self.may_have(c)):
            having = [key for key, each in self.windows.items() if each.shows(name)]
            hidden = ~window.is_in(having).fill_null(False) & pl.col(name).is_not_null()
            what = f"{name} is shown, which the window hides"
            yield Beyond(what, frame.filter(~unknown & hidden)["run_id"])

    def curves(self, frame: pl.DataFrame, name: str) -> Iterator[Beyond]:
        """Yield the runs with rows in `hidden_curves` that their window hides.

        Args:
            frame: The rows of a file.
            name: Its window.
        """
        if name not in self.windows:
            what = "run in the file of a window that the manifest does not tell"
            yield Beyond(what, frame["run_id"])
            return
        window = self.windows[name]
        rows = frame.select("run_id", "signal", "steps")
        rows = rows.join(self.runs, on="run_id", how="left")
        length = rows["num_steps"].fill_null(0)
        rows = rows.with_columns(
            length, end=pl.Series(last_step(window.until, length.to_numpy()))
        )
        planned = (pl.col("signal") == PLANNED) & window.planned_rate
        end = pl.when(planned).then("num_steps").otherwise("end")
        shown = self.signals if window.signals is None else window.signals
        for what, bad in (
            ("run of another window", pl.col("window") != name),
            ("run with steps after its window", pl.col("steps").list.max() > end),
            (
                "run with a signal that its window does not show",
                ~pl.col("signal").is_in(list(shown)) & ~planned,
            ),
        ):
            yield Beyond(what, rows.filter(bad)["run_id"])


def _windows(manifest: Mapping[str, Any]) -> dict[str, Window]:
    """Return the windows by name; none if the manifest does not tell them."""
    try:
        return {
            str(name): Window(
                until=float(data["until"]),
                signals=None if data["signals"] is None else frozenset(data["signals"]),
                settings=bool(data["settings"]),
                planned_rate=bool(data["planned_rate"]),
                finals=frozenset(data["finals"]),
            )
            for name, data in manifest["blind"]["windows"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _frames(
    folder: Path, manifest: Mapping[str, Any], table: str
) -> Iterator[pl.DataFrame]:
    for name in manifest["files"]:
        if name.startswith(f"{table}/"):
            yield pl.DataFrame(read_parquet(folder / name))


def _select(frame: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    """Return columns of these types; null where there is none or another type."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None))
        .cast(kind, strict=False)
        .alias(name)
        for name, kind in schema.items()
    )
