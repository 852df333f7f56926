"""The curves of a corpus up to a window, many runs at once: what early signals see.

Nothing after the window is read, so nothing after it can enter a signal.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.corpus import Corpus
from harness.fits.windows import epoch_axis, epoch_means
from harness.measure import Floats

LOSS: Final = "train_loss"
RATE: Final = "lr"
BLOCK_STEPS: Final = 1 << 20
"""Steps of all runs that are read at a time: 0.5 GB with three curves a step."""

Curves32 = npt.NDArray[np.float32]
Steps = npt.NDArray[np.int32]


class Alike(NamedTuple):
    """Runs of a block whose values of a signal were measured at the same steps."""

    rows: npt.NDArray[np.int64]
    """`[B]`, which runs of the block."""
    steps: Steps
    """`[M]`, updates completed; 0 is before the first."""
    values: Curves32
    """`[B, M]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A signal of N runs where it was measured: run i has `offsets[i:i + 2]`."""

    unit: str
    """Unit of the values."""
    offsets: npt.NDArray[np.int64]
    """`[N + 1]`, where the runs begin in `steps` and `values`."""
    steps: Steps
    """`[K]`, updates completed, ascending within a run; 0 is before the first."""
    values: Curves32
    """`[K]`; what is not finite was measured so."""

    def alike(self) -> Iterator[Alike]:
        """Yield the runs with values, those measured at the same steps together."""
        groups: dict[bytes, list[int]] = {}
        for row, (start, stop) in enumerate(
            zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        ):
            if stop > start:
                groups.setdefault(self.steps[start:stop].tobytes(), []).append(row)
        for key, rows in groups.items():
            steps = np.frombuffer(key, np.int32)
            index = np.array(rows)
            at = self.offsets[index][:, None] + np.arange(len(steps))
            yield Alike(index, steps, self.values[at])


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyCurves:
    """Curves of N runs of one length, up to and with the step T that ends the window.

    A run that diverged within the window has NaN from there on; one that diverges
    later looks like any other.
    """

    run_ids: tuple[str, ...]
    """Names of the runs, sorted."""
    num_steps: int
    """Updates that were planned."""
    steps_per_epoch: int
    """Updates an epoch."""
    loss: Curves32
    """`[N, T]`, `train_loss` in nats; column i is step i + 1. NaN: not recorded."""
    rate: Curves32
    """`[N, T]`, learning rate `lr`. NaN: not recorded."""
    recorded: Mapping[str, Recorded]
    """Every other signal of the corpus's dictionary, sorted by name."""

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.run_ids)

    @property
    def end(self) -> int:
        """Return the last step T of the window."""
        return int(self.loss.shape[1])

    @property
    def num_epochs(self) -> int:
        """Return the number E of whole epochs in the window."""
        return self.end // self.steps_per_epoch

    def epoch_means(self) -> Floats:
        """Return the mean loss of each whole epoch, `[N, E]`."""
        return epoch_means(self.loss, self.steps_per_epoch)

    def epoch_axis(self) -> Floats:
        """Return the mean times of the whole epochs in epochs, `[E]`."""
        return epoch_axis(self.num_epochs, self.steps_per_epoch)


def early_curves(
    corpus: Corpus, until: float, run_ids: Collection[str] | None = None
) -> Iterator[EarlyCurves]:
    """Yield the curves of a corpus up to a share of each run's steps.

    Only segments up to the window are read. Runs of equal (num_steps,
    steps_per_epoch) come together, in blocks of bounded size: the runs, sorted by
    name, are cut into stretches of `BLOCK_STEPS` steps, and a stretch is one block a
    length. Failed runs have no curves and are left out.

    Args:
        corpus: An open corpus.
        until: Share of each run's steps, in (0, 1].
        run_ids: Runs to read; None for all.

    Raises:
        ValueError: `until` is out of range.
        KeyError: The corpus lacks a run.
    """
    if not 0 < until <= 1:
        raise ValueError(f"until is {until}, expected a share in (0, 1]")
    runs = _lengths(corpus, until, run_ids)
    dictionary = corpus.signals().unique("name", keep="first").sort("name")
    units = dict(dictionary.select("name", "unit").rows())
    stretch = (np.cumsum(runs["end"].to_numpy()) - 1) // BLOCK_STEPS
    for part in runs.with_columns(stretch=stretch).partition_by(
        "stretch", maintain_order=True
    ):
        frame = corpus.curves(until=until, run_ids=part["run_id"].to_list())
        lengths = ["num_steps", "steps_per_epoch"]
        for block in part.sort(lengths, maintain_order=True).partition_by(
            lengths, maintain_order=True
        ):
            yield _block(block, frame, units)


def last_step(until: float, num_steps: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the last steps t with t <= until * num_steps, as `Corpus.curves` cuts.

    Example:
        >>> last_step(0.07, [100, 60]).tolist()
        [7, 4]
    """
    percent = round(until * 100, 9)
    limit = percent * np.asarray(num_steps, np.float64)
    return np.floor_divide(limit, 100).astype(np.int64)


def _lengths(
    corpus: Corpus, until: float, run_ids: Collection[str] | None
) -> pl.DataFrame:
    """Return the runs with curves, sorted: run_id, num_steps, steps_per_epoch, end."""
    runs = corpus.runs(["run_id", "num_steps", "steps_per_epoch"]).sort("run_id")
    if run_ids is not None:
        if lacking := sorted(set(run_ids) - set(runs["run_id"])):
            raise KeyError(
                f"{len(lacking)} of {len(set(run_ids))} run ids are not in the corpus "
                f"{corpus.name}, such as {lacking[0]!r}"
            )
        runs = runs.filter(pl.col("run_id").is_in(sorted(run_ids)))
    runs = runs.filter(pl.col("num_steps") > 0)
    return runs.with_columns(end=last_step(until, runs["num_steps"].to_numpy()))


def _block(
    runs: pl.DataFrame, frame: pl.DataFrame, units: Mapping[str, str]
) -> EarlyCurves:
    """Return the curves of runs of one length out of the rows of more."""
    num, end = len(runs), int(runs["end"][0])
    rows = (
        frame.join(runs.select("run_id").with_row_index("row"), on="run_id")
        .sort("signal", "row", "segment")
        .partition_by("signal", as_dict=True)
    )
    found = {str(name): _recorded(part, num, "1") for (name,), part in rows.items()}
    none = _recorded(frame.clear().with_columns(row=pl.lit(0)), num, "1")
    first = runs.row(0, named=True)
    return EarlyCurves(
        run_ids=tuple(runs["run_id"]),
        num_steps=first["num_steps"],
        steps_per_epoch=first["steps_per_epoch"],
        loss=_dense(found.get(LOSS, none), end),
        rate=_dense(found.get(RATE, none), end),
        recorded={
            name: dataclasses.replace(found.get(name, none), unit=unit)
            for name, unit in units.items()
            if name not in (LOSS, RATE)
        },
    )


def _recorded(rows: pl.DataFrame, num: int, unit: str) -> Recorded:
    """Return one signal of `num` runs from its rows, sorted by run and segment."""
    sizes = np.bincount(
        rows["row"].to_numpy(), rows["steps"].list.len().to_numpy(), minlength=num
    )
    return Recorded(
        unit=unit,
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        steps=rows["steps"].explode().to_numpy().astype(np.int32),
        values=rows["values"].explode().to_numpy().astype(np.float32),
    )


def _dense(curve: Recorded, end: int) -> Curves32:
    """Return a per-step curve as an array `[N, T]`, NaN where there is none."""
    sizes = np.diff(curve.offsets)
    dense = np.full((len(sizes), end), np.nan, np.float32)
    dense[np.repeat(np.arange(len(sizes)), sizes), curve.steps - 1] = curve.values
    return dense
