"""Training a recorded run again: alone, by a worker as of `harness generate`.

A worker of its own fixes what torch reads before it is loaded; it works in a temporary
folder, so that nothing is written to the corpus.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.datasets import Source
from harness.datasets.source import find_source
from harness.device import Setting, device_names
from harness.errors import DataError, RuncastError, StorageError
from harness.execution import execution_for
from harness.executors.crew import Crew
from harness.executors.events import Event, Outcome
from harness.executors.local import LocalExecutor
from harness.generate import Executor, Progress, run_job
from harness.generate import prepare as join
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, shard_path
from harness.registry import DATASETS
from harness.replay.recorded import Recorded
from harness.spec import RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run is replayed; None: as recorded."""

    device: str | None = None
    """cpu, or a CUDA device such as cuda:1."""
    threads: int | None = None
    """Threads on a processor."""
    execution: str | None = None
    """How steps are run: a name that `harness.execution` knows."""
    deterministic: bool | None = None
    """On a GPU, use only kernels that give the same bits every time."""
    data_dir: Path | None = None
    """Local mirror of data sets."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A replay that was looked over and may start."""

    config: RunConfig
    setting: Setting
    source: Source


def prepare(recorded: Recorded, options: Options) -> Prepared:
    """Check that a run can be trained again here; trains nothing.

    Raises:
        KeyError: A part of the run is not known here, or cannot be imported.
        TypeError: A part of the run takes other arguments here.
        ValueError: The device is not there, or options contradict each other.
        DataError: The data set is not at hand, or is another than the recorded one.
    """
    config = recorded.config
    _check_parts(config)
    setting = _setting(recorded.record, options)
    source = find_source(options.data_dir)
    _check_data(recorded.record, config, source)
    return Prepared(config, setting, source)


def retrain(
    prepared: Prepared,
    *,
    executor: Callable[[Crew], Executor] = LocalExecutor,
    on_event: Callable[[Event, Progress], None] = lambda event, progress: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> RunRecord | None:
    """Train the run and return its record, None if interrupted.

    Args:
        prepared: From `prepare`.
        executor: Makes who trains; by default a worker process.
        on_event: Told about progress.
        interrupted: Asked often.

    Raises:
        RuncastError: The training failed; tells the traceback.
        StorageError: The temporary folder has no room.
    """
    config = prepared.config
    run = PlannedRun(config, config.run_id, f"c-{config.run_id[2:]}", ("replay",))
    with tempfile.TemporaryDirectory(prefix="runcast-replay-") as place:
        folder = Path(place)
        crew = Crew(
            folder=folder,
            source=prepared.source,
            devices=(prepared.setting.device,),
            jobs=1,
            setting=prepared.setting,
        )
        outcome = run_job(
            join(folder, Plan((run,))),
            executor(crew),
            on_event=on_event,
            interrupted=interrupted,
        )
        if outcome is Outcome.INTERRUPTED:
            return None
        return _result(folder, config.run_id, outcome)


def _result(folder: Path, run_id: str, outcome: Outcome) -> RunRecord:
    shards = folder / "shards"
    if (path := shard_path(shards, run_id)).exists():
        return RunRecord.load(path)
    if outcome is Outcome.NO_SPACE:
        raise StorageError(
            f"no room for the replay in {folder.parent}: make some, or name another "
            "folder in TMPDIR"
        )
    failed = RunRecord.load(shard_path(shards, run_id, failed=True))
    raise RuncastError(f"the replay of {run_id} failed:\n{failed.error}")


def _check_parts(config: RunConfig) -> None:
    try:
        config.resolve()
    except ImportError as error:
        raise ValueError(
            f"a part of {config.run_id} cannot be imported here: {error}"
        ) from error


def _setting(record: RunRecord, options: Options) -> Setting:
    """Return how the run was trained, but for what the options say."""
    told = record.environment
    on_cpu = told.get("device", "cpu") == "cpu"
    if options.device is not None:
        names = device_names(options.device)
    else:
        names = ("cpu",) if on_cpu else device_names(None)
        if names == ("cpu",) and not on_cpu:
            raise ValueError(
                f"the run was trained on {told['device']!r}, and torch sees no CUDA "
                "device here: --device cpu trains it on the processor"
            )
    if len(names) > 1 and options.device is not None:
        raise ValueError(f"a run is replayed on one device, got {options.device!r}")
    moved = on_cpu != (names[0] == "cpu")
    execution = options.execution or ("auto" if moved else told.get("execution"))
    deterministic = options.deterministic
    setting = Setting(
        device=names[0],
        threads=options.threads or (told.get("threads", 1) if on_cpu else 1),
        execution=execution or "auto",
        packing=1,
        deterministic=(
            bool(told.get("deterministic")) if deterministic is None else deterministic
        ),
    )
    execution_for(setting.execution, torch.device(setting.device))
    return setting


def _check_data(record: RunRecord, config: RunConfig, source: Source) -> None:
    """Refuse to train on other data than the run was trained on."""
    dataset = DATASETS.get(config.dataset.name)(source, **config.dataset.params)
    was = record.environment.get("data_fingerprint")
    if was is not None and dataset.fingerprint != was:
        raise DataError(
            f"{config.run_id} was trained on {config.dataset.name} with the "
            f"fingerprint {was}, here it has {dataset.fingerprint}: the images, the "
            "labels or their order differ, so nothing was trained (--data-dir names "
            "another mirror)"
        )
