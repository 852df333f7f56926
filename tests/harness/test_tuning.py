"""Ways to run are tried in order, the fastest is taken and remembered."""

import dataclasses

import pytest
import torch

from harness.device import Setting
from harness.planning import PACK, plan_grid
from harness.profiles import smoke
from harness.spec import Part
from harness.tuning import Choice, Trial, Tuner, choose, timed, untuned
from tests.harness.toy import toy_data, toy_run

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ORDINARY = toy_run(model="resnet20")
DRAWING = dataclasses.replace(
    ORDINARY, model=Part("resnet20", {"width": 0.25, "dropout": 0.1})
).resolve()


class Machine:
    """Runs whatever is asked at the speeds of a table."""

    def __init__(self, speeds):
        self.speeds, self.asked = speeds, []

    def __call__(self, cohort, data, choice):
        assert len({run.seed for run in cohort}) == len(cohort) == choice.packing
        self.asked.append(choice)
        if choice not in self.speeds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Trial(choice, self.speeds[choice], 1.0)


def tuner(machine, folder, said=None, **setting):
    return Tuner(
        Setting(device="cuda", **setting),
        folder,
        (said if said is not None else []).append,
        attempt=machine,
        device_name="Toy 9000",
    )


def loaded(config):
    return toy_data()


def graph(packing):
    return Choice("graph", packing)


def compiled(packing):
    return Choice("compiled", packing)


def test_packs_grow_with_the_better_execution_while_that_pays(tmp_path):
    speeds = {graph(1): 90.0, compiled(1): 100.0, compiled(2): 150.0}
    machine = Machine(speeds | {compiled(4): 155.0, compiled(8): 900.0})
    said = []
    found = tuner(machine, tmp_path, said).choice(ORDINARY, loaded)
    assert found == compiled(2)
    assert machine.asked == [graph(1), compiled(1), compiled(2), compiled(4)]
    assert said[2].startswith(
        "tried compiled with 2 run(s) of resnet20 at batch 8: 150"
    )


def test_what_was_found_is_remembered_for_its_kind_alone(tmp_path):
    machine = Machine({graph(1): 90.0, compiled(1): 80.0, graph(2): 91.0})
    assert tuner(machine, tmp_path).choice(ORDINARY, loaded) == graph(1)
    tried = len(machine.asked)
    other_seed = dataclasses.replace(ORDINARY, seed=5, epochs=9)
    assert tuner(machine, tmp_path).choice(other_seed, loaded) == graph(1)
    assert tuner(machine, tmp_path).known(other_seed) == graph(1)
    assert len(machine.asked) == tried
    larger = dataclasses.replace(ORDINARY, batch_size=16)
    assert tuner(machine, tmp_path).known(larger) == untuned(larger, GPU)
    tuner(machine, tmp_path).choice(larger, loaded)
    assert len(machine.asked) == 2 * tried


def test_a_pack_that_does_not_fit_is_no_choice(tmp_path):
    machine = Machine({graph(1): 90.0, compiled(1): 80.0})
    said = []
    assert tuner(machine, tmp_path, said).choice(ORDINARY, loaded) == graph(1)
    assert machine.asked == [graph(1), compiled(1), graph(2)]
    assert "0 images/s" in said[-1]


def test_what_is_asked_for_is_not_tried(tmp_path):
    machine = Machine({compiled(1): 1.0, compiled(2): 2.0, graph(8): 5.0})
    fixed = tuner(machine, tmp_path, execution="graph", packing=3)
    assert fixed.choice(ORDINARY, loaded) == graph(3)
    assert machine.asked == []
    by_execution = tuner(machine, tmp_path, execution="compiled")
    assert by_execution.choice(ORDINARY, loaded) == compiled(2)
    assert machine.asked == [compiled(1), compiled(2), compiled(4)]
    by_pack = tuner(machine, tmp_path, packing=8)
    assert by_pack.choice(ORDINARY, loaded) == graph(8)
    assert by_pack.known(ORDINARY) == graph(8)


def test_the_same_bits_are_never_sought_in_compiled_kernels(tmp_path):
    machine = Machine({graph(1): 90.0, compiled(1): 500.0})
    found = tuner(machine, tmp_path, deterministic=True).choice(ORDINARY, loaded)
    assert found == graph(1)
    assert compiled(1) not in machine.asked


def test_networks_that_draw_are_not_recorded(tmp_path):
    machine = Machine({Choice("eager", 1): 90.0, compiled(1): 50.0})
    assert tuner(machine, tmp_path).choice(DRAWING, loaded) == Choice("eager", 1)


def test_on_a_processor_nothing_is_tried(tmp_path):
    machine = Machine({})
    there = Tuner(Setting(device="cpu"), tmp_path, attempt=machine)
    assert there.choice(ORDINARY, loaded) == Choice("eager", 1)
    assert there.choice(toy_run(), loaded) == Choice("eager", PACK)
    assert machine.asked == []


def test_a_slightly_faster_large_pack_is_not_worth_the_wait():
    trials = [Trial(graph(1), 100.0, 0.0), Trial(graph(2), 103.0, 0.0)]
    assert choose(trials) == graph(1)
    assert choose([*trials, Trial(graph(4), 120.0, 0.0)]) == graph(4)
    assert choose([trials[0], Trial(compiled(1), 101.0, 9.0)]) == compiled(1)


def test_a_way_is_timed_on_real_updates():
    cohort = [dataclasses.replace(toy_run(), seed=s) for s in range(3)]
    trial = timed(cohort, toy_data(), Choice("eager", 3))
    assert trial.choice == Choice("eager", 3)
    assert trial.images_per_s > 100
    assert trial.set_up_s > 0


def test_a_plan_is_cut_into_the_packs_chosen_but_occupies_all_workers():
    profile = dataclasses.replace(
        smoke(), model=Part("resnet20", {"width": 0.25}), max_runs=None
    )

    def sizes(**options):
        cohorts = plan_grid("pilot", profile, **options).cohorts().values()
        return sorted(len(cohort) for cohort in cohorts)

    assert sizes() == [1] * 18
    assert sizes(packing=lambda config: 4) == [3] * 6
    assert sizes(packing=lambda config: 8) == [6] * 3
    assert sizes(packing=lambda config: 8, workers=3) == [2] * 9


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"packing": 0}, r"packing is 0, expected at least 1 run"),
        (
            {"execution": "compiled", "deterministic": True},
            r"use --deterministic with --execution graph or eager",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, text):
    with pytest.raises(ValueError, match=text):
        Setting(device="cuda", **wrong)
