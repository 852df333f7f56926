"""What a worker keeps on its device, and what a plan costs."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

import harness.workbench
from harness.datasets import Source, Split
from harness.estimate import estimate, seconds_for_shape
from harness.ood.base import OodCell
from harness.planning import plan_grid
from harness.profiles import digits
from harness.spec import Part, Recording
from harness.workbench import Workbench

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Source:
    return Source(data_dir=None, cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def profile():
    ood = Part("corrupted", {"num_images": 16, "corruptions": ("fog", "contrast")})
    return dataclasses.replace(digits(), recording=Recording(ood=(ood,)))


def test_a_data_set_is_loaded_once_and_cells_name_themselves(source, profile):
    bench = Workbench(source, CPU)
    one, other = (profile.run(seed=s).resolve() for s in range(2))
    assert bench.data(one) is bench.data(other)
    cells = bench.cells(one)
    assert bench.cells(other) is cells
    assert [(c.corruption, c.severity) for c in cells[:2]] == [("fog", 1), ("fog", 2)]
    assert len(cells) == 10
    assert cells[0].load() is cells[0].load()
    assert len(cells[0].load()) == 16


def test_cells_that_do_not_fit_are_loaded_again(source, profile, monkeypatch):
    monkeypatch.setattr(harness.workbench, "CPU_BYTES", 16 * 64 + 10)
    first, second = Workbench(source, CPU).cells(profile.run().resolve())[:2]
    assert first.load() is first.load()
    again = second.load()
    assert again is not second.load()
    assert torch.equal(again.inputs, second.load().inputs)


def counted_cells(source, dataset, device, *, count: int = 6):
    """Return cells of 1000 bytes that count how often they are loaded."""

    def cell(index: int) -> OodCell:
        def load() -> Split:
            LOADED.append(index)
            images = np.full((10, 1, 10, 10), index, np.uint8)
            return Split(images, np.arange(10))

        return OodCell(set_name="counted", corruption="c", severity=index, load=load)

    return [cell(index) for index in range(count)]


LOADED: list[int] = []


@pytest.fixture
def counted():
    """A run scored on counted cells."""
    LOADED.clear()
    ood = Part(f"{__name__}:counted_cells")
    return dataclasses.replace(digits(), recording=Recording(ood=(ood,))).run()


def test_after_preparation_no_cell_is_made_again(source, counted):
    bench, shares = Workbench(source, CPU), []
    bench.prepare(counted.resolve(), shares.append)
    assert sorted(LOADED) == list(range(6))
    assert shares == [pytest.approx(k / 6) for k in range(1, 7)]
    for index, cell in enumerate(bench.cells(counted.resolve())):
        assert cell.load().inputs.unique().tolist() == [index]
        assert cell.load().labels.tolist() == list(range(10))
    bench.prepare(counted.resolve())
    assert len(LOADED) == 6


def test_preparation_keeps_to_the_room_on_the_device(source, counted, monkeypatch):
    monkeypatch.setattr(harness.workbench, "CPU_BYTES", 3500)
    bench = Workbench(source, CPU)
    bench.prepare(counted.resolve())
    assert sorted(LOADED) == list(range(6))
    cells = bench.cells(counted.resolve())
    assert sum(cell.load() is cell.load() for cell in cells) == 3


def test_without_shifted_sets_there_is_nothing_to_prepare_but_the_data(source):
    run = dataclasses.replace(digits(), recording=Recording()).run().resolve()
    bench, shares = Workbench(source, CPU), []
    bench.prepare(run, shares.append)
    assert shares == []
    assert len(bench.data(run).test) == 1797 - 256 - 256  # train, validation


@pytest.mark.gpu
def test_cells_on_a_gpu_hold_what_those_on_the_processor_hold(source, profile):
    run, device = profile.run().resolve(), torch.device("cuda")
    here, there = Workbench(source, CPU), Workbench(source, device)
    for bench in (here, there):
        bench.prepare(run)
    for one, other in zip(here.cells(run), there.cells(run), strict=True):
        assert other.load().inputs.device.type == "cuda"
        assert torch.equal(one.load().labels, other.load().labels.cpu())
        change = one.load().inputs.int() - other.load().inputs.cpu().int()
        assert change.abs().max() <= 1  # sums within 1e-13 of a half may differ


@pytest.fixture
def ticking(monkeypatch):
    """A clock on which the load of this machine does not show: 0.1 s a look."""
    clock = itertools.count(step=0.1)
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))


@pytest.mark.usefixtures("ticking")
def test_an_estimate_grows_with_the_runs_and_the_epochs(source, profile):
    bench = Workbench(source, CPU)
    profile = profile.with_probes(("none",))  # they cost the same for any epochs
    plan = plan_grid("pilot", profile)
    cohorts = list(plan.cohorts().values())
    whole, part = estimate(cohorts, bench), estimate(cohorts[:1], bench)
    assert whole.bytes == pytest.approx(part.bytes * len(cohorts), rel=0.01)
    assert whole.seconds > part.seconds > 0
    longer = dataclasses.replace(profile, epochs=300)
    long = estimate(list(plan_grid("pilot", longer).cohorts().values()), bench)
    assert 4 < long.seconds / whole.seconds < 25


@pytest.mark.usefixtures("ticking")
def test_a_time_is_told_without_any_data_at_hand():
    tiny = dataclasses.replace(
        digits(), model=Part("resnet20", {"width": 0.25}), epochs=1
    )
    one = seconds_for_shape(plan_grid("pilot", tiny, limit=1))
    two = seconds_for_shape(plan_grid("pilot", tiny, limit=2))
    assert one > 0
    assert 1 < two / one < 4
