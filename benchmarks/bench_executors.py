"""What the Ray executor costs beside the local one: many runs of a second each.

Both train the same plan with the same worker object and as many workers, in turn, in
one process; a run sleeps for a second and then trains for a moment. Floor: the runs'
seconds over the workers. A short look: `bench_executors.py --runs 48 --rounds 1`.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from harness.datasets import Source  # noqa: E402
from harness.datasets.source import find_source  # noqa: E402
from harness.device import Setting  # noqa: E402
from harness.executors.crew import Crew  # noqa: E402
from harness.executors.events import Event, Outcome  # noqa: E402
from harness.executors.local import LocalExecutor  # noqa: E402
from harness.executors.ray.cluster import Cluster  # noqa: E402
from harness.executors.ray.executor import RayExecutor  # noqa: E402
from harness.generate import prepare, run_job  # noqa: E402
from harness.models.mlp import Mlp  # noqa: E402
from harness.plan import Plan, PlannedRun  # noqa: E402
from harness.profiles import digits  # noqa: E402
from harness.record import finished_ids  # noqa: E402
from harness.spec import Part, Recording  # noqa: E402

SLEEP_S = 1.0


class Sleeper(Mlp):
    """Perceptrons that sleep before they are used for the first time."""

    slept = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        if not self.slept:
            self.slept = True
            time.sleep(SLEEP_S)
        return super().forward(x)


def sleeper(num_runs: int, in_shape: tuple[int, ...], num_classes: int) -> Sleeper:
    """Return small ones."""
    return Sleeper(num_runs, in_shape, num_classes, width=8, depth=1)


def plan(count: int) -> Plan:
    """Return runs that are as short as can be, each a cohort of its own."""
    base = dataclasses.replace(
        digits(),
        dataset=Part("digits", {"train_size": 64, "validation_size": 32}),
        epochs=1,
        recording=Recording(train_subset=8, evals_per_epoch=1),
        offered=(),
        probes=(),
    )
    model = Part("benchmarks.bench_executors:sleeper")
    runs = [
        dataclasses.replace(base.run(seed=seed), model=model).resolve()
        for seed in range(count)
    ]
    ids = [config.run_id for config in runs]
    return Plan(
        tuple(
            PlannedRun(config, run_id, f"c-{run_id[2:]}", ("bench/sleep",))
            for config, run_id in zip(runs, ids, strict=True)
        )
    )


@dataclass(frozen=True)
class Times:
    """Seconds of one executor on one plan."""

    start: float
    """Until as many cohorts as workers have been begun."""
    work: float
    """From then to the last result, as if no run had ended before."""
    end: float
    """From then to the end: workers and cluster take their leave."""
    whole: float
    """By the clock."""


def timed(name: str, runs: Plan, workers: int, source: Source) -> Times:
    """Train the plan into a new folder."""
    begun: dict[str, float] = {}
    done: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        job = prepare(Path(place) / "corpus", runs)
        crew = Crew(
            folder=job.folder,
            source=source,
            devices=("cpu",),
            jobs=workers,
            setting=Setting(device="cpu"),
        )

        def note(event: Event, progress: object) -> None:
            if event.kind != "progress" or event.share > 0:  # else torch may be loading
                begun.setdefault(event.cohort, time.perf_counter())
            if event.kind == "done":
                done.append(time.perf_counter())
            elif event.kind != "progress":
                raise RuntimeError(f"{event.kind}: {event.error}")

        begin = time.perf_counter()
        if name == "ray":
            executor = RayExecutor(crew, Cluster.join(None, cores=workers))
        else:
            executor = LocalExecutor(crew)
        outcome = run_job(job, executor, on_event=note, interrupted=lambda: False)
        end = time.perf_counter()
        assert outcome is Outcome.DONE
        assert len(finished_ids(job.folder / "shards")) == len(runs.runs)
    ready = sorted(begun.values())[workers - 1]
    early = sum(moment < ready for moment in done)
    work = (done[-1] - ready) * len(done) / (len(done) - early)
    return Times(ready - begin, work, end - done[-1], end - begin)


def main() -> None:
    """Print the seconds of both and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=432)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    runs, source = plan(options.runs), find_source()
    floor = options.runs * SLEEP_S / options.workers
    print(f"{options.runs} runs, {options.workers} workers; floor {floor:.0f} s")
    print("seconds: start, work, end, whole | of Ray | Ray's work, whole over local")
    works, wholes = [], []
    for number in range(options.rounds):
        order = ("local", "ray") if number % 2 == 0 else ("ray", "local")
        found = {name: timed(name, runs, options.workers, source) for name in order}
        local, ray = found["local"], found["ray"]
        works.append(ray.work / local.work)
        wholes.append(ray.whole / local.whole)
        seconds = " | ".join(
            "  ".join(f"{value:5.1f}" for value in dataclasses.astuple(times))
            for times in (local, ray)
        )
        print(f"{seconds} | {works[-1]:.3f}  {wholes[-1]:.3f}", flush=True)
    for name, ratios in (("work", works), ("whole", wholes)):
        print(
            f"ray / local, {name}: {statistics.median(ratios):.3f} "
            f"[{min(ratios):.3f}, {max(ratios):.3f}]"
        )


if __name__ == "__main__":
    main()
