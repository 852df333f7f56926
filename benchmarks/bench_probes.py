"""What probes cost: counted for ResNet-18 on CIFAR-10, measured on digits.

Counted: image passes that each probe of the profile `cifar10` plans, as a share of
what training passes, a backward pass weighing as two forward ones. No network is
trained; data are random. Measured: seconds of each probe as a share of the seconds of
training, by the runs' own ledgers, over cohorts of the T-4 grid on `digits`.

The floor is 0; a probe's seconds exceed its share of passes where its images do not
fill what training fills (a few hundred images against whole epochs), and fall below
it where they fill it better.
"""

import dataclasses
import statistics
from collections.abc import Sequence

import numpy as np
import torch

from harness.datasets import DataSet, Split
from harness.datasets.source import find_source
from harness.feed import DeviceData
from harness.planning import plan_grid
from harness.profiles import Profile
from harness.record import RunRecord
from harness.registry import DATASETS, PROFILES
from harness.spec import RunConfig
from harness.state import CohortState
from harness.train import train

ALL = ("all",)


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    print("counted: cifar10, ResNet-18, 45,000 images, 50 epochs")
    for batch_size in (64, 128, 256):
        counted(batch_size)
    print("\nmeasured: digits, cohorts of the T-4 grid")
    measured(("noise", "curvature"), 6)
    measured(ALL, 1)  # the whole spectrum costs tens of trainings


def counted(batch_size: int) -> None:
    """Print the share of training passes that each probe of `cifar10` plans."""
    profile: Profile = PROFILES.get("cifar10")().with_probes(ALL)
    run = dataclasses.replace(
        profile.run(batch_size=batch_size),
        recording=dataclasses.replace(profile.recording, ood=()),
    ).resolve()
    numbers = np.random.default_rng(0)
    images = numbers.integers(0, 256, (45_000, 3, 32, 32), dtype=np.uint8)
    split = Split(images, numbers.integers(0, 10, 45_000))
    data = DeviceData(DataSet("nominal", split, split, split, 10), torch.device("cpu"))
    steps = run.epochs * (45_000 // batch_size)
    state = CohortState([run], data, steps)
    total = steps * batch_size
    shares = {
        name: work.gradients / total for name, work in state.probes.planned.items()
    }
    print(f"batch {batch_size}: " + table(shares))
    for name in ("noise", "curvature"):
        part = {p.name for p in profile.probe_sets[name]}
        share = sum(v for k, v in shares.items() if k in part)
        print(f"  {name}: {100 * share:.2f} %")


def measured(names: Sequence[str], num_cohorts: int) -> None:
    """Print the share of training seconds that each probe takes on digits."""
    profile: Profile = PROFILES.get("digits")().with_probes(names)
    recording = dataclasses.replace(profile.recording, ood=())
    profile = dataclasses.replace(profile, recording=recording)
    part = profile.dataset.resolve(DATASETS)
    dataset = DATASETS.get(part.name)(find_source(None), **part.params)
    data = DeviceData(dataset, torch.device("cpu"))
    cohorts = list(plan_grid("t4", profile).cohorts().values())
    chosen = cohorts[:: len(cohorts) // num_cohorts][:num_cohorts]
    shares: dict[str, list[float]] = {}
    for planned in chosen:
        for name, share in ledger([run.config for run in planned], data).items():
            shares.setdefault(name, []).append(share)
    print(f"probes {', '.join(names)}, median of {len(chosen)} cohorts [min, max]:")
    for name, values in shares.items():
        low, mid, high = min(values), statistics.median(values), max(values)
        print(f"  {name}: {100 * mid:.1f} % [{100 * low:.1f}, {100 * high:.1f}]")


def ledger(cohort: list[RunConfig], data: DeviceData) -> dict[str, float]:
    """Train a cohort; return each probe's seconds and passes, of training's."""
    records = train(cohort, data)
    assert records is not None
    costs = records[0].costs
    shares = {}
    for probe in cohort[0].probes:
        shares[f"{probe.name}, seconds"] = seconds(records, probe.name)
        forward = costs[f"probe.{probe.name}_forward_images"]
        backward = costs[f"probe.{probe.name}_backward_images"]
        work = (forward + 2 * backward) / 3
        shares[f"{probe.name}, passes"] = work / costs["train_images"]
    return shares


def seconds(records: Sequence[RunRecord], probe: str) -> float:
    """Return the seconds of a probe as a share of those of training."""
    costs = records[0].costs
    return costs[f"probe.{probe}_s"] / costs["train_s"]


def table(shares: dict[str, float]) -> str:
    """Return names and percentages on one line."""
    return ", ".join(f"{name} {100 * share:.2f} %" for name, share in shares.items())


if __name__ == "__main__":
    main()
