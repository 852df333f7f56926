"""Tables on whole epochs: the data path, an epoch, packing, a run, synchronisations."""

import dataclasses
import itertools
import os
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from benchmarks.device.bench import Bench, Ours, Row, Spread, ratios, twin
from benchmarks.plain_recipe import (
    InMemory,
    PlainRecipe,
    training_loader,
    training_transform,
)
from harness.datasets import DataSet, Split
from harness.feed import DeviceData, Feed
from harness.profiles import digits
from harness.rig import Rig
from harness.seeds import stream
from harness.spec import Part, Recording, RunConfig
from harness.train import train

PLAN_GPU_HOURS = 192.0
"""What the plan allows the 432 runs of T-4."""
RUNS = 432
CELLS = 95
"""Of the corruption suite, 10,000 images each."""
LIMIT_S = 45.0
"""What a run of 50 epochs may take on one H200 or H100."""
PROFILE_EPOCHS = 50
MOST_WORKERS = 16


def data_path(bench: Bench) -> Iterator[Row]:
    """Time batches alone: torchvision's loader, and ours on the device."""
    batch = bench.size.batches[0]
    for randaugment in (False, True):
        name = "randaugment" if randaugment else "crop_flip"
        theirs = _loader_rate(bench, batch, randaugment)
        part = Part(name)
        feed = Feed(bench.data, [bench.run(batch, augmentation=part)])
        epochs = itertools.count()

        def ours(feed: Feed = feed, epochs: Iterator[int] = epochs) -> None:
            feed.start_epoch(next(epochs))
            for index in range(feed.steps_per_epoch):
                feed.prepare(index)
                feed.take()

        seconds = bench.interleaved({name: ours})[name]
        images = feed.steps_per_epoch * batch
        rates = Spread.of([images / each for each in seconds])
        yield {
            "augmentation": name,
            "loader images/s": theirs,
            "ours images/s": rates,
            "ours / loader": rates.median / theirs,
            "workers": _workers(bench),
        }


def epoch(bench: Bench) -> Iterator[Row]:
    """Time an epoch of training: the plain recipe with its loader, and ours."""
    images = len(bench.data.train)
    for batch in bench.size.batches:
        run = bench.run(batch)
        ours = Ours(bench, [run], bench.best(batch))
        ours.epoch()
        seconds = [bench.seconds(ours.epoch, wall=True) for _ in range(2)]
        row: Row = {"batch": batch, "ours s": Spread.of(seconds)}
        for amp in (False, True):
            name = "plain bfloat16" if amp else "plain float32"
            recipe = PlainRecipe(
                twin(bench, ours.rig), run.optimizer.params["lr"], amp=amp
            )
            rate = _loader_rate(bench, batch, False, recipe)
            steps = images // batch
            row[f"{name} s"] = steps * batch / rate
            row[f"{name} / ours"] = row[f"{name} s"] / Spread.of(seconds).median
        yield row
        del ours
        bench.clear()


def _loader_rate(
    bench: Bench, batch: int, randaugment: bool, recipe: PlainRecipe | None = None
) -> float:
    """Return the images a second of a loader, alone or trained on."""
    train_split = bench.dataset.train
    transform = training_transform(bench.data.in_shape[-1], randaugment=randaugment)
    dataset = InMemory(train_split.inputs, train_split.labels, transform)
    loader = training_loader(dataset, batch, workers=_workers(bench), pinned=bench.cuda)

    def forever() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            yield from loader

    batches = forever()
    for _ in range(max(2, _workers(bench))):  # workers have started by then
        _consume(bench, recipe, next(batches))
    bench.wait()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < bench.size.seconds_each or not count:
        _consume(bench, recipe, next(batches))
        count += 1
    bench.wait()
    return count * batch / (time.perf_counter() - start)


