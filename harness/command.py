"""What `harness generate` does, apart from parsing options and printing."""

import contextlib
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.datasets import DataSet, Source
from harness.datasets.source import find_source
from harness.device import Setting
from harness.errors import DataError
from harness.estimate import seconds_for_shape
from harness.execution import execution_for
from harness.executors.crew import Crew
from harness.executors.events import Outcome
from harness.generate import (
    Executor,
    Job,
    check_version,
    finish,
    interruptible,
    mended,
    run_job,
)
from harness.generate import (
    prepare as join,
)
from harness.plan import Plan
from harness.planning import plan_grid
from harness.profiles import Profile
from harness.progress import Display
from harness.record import failed_ids, finished_ids
from harness.registry import DATASETS, GRIDS, OOD_SETS, PROFILES
from harness.scout import Looks
from harness.secret import read_key
from harness.secret_grid import MARK
from harness.site import Site, find_site
from harness.spans import duration
from harness.spec import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `harness generate`; None means not given."""

    grid: str
    folder: Path
    profile: str | None = None
    jobs: int | None = None
    threads: int = 1
    packing: int | None = None
    execution: str = "auto"
    deterministic: bool = False
    executor: str = "local"
    ray_address: str | None = None
    """Ray cluster: HOST:PORT or auto."""
    device: str | None = None
    limit: int | None = None
    data_dir: Path | None = None
    evals_per_epoch: int | None = None
    probes: tuple[str, ...] | None = None
    timeout_s: float | None = None
    shard: str = "1/1"
    allow_version: bool = False
    key: Path | None = None
    """Key file: train the grid's secret twin."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked request: everything that can be wrong has been looked at."""

    request: Request
    profile: Profile
    job: Job
    source: Source
    site: Site
    """Where it is trained."""
    scout: Looks
    """Times work there."""
    setting: Setting


def prepare(request: Request) -> Prepared:
    """Check the request, choose device and profile, and plan; trains nothing.

    Raises:
        KeyError: A name is unknown.
        ValueError: A value is out of range, no profile fits this machine, or the key
            is none, or another than the one the folder was begun with.
        DataError: The profile's data set is not at hand.
        CorpusError: The folder was begun by another version of runcast.
    """
    if not request.allow_version:
        check_version(request.folder)
    source = find_source(request.data_dir)
    GRIDS.get(request.grid)  # an unknown grid is told before anything is timed
    site = find_site(
        request.executor,
        device=request.device,
        jobs=request.jobs,
        threads=request.threads,
        address=request.ray_address,
    )
    try:
        return _planned(request, source, site)
    except BaseException:
        site.close()
        raise


def _planned(request: Request, source: Source, site: Site) -> Prepared:
    """Plan the grid for the devices of a site."""
    devices = site.devices
    setting = _setting(request, devices)
    key = None if request.key is None else _key(request.key, request.folder)
    profile = _with_offered(_profile(request, devices), source)
    if profile.precision == "bfloat16" and devices == ("cpu",):
        sys.stderr.write("precision: float32, as this is no GPU (so other run ids)\n")
        profile = profile.in_float32()
    if request.evals_per_epoch is not None:
        recording = dataclasses.replace(
            profile.recording, evals_per_epoch=request.evals_per_epoch
        )
        profile = dataclasses.replace(profile, recording=recording)
    if request.probes is not None:
        profile = profile.with_probes(request.probes)
    scout = site.scout(setting, source)
    plan = plan_grid(
        request.grid,
        profile,
        limit=request.limit,
        key=key,
        packing=lambda config: scout.choice(config).packing,
        workers=site.jobs,
    )
    if request.key is not None:
        _check_key(request.key, request.folder, plan)
    job = join(
        request.folder, plan, replacing=request.limit is None, shard=request.shard
    )
    gone = {run.run_id for run in job.merged.orphans}
    gone &= set(Plan.load(request.folder).grids)
    if gone:
        _tell(
            f"{len(gone)} runs of {request.folder} are no longer in the grid "
            f"{request.grid} as it is now (its code, profile, probes or evaluations "
            "changed): orphans, kept and not published"
        )
    return Prepared(request, profile, job, source, site, scout, setting)


