"""When things are measured."""

from itertools import pairwise

import pytest

from harness.cadence import Timeline, cadence_steps
from harness.schema import segment_of

RUN = Timeline(num_steps=17_550, steps_per_epoch=351)


def test_every_epoch_includes_the_start_and_the_end():
    steps = cadence_steps("epochs:1", RUN)
    assert steps == [351 * epoch for epoch in range(51)]


def test_every_k_steps_ends_with_the_last():
    assert cadence_steps("steps:7", Timeline(20, 5)) == [0, 7, 14, 20]


def test_log_spaced_times_grow_by_a_constant_factor():
    steps = cadence_steps("log:24", RUN)
    assert len(steps) == 24
    assert (steps[0], steps[-1]) == (176, 17_550)
    ratios = [b / a for a, b in pairwise(steps)]
    assert max(ratios) / min(ratios) == pytest.approx(1, abs=0.01)


def test_log_spaced_times_of_a_short_run_are_distinct():
    assert cadence_steps("log:24", Timeline(10, 5)) == [1, 2, 3, 4, 5, 7, 8, 10]


@pytest.mark.parametrize("num_steps", [6, 50, 200, 17_550])
def test_window_ends_lie_one_in_each_window_of_a_run_long_enough(num_steps):
    steps = cadence_steps("windows", Timeline(num_steps, 1))
    segments = [segment_of(step, num_steps) for step in steps]
    assert segments == sorted(set(segments))
    if num_steps >= 50:
        assert segments == list(range(6))


@pytest.mark.parametrize("text", ["", "daily", "log", "log:0", "epochs:-1", "steps:x"])
def test_what_is_no_cadence_is_refused(text):
    with pytest.raises(ValueError, match="expected 'epochs:k'"):
        cadence_steps(text, RUN)