def _consume(
    bench: Bench,
    recipe: PlainRecipe | None,
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    if recipe is None:
        for part in batch:
            part.to(bench.device, non_blocking=True)
    else:
        recipe.train_on([batch])


def _workers(bench: Bench) -> int:
    return min(MOST_WORKERS, os.cpu_count() or 1) if bench.cuda else 1


def packed(bench: Bench) -> Iterator[Row]:
    """Time the updates of several runs side by side on the device."""
    for batch in bench.size.packed_batches:
        cohorts = {
            count: [bench.run(batch, seed=seed) for seed in range(count)]
            for count in bench.size.packing
        }
        actions = {f"{n}": Ours(bench, cohort) for n, cohort in cohorts.items()}
        times = bench.interleaved(actions)
        alone = times[f"{bench.size.packing[0]}"]
        for count in bench.size.packing:
            seconds = times[f"{count}"]
            gain = ratios(alone, seconds)
            yield {
                "batch": batch,
                "runs": count,
                "ms an update": 1000 * Spread.of(seconds).median,
                "images/s of all": count * batch / Spread.of(seconds).median,
                "x one run": Spread(*(count * value for value in gain)),
            }
        del actions
        bench.clear()


def stacked(bench: Bench) -> Iterator[Row]:
    """Time the stacked network of the digits profile, many runs in one."""
    numbers = stream(0, "bench-device", 1)
    train_split, *others = (
        Split(
            numbers.integers(1, 256, (count, 1, 8, 8), dtype=np.uint8),
            numbers.integers(0, 10, count),
        )
        for count in (256, 64, 64)
    )
    dataset = DataSet("digits-like", train_split, others[0], others[1], 10)
    data = DeviceData(dataset, bench.device)
    profile = dataclasses.replace(
        digits(), probes=(), recording=Recording(train_subset=64, ood=())
    )
    few = bench.size.stacked[0]
    actions = {}
    for count in bench.size.stacked:
        cohort = [
            dataclasses.replace(
                profile.run(batch_size=64, seed=seed % 3, lr_mult=1 + 0.01 * seed),
                epochs=2000,
            ).resolve()
            for seed in range(count)
        ]
        actions[f"{count}"] = _Stacked(cohort, data, bench.execution)
    times = bench.interleaved(actions)
    for count in bench.size.stacked:
        seconds = times[f"{count}"]
        gain = ratios(times[f"{few}"], seconds)
        yield {
            "runs": count,
            "batch": cohort[0].batch_size,
            "us a run and update": 1e6 * Spread.of(seconds).median / count,
            "images/s of all": count * cohort[0].batch_size / Spread.of(seconds).median,
            f"x {few} runs": Spread(*(count / few * value for value in gain)),
        }
    del actions
    bench.clear()


class _Stacked(Ours):
    """The same on other data."""

    def __init__(
        self, cohort: Sequence[RunConfig], data: DeviceData, execution: str
    ) -> None:
        self.rig = Rig(cohort, data, execution)
        self._step = 0


def synchronisations(bench: Bench) -> Iterator[Row]:
    """Count how often the host waits for the device within an epoch and a score."""
    if not bench.cuda:
        yield {"within": "an epoch", "count": "needs CUDA", "where": ""}
        return
    ours = Ours(bench, [bench.run(bench.size.batches[0])])
    ours.epoch()
    scorer, held_out = ours.rig.scorer, bench.data.validation
    for _ in range(2):
        scorer.score(held_out)
    bench.wait()
    for name, action in (
        ("an epoch of updates, recorded", ours.epoch),
        ("a score of the validation images", lambda: scorer.score(held_out)),
    ):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                action()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        yield {"within": name, **waits(seen)}


def waits(seen: Iterable[warnings.WarningMessage]) -> Row:
    """Return how many warnings tell of a wait for the device, and from where."""
    lines = Counter(
        f"{each.filename}:{each.lineno}"
        for each in seen
        if "called a synchronizing CUDA operation" in str(each.message)
    )
    where = ", ".join(f"{line} ({count})" for line, count in lines.most_common(5))
    return {"count": lines.total(), "where": where}


def whole_run(bench: Bench) -> Iterator[Row]:
    """Train one and two epochs with `train()`; tell what 50 epochs and T-4 take."""
    for batch in bench.size.batches:
        execution, costs = bench.best(batch), []
        for epochs in (1, 1, 2):  # the first also chooses kernels
            start = time.perf_counter()
            run = bench.run(batch, epochs=epochs)
            records = train([run], bench.data, execution=execution)
            assert records is not None
            wall = time.perf_counter() - start
            costs.append({**records[0].costs, "wall_s": wall})
        yield from _extrapolated(bench, batch, execution, costs[1], costs[2])
        bench.clear()


def _extrapolated(
    bench: Bench,
    batch: int,
    execution: str,
    one: dict[str, float],
    two: dict[str, float],
) -> Iterator[Row]:
    """Yield a row an account, then what they come to."""
    more = PROFILE_EPOCHS - 1
    whole = {
        name: one[name] + more * max(0.0, two[name] - one[name])
        for name in sorted(one)
        if name.endswith("_s") and name not in ("wall_s", "compile_s", "wait_s")
    }
    whole |= {name: one.get(name, 0.0) for name in ("compile_s", "wait_s")}
    floor = bench.known["training",] / bench.known["matmul", bench.precision]
    floor *= PROFILE_EPOCHS * (len(bench.data.train) // batch) * batch
    total = sum(whole.values())
    bench.known["run", batch] = total
    head = {"batch": batch, "execution": execution}
    for name, seconds in whole.items():
        yield {
            **head,
            "what": name.removesuffix("_s"),
            "1 epoch s": one.get(name, 0.0),
            "2 epochs s": two.get(name, 0.0),
            "50 epochs s": seconds,
            "share": seconds / total,
        }
    walls = one["wall_s"], two["wall_s"]
    clock = walls[0] + more * max(0.0, walls[1] - walls[0])
    target = LIMIT_S if bench.size.width == 1 and bench.cuda else "full size on a GPU"
    for what, seconds, share in (
        ("in all", total, target),
        ("by the clock", clock, clock / total),
        ("operations floor", floor, floor / total),
    ):
        row: Row = {**head, "what": what, "1 epoch s": "", "2 epochs s": ""}
        if what == "by the clock":
            row |= {"1 epoch s": walls[0], "2 epochs s": walls[1]}
        yield {**row, "50 epochs s": seconds, "share": share}


def grid(bench: Bench) -> Iterator[Row]:
    """Add up what the runs of T-4 come to, of what the other tables found."""
    runs = [seconds for key, seconds in bench.known.items() if key[0] == "run"]
    found = {key[0] for key in bench.known}
    if missing := sorted({"run", "probes", "scored_s"} - found):
        yield {"what": f"not known, as not measured: {', '.join(missing)}"}
        return
    floor = bench.known["training",] / bench.known["matmul", bench.precision]
    floor *= PROFILE_EPOCHS * len(bench.data.train)
    parts = {
        "training and evaluation": statistics.mean(runs),
        "default probes": bench.known["probes",],
        f"{CELLS} cells of the corruption suite": CELLS * bench.known["scored_s",],
    }
    parts["in all"] = sum(parts.values())
    parts["floor of training"] = floor
    for what, seconds in parts.items():
        hours = RUNS * seconds / 3600
        yield {
            "what": what,
            "s a run": seconds,
            "432 runs, hours": hours,
            "of the plan's 192 hours": hours / PLAN_GPU_HOURS,
            "x the floor": seconds / floor,
        }