def dry_run(prepared: Prepared) -> dict[str, Any]:
    """Return what would be done: counts, with time and disk from timed steps."""
    job, site = prepared.job, prepared.site
    cohorts = list(job.pending_cohorts().values())
    with contextlib.closing(site):
        cost = prepared.scout.estimate(cohorts)
        device_name = prepared.scout.device_name
    shared = [run for run in job.plan.runs if len(run.grids) > 1]
    on_gpu = site.devices != ("cpu",)
    # several processes on one GPU share it; on processors each has its own core
    side_by_side = len(site.devices) if on_gpu else site.jobs
    return {
        "runs": len(job.plan.runs),
        "finished": len(job.plan.runs) - len(job.pending),
        "shared_with_other_grids": _shared_with_grids(prepared),
        "shared_in_folder": len(shared),
        "cohorts": len(cohorts),
        "workers": site.jobs,
        "devices": list(site.devices),
        "device": device_name,
        "device_hours": cost.seconds / 3600,
        "seconds": cost.seconds / max(1, min(side_by_side, len(cohorts))),
        "bytes": cost.bytes,
        "probes": [part.name for part in prepared.profile.probes],
        "probe_share_of_train_passes": cost.probe_share,
        "first_ids": [run.run_id for run in job.plan.runs[:5]],
    }


def dry_run_text(report: dict[str, Any]) -> str:
    """Return the report of `dry_run` as text."""
    others = ", ".join(
        f"{count} with {grid}"
        for grid, count in report["shared_with_other_grids"].items()
    )
    return "\n".join(
        [
            f"{report['runs']} runs, {report['finished']} of them finished in the "
            f"folder, {report['shared_in_folder']} planned there by another grid too",
            f"shared with other grids on this profile: {others or 'none'}",
            f"{report['cohorts']} cohorts to train with {report['workers']} worker(s) "
            f"on {', '.join(report['devices'])}",
            f"about {duration(report['seconds'])} and {report['bytes'] / 1e6:.1f} MB "
            f"on disk; {report['device_hours']:.2f} hours of {report['device']}",
            f"probes: {', '.join(report['probes']) or 'none'}; together "
            f"{100 * report['probe_share_of_train_passes']:.0f} % of the passes of "
            "training",
            "first runs: " + " ".join(report["first_ids"]),
        ]
    )


def run(prepared: Prepared) -> dict[str, Any]:
    """Train what is missing, build the tables and return a summary."""
    request, site = prepared.request, prepared.site
    job, said = mended(prepared.job)
    folder = request.folder
    pending = job.pending
    with (
        contextlib.closing(site),
        Display(len(pending)) as display,
        interruptible() as interrupted,
    ):
        for line in said:
            display.say(line)
        display.say(
            f"{len(job.plan.runs)} runs, {len(job.plan.runs) - len(pending)} finished "
            f"before; {site.jobs} worker(s) on {', '.join(site.devices)}"
        )
        outcome = run_job(
            job, _executor(prepared), on_event=display.show, interrupted=interrupted
        )
    finished = finished_ids(folder / "shards")
    failed = failed_ids(folder / "shards")
    left = [run for run in job.plan.runs if run.run_id not in finished]
    others = set(job.merged.grids) - {run.run_id for run in job.plan.runs}
    result: dict[str, Any] = {
        "folder": str(folder),
        "ending": outcome.value,
        "runs": len(job.plan.runs),
        "finished": len(job.plan.runs) - len(left),
        "failed": sum(run.run_id in failed for run in left),
        "left_to_others": len(others - finished - failed),
    }
    ended = outcome is Outcome.DONE and all(run.run_id in failed for run in left)
    if ended and (request.shard == "1/1" or not result["left_to_others"]):
        result["rows"] = finish(folder)["rows"]
    return result


def result_text(result: dict[str, Any], again: str) -> str:
    """Return the summary of `run` as text.

    Args:
        result: Of `run`.
        again: The command that goes on.
    """
    lines = [
        f"{result['finished']} of {result['runs']} runs finished in {result['folder']}"
    ]
    if "rows" in result:
        rows = ", ".join(f"{count:,} {name}" for name, count in result["rows"].items())
        lines.append(f"corpus: {rows} (rows)")
    if result["ending"] == "interrupted":
        lines.append(f"interrupted: this goes on: {again}")
    elif result["ending"] == "no-space":
        lines.append(
            f"a file could not be written: make room, then this goes on: {again}"
        )
    elif result["finished"] < result["runs"]:
        lines.append(
            f"{result['failed']} failed: `harness status {result['folder']}` tells "
            f"why, this tries them again: {again}"
        )
    if "rows" not in result and result["left_to_others"] and not result["failed"]:
        lines.append(
            f"{result['left_to_others']} runs are left to other parts: `harness tables "
            f"{result['folder']}` builds the tables when all are there, or `harness "
            "merge` where they are in other folders"
        )
    return "\n".join(lines)


