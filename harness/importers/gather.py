"""Brings the values of each run together, on disk, so that memory stays bounded."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import DataError
from harness.foreign import ForeignConfig
from harness.importers.points import Context, Points
from harness.record import Curve
from harness.schema import SIGNALS
from harness.storage import read_parquet

BUCKET_BYTES: Final = 16 << 20
"""Bytes of the files whose values are sorted at a time."""
MOST_BUCKETS: Final = 256
MOST_STEPS: Final = 100_000_000
"""More updates than any run has: such steps are tokens, images or seconds."""
PER_UPDATE: Final = tuple(s.name for s in SIGNALS if s.probe == "train")
"""Signals of an update; the first update is step 1."""
_SHARES: Final = tuple(s.name for s in SIGNALS if s.range == "[0, 1]")
_LARGEST: Final = float(np.finfo(np.float32).max)
_SPILL: Final = pa.schema(
    [
        ("run", pa.int32()),
        ("signal", pa.int32()),
        ("step", pa.int64()),
        ("value", pa.float32()),
    ]
)


class Run(NamedTuple):
    """The curves of a run."""

    name: str
    """Its id as given."""
    curves: dict[str, Curve]


class Gather:
    """Takes values in any order and gives them back run by run, sorted.

    Runs are spread over buckets by the beginning of their ids, and a bucket is a file
    that is sorted when its turn comes: the runs come in the order of their ids.

    Args:
        folder: Where the buckets may lie; removed by the caller.
        collection: Name of the corpus, part of the runs' ids.
        size: Bytes of all files, which tells how many buckets are needed.
        context: Takes what is left out.
        scale: Updates a step as given; None: steps are whole updates.
    """

    def __init__(
        self,
        folder: Path,
        *,
        collection: str,
        size: int,
        context: Context,
        scale: float | None,
    ) -> None:
        self.signals: dict[str, int] = {}
        self.starts_at_zero: set[str] = set()
        """Signals of updates that have a value at step 0."""
        self._folder = folder
        self._collection = collection
        self._context = context
        self._scale = scale
        self._count = min(max(-(-size // BUCKET_BYTES), 1), MOST_BUCKETS)
        self._runs: dict[str, int] = {}
        self._ids: list[str] = []
        self._buckets: list[int] = []
        self._writers: dict[int, pq.ParquetWriter] = {}

    def __len__(self) -> int:
        """Return the number of runs with a value."""
        return len(self._runs)

    def __contains__(self, run: str) -> bool:
        """Tell whether a run has a value."""
        return run in self._runs

    def add(self, points: Points) -> None:
        """Take values.

        Raises:
            DataError: A step is no whole number of updates, or a share is not one.
        """
        if points.values.is_empty():
            return
        steps = self._steps(points)
        self._check_shares(points)
        frame = points.values.select(
            run=_codes(points.values["run"], self._runs),
            signal=_codes(points.values["signal"], self.signals),
            step=steps,
            value="value",
        )
        self._note_large(frame["value"])
        first = points.values.filter(steps == 0)["signal"].unique()
        self.starts_at_zero |= set(first) & set(PER_UPDATE)
        for run in list(self._runs)[len(self._ids) :]:
            config = ForeignConfig(collection=self._collection, run=run, settings={})
            self._ids.append(config.run_id)
            self._buckets.append(int(config.run_id[2:10], 16) * self._count >> 32)
        bucket = np.array(self._buckets)[frame["run"].to_numpy()]
        for number in np.unique(bucket).tolist():
            self._write(number, frame.filter(pl.Series(bucket == number)))

    def runs(self, *, first_step: int) -> Iterator[Run]:
        """Yield every run with its curves, in the order of the runs' ids.

        Of values of one run, signal and step the last one counts.

        Args:
            first_step: What the files call the first update, 0 or 1.
        """
        self.close()
        names, signals = list(self._runs), list(self.signals)
        for number in sorted(self._writers):
            columns = self._sorted(self._path(number), signals, first_step)
            run, signal = columns[0], columns[1]
            order = np.flatnonzero(np.diff(run)) + 1
            bounds = [0, *order.tolist(), len(run)]
            ids = {self._ids[run[start]]: k for k, start in enumerate(bounds[:-1])}
            for _, k in sorted(ids.items()):
                part = slice(bounds[k], bounds[k + 1])
                curves = _curves(signals, signal[part], *(c[part] for c in columns[2:]))
                yield Run(names[run[bounds[k]]], curves)

    def close(self) -> None:
        """Close the buckets; more may not be added."""
        for writer in self._writers.values():
            with contextlib.suppress(ValueError):
                writer.close()

    def _steps(self, points: Points) -> pl.Series:
        given = points.values["step"]
        steps = given if self._scale is None else given * self._scale
        whole = steps.round()
        for bad, expected, mend in (
            (
                (whole != steps) if self._scale is None else steps.is_nan(),
                "a whole number of updates",
                "if steps are epochs or tokens, say with --step-scale how many updates "
                "one of them is",
            ),
            (
                whole > MOST_STEPS,
                f"at most {MOST_STEPS:,} updates",
                "if steps are tokens, images or seconds, say with --step-scale how "
                "many updates one of them is",
            ),
        ):
            if bad.any():
                raise _problem(points, bad, "step", expected, mend)
        return whole.cast(pl.Int64)

    def _check_shares(self, points: Points) -> None:
        value = pl.col("value")
        bad = points.values.select(
            pl.col("signal").is_in(_SHARES)
            & value.is_finite()
            & ~value.is_between(0, 1)
        ).to_series()
        if bad.any():
            mend = "divide percentages by 100, or --map the signal to a name of its own"
            raise _problem(points, bad, "value", "a share from 0 to 1", mend)

    def _note_large(self, values: pl.Series) -> None:
        large = int((values.is_finite() & (values.abs() > _LARGEST)).sum())
        if large:
            self._context.note(
                "some values are larger than 3.4e38 (float32) and were stored as "
                "infinite"
            )

    def _write(self, number: int, frame: pl.DataFrame) -> None:
        if number not in self._writers:
            path = self._path(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writers[number] = pq.ParquetWriter(path, _SPILL, compression="lz4")
        with np.errstate(over="ignore"):
            value = frame["value"].to_numpy().astype(np.float32)
        steps = frame["step"].to_numpy()
        columns = [frame["run"].to_numpy(), frame["signal"].to_numpy(), steps, value]
        table = pa.Table.from_arrays([pa.array(c) for c in columns], schema=_SPILL)
        self._writers[number].write_table(table)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.parquet"

    def _sorted(
        self, path: Path, signals: list[str], first_step: int
    ) -> list[npt.NDArray[np.generic]]:
        """Return run, signal, step and value, sorted, one value a place."""
        frame = pl.from_arrow(read_parquet(path))
        assert isinstance(frame, pl.DataFrame)
        if first_step == 0:
            frame = frame.with_columns(pl.col("step") + 1)
        else:
            updates = [self.signals[n] for n in signals if n in PER_UPDATE]
            early = (pl.col("step") == 0) & pl.col("signal").is_in(updates)
            size = len(frame)
            frame = frame.filter(~early)
            reason = "values of updates at step 0, before the first update"
            self._context.drop(reason, size - len(frame))
        frame = frame.sort("run", "signal", "step", maintain_order=True)
        columns = [frame[name].to_numpy() for name in _SPILL.names]
        same = np.logical_and.reduce([np.diff(c) == 0 for c in columns[:3]])
        value = columns[3]
        equal = (value[1:] == value[:-1]) | (np.isnan(value[1:]) & np.isnan(value[:-1]))
        self._context.drop("repeated values, equal", int(np.sum(same & equal)))
        reason = "earlier values of a step that has a later one in the files"
        self._context.drop(reason, int(np.sum(same & ~equal)))
        last = np.append(~same, True)[: len(value)]
        return [column[last] for column in columns]


def _codes(names: pl.Series, known: dict[str, int]) -> pl.Series:
    """Return names as numbers, new ones numbered on."""
    distinct = names.unique(maintain_order=True).to_list()
    for name in distinct:
        known.setdefault(name, len(known))
    codes = [known[name] for name in distinct]
    return names.replace_strict(distinct, codes, return_dtype=pl.Int32)


def _curves(
    signals: list[str],
    signal: npt.NDArray[np.generic],
    step: npt.NDArray[np.generic],
    value: npt.NDArray[np.generic],
) -> dict[str, Curve]:
    bounds = [0, *(np.flatnonzero(np.diff(signal)) + 1).tolist(), len(signal)]
    return {
        signals[int(signal[start])]: Curve(
            step[start:stop].astype(np.int32), value[start:stop].astype(np.float32)
        )
        for start, stop in itertools.pairwise(bounds)
        if stop > start
    }


def _problem(
    points: Points, bad: pl.Series, column: str, expected: str, mend: str
) -> DataError:
    row = points.values.row(int(bad.arg_true()[0]), named=True)
    return DataError(
        f"{points.source}, run {row['run']!r}, signal {row['signal']!r}, step "
        f"{row['step']:g}: got the {column} {row[column]!r}, expected {expected}; "
        f"{mend}"
    )
