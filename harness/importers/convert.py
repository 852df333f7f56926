"""`harness import`: foreign files become a corpus, whole or not at all."""

import contextlib
import math
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.errors import DataError, StorageError
from harness.foreign import IMPORTED, ForeignConfig
from harness.importers.facts import FactTable, RunFacts
from harness.importers.gather import PER_UPDATE, Gather, Run
from harness.importers.long import facts_of
from harness.importers.points import Context, Points
from harness.importers.report import Report, report
from harness.importers.tabular import blocks, header, names
from harness.publish import write_corpus
from harness.record import RunRecord, Status
from harness.registry import IMPORTERS
from harness.schema import SIGNALS, Signal
from harness.storage import TEMPORARY_PREFIX

KEYS: Final = ("run_id", "Name")
"""Columns of a file of configurations that may name the run."""
LOSS: Final = "train_loss"
_KNOWN: Final = frozenset(signal.name for signal in SIGNALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be imported, and how it is to be understood."""

    files: Sequence[Path]
    """Files, or folders of event files."""
    format: str
    """Registered format, or `module:attribute` of an importer."""
    out: Path
    """Corpus folder; must not exist, or be empty."""
    name: str | None = None
    """Name of the corpus, part of the identity of its runs; None: that of `out`."""
    config: Path | None = None
    """CSV or Parquet with a row a run: run_id (or Name) and facts."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """New names of signals and columns."""
    left_out: Collection[str] = ()
    """Signals and columns to leave out."""
    steps_per_epoch: int | None = None
    """Updates an epoch where no column says it; None: 1."""
    num_steps: int | None = None
    """Planned updates where no column says it; None: each run's last step."""
    step_scale: float | None = None
    """Updates a unit of the files' steps; None: steps are updates."""
    first_step: int | None = None
    """What the files call the first update, 0 or 1; None: 0 if the training loss (or,
    without one, another signal of updates) has a value at step 0."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("steps_per_epoch", "num_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected 1 or more")
        if self.first_step not in (None, 0, 1):
            raise ValueError(f"first_step is {self.first_step}, expected 0 or 1")
        scale = self.step_scale
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"step_scale is {scale}, expected a positive number")


def import_corpus(request: Request) -> Report:
    """Turn foreign files into a corpus folder and return what became of them.

    The folder is built under another name and renamed when it is complete.

    Raises:
        DataError: A file is not what it should be, or the folder is not empty.
        KeyError: No format is called so.
        ValueError: A name of `renamed` or `left_out` was not met, or is ambiguous.
        StorageError: A file could not be written.
    """
    importer = IMPORTERS.get(request.format)
    _check(request)
    name = request.name or request.out.resolve().name
    context = Context(request.renamed, request.left_out)
    with _building(request.out) as folder:
        gather, facts = _gathered(request, importer, name, context, folder / _SPILL)
        records = _records(request, name, context, gather, facts)
        write_corpus(
            folder,
            records,
            name=name,
            grids={},
            shards={},
            origin=lambda: _origin(request, context),
        )
        gather.close()
        shutil.rmtree(folder / _SPILL)
    return report(Corpus.open(request.out), context)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return "OLD=NEW" texts as a dictionary; an old name may have "=" in it.

    Raises:
        ValueError: A text is no such pair, or a name stands twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        old, _, new = text.rpartition("=")
        if not old or not new or old in found:
            raise ValueError(
                f"--map is given {text!r}, expected OLD=NEW such as loss=train_loss, "
                "each old name once"
            )
        found[old] = new
    return found


_SPILL: Final = f"{TEMPORARY_PREFIX}import"


def _check(request: Request) -> None:
    """Check that there is something to read and a place to write it."""
    for path in (*request.files, *filter(None, [request.config])):
        if not path.exists():
            raise DataError(f"{path} does not exist")
        if path.is_dir() and (
            path == request.config or request.format != "tensorboard"
        ):
            raise DataError(f"{path} is a folder: name the files in it")
    if request.out.exists() and (
        not request.out.is_dir() or any(request.out.iterdir())
    ):
        raise DataError(
            f"{request.out} is not empty: name a folder that does not exist yet; runs "
            "are never added to a corpus or written over one"
        )


@contextlib.contextmanager
def _building(out: Path) -> Iterator[Path]:
    """Yield a new folder that becomes `out` if nothing goes wrong."""
    folder = out.resolve().parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True)
        yield folder
        folder.rename(out.resolve())
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _gathered(
    request: Request,
    importer: Callable[..., Iterator[Points]],
    name: str,
    context: Context,
    spill: Path,
) -> tuple[Gather, dict[str, RunFacts]]:
    """Read all files; return values and facts."""
    gather = Gather(
        spill,
        collection=name,
        size=sum(_size(path) for path in request.files),
        context=context,
        scale=request.step_scale,
    )
    table = FactTable(context)
    for points in importer(list(request.files), context):
        gather.add(points)
        table.add(points)
    if request.config is not None:
        table.add(_configurations(request.config, context))
    context.check_all_used()
    if not len(gather):
        raise DataError(
            f"there is no value in {', '.join(p.name for p in request.files[:5])}: "
            "nothing to import"
        )
    idle = [run for run in table if run not in gather]
    if idle:
        context.note(
            f"{len(idle):,} runs have facts but no curve, such as {idle[0]!r}: left out"
        )
    return gather, table.sorted_out()


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return path.stat().st_size


def _configurations(path: Path, context: Context) -> Points:
    """Return the facts of a file with a row a run."""

    def accepts(found: Sequence[str]) -> bool:
        return any(context.renamed.get(name, name) in KEYS for name in found)

    found = header(path, accepts)
    new = {name: context.column(name) if name else None for name in found}
    keys = [old for key in KEYS for old, name in new.items() if name == key]
    if not keys:
        raise DataError(
            f"{path} lacks a column {' or '.join(KEYS)}, which says what run a row is "
            f"about; it has {', '.join(found[:12]) or 'nothing'}"
        )
    facts: dict[str, Mapping[str, Any]] = {}
    for block in blocks(path, accepts, context):
        told = block.frame.select(
            pl.col(old).alias(name)
            for old, name in new.items()
            if name is not None and old != keys[0]
        ).with_columns(names(block, keys[0]).alias(_RUN))
        for run, known in facts_of(told, _RUN, path).items():
            if run in facts:
                raise DataError(f"{path} has the run {run!r} more than once")
            facts[run] = known
    return Points(pl.DataFrame(), str(path), facts)


_RUN: Final = "run_id"


def _records(
    request: Request,
    name: str,
    context: Context,
    gather: Gather,
    facts: Mapping[str, RunFacts],
) -> Iterator[RunRecord]:
    first_step = _first_step(request, context, gather)
    dictionary = tuple(
        Signal(
            name=signal,
            meaning=f"imported as {signal!r}",
            unit="unknown",
            range="(-inf, inf)",
            probe=IMPORTED,
        )
        for signal in gather.signals
        if signal not in _KNOWN
    )
    families: set[str] = set()
    untold: dict[str, None] = {}
    for run in gather.runs(first_step=first_step):
        known = facts.get(run.name, RunFacts())
        untold |= dict.fromkeys(n for n in _DEFAULTS if n not in known.counts)
        record = _record(request, name, run, known, dictionary)
        families.add(record.config.family_id)
        yield record
    for what, text in _DEFAULTS.items():
        if what in untold and getattr(request, what) is None:
            context.note(text)
    if len(families) == len(gather):
        context.note(
            "no two runs are known to be replicates, so each is a family of its own"
        )


_DEFAULTS: Final = {
    "steps_per_epoch": "updates an epoch are not known for some or all runs "
    "(--steps-per-epoch): an epoch is one step there",
    "num_steps": "planned updates are not known for some or all runs (--num-steps): "
    "the last recorded step is taken for the end, so a run that was stopped looks "
    "complete",
}
"""What is said where neither a column nor an option tells a number."""


def _first_step(request: Request, context: Context, gather: Gather) -> int:
    """Return what the files call the first update."""
    if request.first_step is not None:
        return request.first_step
    decisive = (LOSS,) if LOSS in gather.signals else PER_UPDATE
    zero = sorted(gather.starts_at_zero & set(decisive))
    if not zero:
        return 1
    context.note(
        f"steps count from 0 ({zero[0]} has a value at step 0), so all were raised by "
        "1: step t is after t updates; --first-step 1 leaves them as they are"
    )
    return 0


def _record(
    request: Request,
    name: str,
    run: Run,
    facts: RunFacts,
    dictionary: tuple[Signal, ...],
) -> RunRecord:
    """Return the record of a foreign run."""
    last = max(int(curve.steps[-1]) for curve in run.curves.values())
    num_steps = facts.counts.get("num_steps", request.num_steps or last)
    if num_steps < last:
        raise DataError(
            f"run {run.name!r} has a value at step {last:,}, after its {num_steps:,} "
            "planned updates: correct num_steps, or leave it out"
        )
    status, diverged = _ending(run, facts)
    try:
        config = ForeignConfig(
            collection=name, run=run.name, settings=facts.settings, family=facts.family
        )
    except ValueError as error:
        raise DataError(f"run {run.name!r}: {error}") from error
    return RunRecord(
        config=config,
        status=status,
        num_steps=num_steps,
        steps_per_epoch=facts.counts.get(
            "steps_per_epoch", request.steps_per_epoch or 1
        ),
        curves=run.curves,
        signals=tuple(s for s in dictionary if s.name in run.curves),
        final=facts.final,
        costs=facts.costs,
        environment=facts.environment,
        diverged_step=diverged,
        error=facts.error,
    )


def _ending(run: Run, facts: RunFacts) -> tuple[Status, int | None]:
    """Return how a run ended, and when it diverged.

    Where it is not told, a training loss that ends with values that are not finite
    tells it: the run diverged at the first of these.
    """
    diverged = facts.counts.get("diverged_step")
    loss = run.curves.get(LOSS)
    if diverged is None and loss is not None and facts.status in (None, "diverged"):
        finite = np.flatnonzero(np.isfinite(loss.values))
        after = int(finite[-1]) + 1 if len(finite) else 0
        if after < len(loss.steps):
            diverged = int(loss.steps[after])
    status = facts.status or ("diverged" if diverged is not None else "completed")
    return status, diverged  # type: ignore[return-value]


def _origin(request: Request, context: Context) -> dict[str, Any]:
    return {
        "format": request.format,
        "files": sorted(path.name for path in request.files),
        "steps_per_epoch": request.steps_per_epoch,
        "num_steps": request.num_steps,
        "step_scale": request.step_scale,
        "dropped": dict(context.dropped),
        "notes": list(context.notes),
    }