def _executor(prepared: Prepared) -> Executor:
    request, site = prepared.request, prepared.site
    return site.executor(
        Crew(
            folder=request.folder,
            source=prepared.source,
            devices=site.devices,
            jobs=site.jobs,
            setting=prepared.setting,
            timeout_s=request.timeout_s,
        )
    )


def _key(path: Path, folder: Path) -> bytes:
    """Return the key of the file, which is made unless the folder has secret runs."""
    if path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"the key file {path} lies in the corpus {folder}, which may be published: "
            "move it elsewhere"
        )
    if not path.exists():
        labels = {label for run in Plan.load(folder).runs for label in run.grids}
        if any(MARK in label for label in labels):
            raise ValueError(
                f"the key file {path} does not exist, and {folder} has secret runs: "
                "give the key that they were planned with"
            )
        sys.stderr.write(f"key: {path} is new; keep it, these runs need it to go on\n")
    return read_key(path, create=True)


def _check_key(path: Path, folder: Path, plan: Plan) -> None:
    """Refuse to plan a secret grid a second time, with another key."""
    labels = {label for run in plan.runs for label in run.grids}
    before = [run for run in Plan.load(folder).runs if labels & set(run.grids)]
    families = {run.config.family_id for run in plan.runs}
    # probes, evaluations and limits leave at least the first family in both
    if before and families.isdisjoint(run.config.family_id for run in before):
        raise ValueError(
            f"{folder} has {len(before)} runs planned as {', '.join(labels)}, and none "
            f"of them is what the key {path} draws: give the key (and the version of "
            "the grid and its profile) that the folder was begun with, or another "
            "folder"
        )


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _setting(request: Request, devices: tuple[str, ...]) -> Setting:
    """Return how workers train on the first device.

    Raises:
        ValueError: The options contradict each other, or the device.
    """
    execution_for(request.execution, torch.device(devices[0]))
    return Setting(
        device=devices[0],
        threads=request.threads,
        execution=request.execution,
        packing=request.packing,
        deterministic=request.deterministic,
    )


def _profile(request: Request, devices: tuple[str, ...]) -> Profile:
    """Return the profile asked for, or the one for this machine."""
    if request.profile is not None:
        chosen: Profile = PROFILES.get(request.profile)()
        return chosen
    large: Profile = PROFILES.get("cifar10")()
    if devices != ("cpu",):
        sys.stderr.write("profile: cifar10 (a CUDA device is there)\n")
        return large
    plan = plan_grid(request.grid, large, limit=request.limit)
    days = duration(seconds_for_shape(plan))
    raise ValueError(
        f"without a CUDA device the profile cifar10 would take about {days} on one "
        f"core for these {len(plan.runs)} runs; --profile digits trains the same grid "
        "on small networks in minutes, --profile cifar10 insists"
    )


def _with_offered(profile: Profile, source: Source) -> Profile:
    """Add the offered out-of-distribution sets whose data are at hand."""
    if not profile.offered:
        return profile
    part = profile.dataset.resolve(DATASETS)
    dataset: DataSet = DATASETS.get(part.name)(source, **part.params)
    extra = []
    here = dataclasses.replace(source, fetch=False)
    for name in profile.offered:
        try:
            OOD_SETS.get(name)(here, dataset, torch.device("cpu"))
        except DataError as error:
            reason = str(error).partition(":")[0]
            sys.stderr.write(f"left out: {name} ({reason})\n")
        else:
            extra.append(Part(name))
    return dataclasses.replace(profile, at_hand=tuple(extra))


def _shared_with_grids(prepared: Prepared) -> dict[str, int]:
    """Return how many of the runs each other registered grid contains too."""
    profile = dataclasses.replace(prepared.profile, max_runs=None)
    ids = {run.run_id for run in prepared.job.plan.runs}
    counts = {
        grid: len(ids & {run.run_id for run in plan_grid(grid, profile).runs})
        for grid in GRIDS.names()
        if grid != prepared.request.grid
    }
    return {grid: count for grid, count in counts.items() if count}
