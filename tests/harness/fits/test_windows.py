import numpy as np
import pytest

from harness.fits import windows
from harness.fits.power_law import fit_power_law
from harness.measure import DIVERGED, NO_WINDOW, OK, TOO_SHORT
from harness.seeds import stream


@pytest.mark.parametrize("steps", [1, 7, 98])
def test_epoch_means_are_the_means_of_whole_epochs_of_steps(steps):
    values = stream(0, "epochs").standard_normal((3, 5 * steps + steps // 2))
    loop = [
        [np.mean(curve[e * steps : (e + 1) * steps]) for e in range(5)]
        for curve in values
    ]
    np.testing.assert_allclose(windows.epoch_means(values, steps), loop, atol=1e-14)


@pytest.mark.parametrize("amplitude", [1e-3, 1.0, 1e6])
def test_a_pure_saw_of_any_amplitude_becomes_a_constant(amplitude):
    step = np.arange(50 * 98)
    saw = amplitude * ((step % 98) / 98 - 0.5)
    means = windows.epoch_means((1 + saw)[None], 98)
    assert np.ptp(means) <= 1e-15 * amplitude
    found = windows.saw_amplitude((1 + saw)[None], 98).at(0, "saw_amplitude")
    assert found.value == pytest.approx(amplitude * 74 / 98, rel=1e-9)  # 98 - 24 steps


def test_blocks_and_the_type_of_the_input_do_not_change_epoch_means(monkeypatch):
    values = stream(1, "epochs").random((20, 60)).astype(np.float32)
    whole = windows.epoch_means(values, 6)
    saw = windows.saw_amplitude(values, 6)["saw_amplitude"]
    monkeypatch.setattr(windows, "BLOCK_ELEMENTS", 130)
    np.testing.assert_array_equal(windows.epoch_means(values, 6), whole)
    np.testing.assert_array_equal(
        windows.saw_amplitude(values.astype(np.float64), 6)["saw_amplitude"], saw
    )


def test_the_axis_is_the_mean_time_of_the_steps_of_each_epoch():
    time = np.arange(1, 4 * 98 + 1) / 98
    axis = windows.epoch_axis(4, 98)
    np.testing.assert_allclose(axis, windows.epoch_means(time[None], 98)[0], 1e-14)


@pytest.mark.parametrize("steps", [4, 98, 391])
def test_the_window_5_to_15_of_epoch_means_is_epochs_6_to_15_and_keeps_alpha(steps):
    time = np.arange(1, 50 * steps + 1) / steps
    means = windows.epoch_means((0.9 * time**-0.5)[None], steps)
    axis = windows.epoch_axis(50, steps)
    fit = fit_power_law(axis, means, window=(5, 15))
    assert fit.n[0] == 10
    assert fit["alpha"][0] == pytest.approx(0.5, abs=1e-3)


def test_too_few_steps_give_no_epoch_and_a_saw_needs_one():
    assert windows.epoch_means(np.ones((2, 5)), 6).shape == (2, 0)
    saw = windows.saw_amplitude(np.ones((2, 5)), 6)
    assert saw.status.tolist() == [TOO_SHORT] * 2
    values = np.ones((2, 12))
    values[1, 3] = np.inf
    assert windows.saw_amplitude(values, 6).status.tolist() == [OK, DIVERGED]
    assert windows.saw_amplitude(values, 1).status.tolist() == [TOO_SHORT] * 2


def test_a_ramp_from_0_to_3_has_saw_amplitude_3():
    ramp = np.tile([0.0, 1.0, 2.0, 3.0], (1, 5))
    assert windows.saw_amplitude(ramp, 4)["saw_amplitude"][0] == 3
    assert windows.saw_amplitude(-ramp, 4)["saw_amplitude"][0] == -3


def test_burn_in_ends_at_the_first_of_three_low_epochs_in_a_row():
    nan, inf = np.nan, np.inf
    means = [
        [2, 0.9, 1.1, 1.0, 0.8, 0.7],  # 1.0 counts as low
        [0.5, 0.5, 0.5, 9.0, inf, nan],  # what comes later does not matter
        [2, 0.9, 0.9, 1.1, 0.9, 0.9],
        [2, 0.9, nan, 0.9, 0.9, 2],
    ]
    found = windows.burn_in(means, [1, 2, 3, 4, 5, 6])
    assert found.status.tolist() == [OK, OK, NO_WINDOW, DIVERGED]
    np.testing.assert_array_equal(found["start"], [4, 1, nan, nan])
    assert windows.burn_in(means, [1, 2, 3, 4, 5, 6], consecutive=2)["start"][2] == 2
    assert windows.burn_in(means, [1, 2, 3, 4, 5, 6], threshold=0.5).ok.tolist() == [
        False,
        True,
        False,
        False,
    ]
    assert windows.burn_in([[0.1, 0.1]], [1, 2]).status.tolist() == [TOO_SHORT]
    assert windows.burn_in(np.ones((1, 0)), []).status.tolist() == [TOO_SHORT]


def test_the_window_from_burn_in_holds_exactly_the_epochs_after_it():
    axis = windows.epoch_axis(30, 98)
    means = np.stack([3 * axis**-0.5, 2 * axis**-0.5, 9 * axis**-0.1])
    start = windows.burn_in(means, axis)["start"]
    fit = fit_power_law(axis, means, window=np.stack([start, [30] * 3], axis=1))
    assert fit.n.tolist() == [30 - 9, 30 - 4, 0]  # 3 t^-0.5 <= 1 from t = 9
    assert fit.status.tolist() == [OK, OK, NO_WINDOW]


def test_the_threshold_is_1_nat_at_10_classes_and_a_fraction_of_guessing():
    assert windows.chance_threshold(10) == 1
    assert windows.chance_threshold(1000) == pytest.approx(0.434 * np.log(1000), 1e-3)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="expected \\[N, T\\]"):
        windows.epoch_means(np.ones(5), 2)
    with pytest.raises(ValueError, match="steps_per_epoch is 0"):
        windows.epoch_means(np.ones((1, 5)), 0)
    with pytest.raises(ValueError, match="3 epochs of 0 steps"):
        windows.epoch_axis(3, 0)
    with pytest.raises(ValueError, match="num_classes is 1"):
        windows.chance_threshold(1)
    with pytest.raises(ValueError, match="do not match"):
        windows.burn_in(np.ones((2, 3)), [1, 2])
    with pytest.raises(ValueError, match="consecutive is 0"):
        windows.burn_in(np.ones((2, 3)), [1, 2, 3], consecutive=0)
