"""Laws of each run's own curve: known laws are forecast exactly."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from baselines.curve_power_law import CurvePowerLaw
from baselines.methods.curve_law import NOT_POSITIVE, left_out
from baselines.shifted_power_law import ShiftedPowerLaw
from harness.errors import Declined
from tasks.answering import tabulate
from tasks.observations import Observations
from tasks.prediction import PREDICTORS
from tests.baselines.built import LEVELS, aimed, observed

EPOCHS, SEEN = 40, 16
TIME = np.arange(EPOCHS) + 1.0  # of one step an epoch
RNG = np.random.default_rng(0)
ALPHA, SCALE = RNG.uniform(0.3, 1.5, 30), RNG.uniform(0.5, 3, 30)
FLOOR = RNG.uniform(0.05, 0.5, 30)
POWER = SCALE[:, None] * TIME ** -ALPHA[:, None]
SHIFTED = FLOOR[:, None] + POWER
LAWS = [(CurvePowerLaw, POWER), (ShiftedPowerLaw, SHIFTED)]


def seen_of(loss: Any, **more: Any) -> Observations:
    return observed(loss, steps_per_epoch=1, epochs=EPOCHS, until=SEEN / EPOCHS, **more)


@pytest.mark.parametrize(("law", "loss"), LAWS)
def test_a_curve_of_the_law_is_drawn_on_exactly(law, loss):
    seen = seen_of(loss, kind="curve")
    found = law().fit(seen, aimed(seen, curves=loss[:, SEEN:])).predict(seen)
    assert found.curves[0] == pytest.approx(
        loss[:, SEEN:], rel=2e-3
    )  # single precision
    assert not found.reasons


@pytest.mark.parametrize(("law", "loss"), LAWS)
def test_noise_moves_a_forecast_by_no_more_than_sampling_error(law, loss):
    noisy = loss * np.exp(RNG.normal(0, 0.002, loss.shape))
    seen = seen_of(noisy, kind="curve")
    found = law().fit(seen, aimed(seen, curves=loss[:, SEEN:])).predict(seen)
    miss = abs(np.log(found.curves[0] / loss[:, SEEN:]))
    assert np.nanmedian(miss) < 0.02


@pytest.mark.parametrize(("law", "loss"), LAWS)
def test_a_number_is_mapped_from_the_forecast_of_the_last_epoch(law, loss):
    accuracy = 0.9 - 0.1 * np.log(loss[:, -1])
    seen = seen_of(loss)
    found = law().fit(seen, aimed(seen, accuracy)).predict(seen)
    assert found.mean == pytest.approx(np.clip(accuracy, 0, 1), abs=0.01)
    assert found.quantiles.shape == (30, len(LEVELS))
    assert (np.diff(found.quantiles, axis=1) >= 0).all()


@pytest.mark.parametrize(("law", "loss"), LAWS)
def test_a_forecast_does_not_depend_on_the_other_test_runs(law, loss):
    seen = seen_of(loss)
    fitted = law().fit(seen, aimed(seen, loss[:, -1]))
    alone = [fitted.predict(seen.of([name])).mean[0] for name in seen.ids]
    assert fitted.predict(seen).mean == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize(("law", "loss"), LAWS)
def test_the_order_of_the_training_runs_does_not_matter(law, loss):
    order, seen = RNG.permutation(30), seen_of(loss)
    groups = [f"g-{i:02d}" for i in range(30)]
    first = law().fit(seen, aimed(seen, loss[:, -1], groups=groups))
    other = seen_of(loss[order])
    shuffled = aimed(other, loss[order, -1], groups=[groups[i] for i in order])
    second = law().fit(other, shuffled)
    assert second.predict(seen).mean == pytest.approx(first.predict(seen).mean)


def test_the_first_epochs_are_left_out_so_that_enough_stay():
    assert [left_out(n, 0.4, 5) for n in (0, 3, 5, 6, 8, 10, 100)] == [
        *(0, 0, 0, 1, 3, 4, 40)
    ]
    with pytest.raises(ValueError, match=r"share in \[0, 1\)"):
        left_out(10, 1.0, 5)


def test_warm_up_does_not_reach_the_forecast():
    loss = POWER.copy()
    loss[:, :6] += 5  # 16 seen epochs, 0.4 of them left out
    seen = seen_of(loss, kind="curve")
    found = CurvePowerLaw().fit(seen, aimed(seen, curves=loss[:, SEEN:])).predict(seen)
    assert found.curves[0] == pytest.approx(POWER[:, SEEN:], rel=1e-4)


def test_curves_without_a_law_are_declined_with_the_reason():
    loss = SHIFTED.copy()
    loss[0] = 2.3  # constant
    loss[1, 9:] = np.nan  # diverged
    loss[2] = 3 - 0.3 * TIME**0.5  # steepens without end
    loss[3] = -0.3 + 1.5 * TIME**-0.5  # has its floor below 0
    loss[3, 25:] = 0.01
    seen = seen_of(loss, kind="curve")
    law = ShiftedPowerLaw().fit(seen, aimed(seen, curves=loss[:, SEEN:]))
    found = law.predict(seen)
    assert [found.reasons[f"e-00{i}"] for i in range(4)] == [
        "shifted_power: ill_conditioned",
        "shifted_power: diverged",
        "shifted_power: ill_conditioned",
        NOT_POSITIVE,
    ]
    assert len(found.reasons) == 4
    assert np.isnan(found.curves[0][:4]).all()
    assert np.isfinite(found.curves[0][4:]).all()


def test_a_window_of_few_epochs_declines_everything():
    seen = observed(POWER, steps_per_epoch=1, epochs=EPOCHS, until=0.1)
    with pytest.raises(Declined, match="power_law: too_short"):
        CurvePowerLaw().fit(seen, aimed(seen, POWER[:, -1]))
    curves = dataclasses.replace(
        seen, asked=dataclasses.replace(seen.asked, kind="curve")
    )
    found = CurvePowerLaw().fit(curves, aimed(curves, curves=POWER[:, 4:]))
    assert set(found.predict(curves).reasons.values()) == {"power_law: too_short"}


def test_a_window_may_end_within_an_epoch():
    steps = 4 * EPOCHS
    loss = np.repeat(POWER, 4, axis=1)
    seen = observed(
        loss, steps_per_epoch=4, epochs=EPOCHS, until=66 / steps, kind="curve"
    )
    found = CurvePowerLaw().fit(seen, aimed(seen, curves=POWER[:, 17:])).predict(seen)
    assert len(tabulate(seen, found)) == 30 * (EPOCHS - 17)


def test_the_laws_are_registered_and_read_no_settings():
    for name, law in {
        "curve_power_law": CurvePowerLaw,
        "shifted_power_law": ShiftedPowerLaw,
    }.items():
        assert PREDICTORS.get(name) is law
        assert law.uses == ()
        assert not law.reads_settings
