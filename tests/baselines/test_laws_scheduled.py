"""Laws of the planned learning rates: known laws are forecast."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from baselines.methods.scheduled import NO_RATES, NOT_FINITE, TOO_SHORT, gather
from baselines.multi_power_law import MultiPowerLaw, scales
from baselines.two_power_law import COURSE, TwoPowerLaw
from harness.errors import Declined
from harness.fits.multi_power import MultiPower, loss_drop
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Targets
from tests.baselines.built import aimed, observed

EPOCHS, SEEN, RUNS = 40, 10, 24
BOTH = [MultiPowerLaw, TwoPowerLaw]


def schedules() -> list[Any]:
    """Return cosine, step and constant with a cool-down, a rate an epoch, peak 1."""
    time = np.arange(EPOCHS)
    step = np.select([time < 20, time < 30], [1.0, 0.1], 0.01)
    cool = np.minimum(1, (EPOCHS - time) / 10)
    return [0.5 + 0.5 * np.cos(np.pi * time / EPOCHS), step, cool]


def made(law: MultiPower, *, runs: int = RUNS, own_exponents: bool = False) -> Any:
    """Return losses and rates `[runs, EPOCHS]`; `law` is in units of its baselines."""
    rng = np.random.default_rng(1)
    losses, rates = [], []
    for run in range(runs):
        plan = schedules()[run % 3]
        sums = np.cumsum(plan)
        alpha = rng.uniform(0.3, 0.9) if own_exponents else law.alpha
        shape = (sums / sums[SEEN - 1]) ** -alpha
        shape -= loss_drop(law, plan, np.arange(EPOCHS) + 1)
        floor = 0.0 if own_exponents else rng.uniform(0.3, 0.6)
        losses.append(floor + rng.uniform(0.5, 2) * shape)
        rates.append(plan * 10 ** rng.uniform(-4, 0))  # optimizers differ like this
    return np.array(losses), np.array(rates)


def seen_of(loss: Any, rates: Any, **more: Any) -> Observations:
    more = {"until": SEEN / EPOCHS, "kind": "curve"} | more
    return observed(loss, rate=rates, steps_per_epoch=1, epochs=EPOCHS, **more)


def fitted(predictor: Any, loss: Any, rates: Any) -> Any:
    seen = seen_of(loss, rates)
    return predictor.fit(seen, aimed(seen, curves=loss[:, SEEN:]))


def misses(curves: Any, loss: Any) -> Any:
    return abs(np.log(curves / loss[:, SEEN:]))


def test_the_multi_power_law_is_found_and_drawn_on():
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, 1.5, 0.8, 0.3))
    law = fitted(MultiPowerLaw(), loss, rates)
    assert misses(law.predict(seen_of(loss, rates)).curves[0], loss).max() < 0.02
    assert np.exp(law.theta[:2]) == pytest.approx([0.6, 0.2], rel=0.25)


def test_runs_never_seen_are_forecast_by_pooled_exponents():
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, 1.5, 0.8, 0.3))
    law = fitted(MultiPowerLaw(), loss[:18], rates[:18])
    seen = seen_of(loss[18:], rates[18:])
    assert misses(law.predict(seen).curves[0], loss[18:]).max() < 0.02


def test_the_two_power_law_finds_scale_and_exponent_of_each_run():
    loss, rates = made(MultiPower(0, 1, 1, 0.1, *COURSE), own_exponents=True)
    law = fitted(TwoPowerLaw(), loss, rates)
    assert misses(law.predict(seen_of(loss, rates)).curves[0], loss).max() < 1e-3
    assert float(np.exp(law.theta[0])) == pytest.approx(0.1, rel=0.01)


def test_without_a_drop_it_is_a_power_law_in_the_sum_of_rates():
    loss, rates = made(MultiPower(0, 1, 1, 0.0, *COURSE), own_exponents=True)
    law = fitted(TwoPowerLaw(with_drop=False), loss, rates)
    assert misses(law.predict(seen_of(loss, rates)).curves[0], loss).max() < 1e-4


@pytest.mark.parametrize("predictor", BOTH)
def test_noise_moves_a_forecast_by_no_more_than_sampling_error(predictor):
    own = predictor is TwoPowerLaw
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, *COURSE), own_exponents=own)
    noise = np.exp(np.random.default_rng(2).normal(0, 0.003, loss.shape))
    noise[:, SEEN:] = 1
    law = fitted(predictor(), loss * noise, rates)
    found = law.predict(seen_of(loss * noise, rates)).curves[0]
    assert np.median(misses(found, loss)) < 0.03


@pytest.mark.parametrize("predictor", BOTH)
def test_rates_count_as_shares_of_their_highest(predictor):
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, *COURSE))
    law = fitted(predictor(), loss, rates)
    same = law.predict(seen_of(loss, rates)).curves[0]
    scaled = law.predict(seen_of(loss, 1000 * rates)).curves[0]
    assert scaled == pytest.approx(same, rel=1e-5)


@pytest.mark.parametrize("predictor", BOTH)
def test_a_forecast_does_not_depend_on_the_other_test_runs(predictor):
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, *COURSE))
    law, seen = fitted(predictor(), loss, rates), seen_of(loss, rates)
    alone = [law.predict(seen.of([name])).curves[0][0] for name in seen.ids]
    assert law.predict(seen).curves[0] == pytest.approx(np.array(alone), rel=1e-9)


@pytest.mark.parametrize("predictor", BOTH)
def test_the_order_of_the_training_runs_does_not_matter(predictor):
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, *COURSE))
    order = np.random.default_rng(3).permutation(RUNS)
    seen = seen_of(loss, rates)
    first = fitted(predictor(), loss, rates).predict(seen).curves[0]
    second = fitted(predictor(), loss[order], rates[order]).predict(seen).curves[0]
    assert second == pytest.approx(first, rel=1e-3)


def test_a_finer_schedule_of_the_same_rates_says_the_same():
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, *COURSE))
    coarse, _ = gather(seen_of(loss[1:2], rates[1:2]), 0.4)
    fine = observed(
        *(np.repeat(loss[1:2], 8, 1),),
        rate=np.repeat(rates[1:2], 8, 1),
        steps_per_epoch=8,
        epochs=EPOCHS,
        until=SEEN / EPOCHS,
        kind="curve",
    )
    halves, _ = gather(fine, 0.4)
    # middles of epochs instead of ends: half an epoch of the current rate less
    ends = np.exp(coarse[0].log_sums) * 10
    middles = np.exp(halves[0].log_sums) * 9.5
    rate = schedules()[1][4:]
    assert middles[0] == pytest.approx(ends[0] - rate / 2, rel=1e-6)


def test_a_task_without_planned_rates_is_declined():
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, *COURSE))
    seen = dataclasses.replace(seen_of(loss, rates), planned=(None,))
    for predictor in BOTH:
        with pytest.raises(Declined, match="needs the planned learning rates"):
            predictor().fit(seen, aimed(seen, curves=loss[:, SEEN:]))


@pytest.mark.parametrize("predictor", BOTH)
def test_runs_that_cannot_be_fitted_are_declined_with_the_reason(predictor):
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, *COURSE))
    law = fitted(predictor(), loss, rates)
    loss[0, 8:] = np.nan
    rates[1, 20:] = np.nan
    rates[2] = 0
    found = law.predict(seen_of(loss, rates))
    reasons = {"e-000": NOT_FINITE, "e-001": NO_RATES, "e-002": NO_RATES}
    assert found.reasons == reasons
    assert np.isnan(found.curves[0][:3]).all()
    assert np.isfinite(found.curves[0][3:]).all()
    for until in (0.01, 0.1):  # no epoch, and four
        short = seen_of(loss, rates, until=until)
        assert set(law.predict(short).reasons.values()) == {TOO_SHORT}
        with pytest.raises(Declined, match="no training run has"):
            predictor().fit(short, aimed(short, curves=loss[:, int(until * EPOCHS) :]))


@pytest.mark.parametrize("predictor", BOTH)
def test_numbers_are_mapped_from_the_last_epoch_where_rates_are_shown(predictor):
    loss, rates = made(MultiPower(0, 1, 0.6, 0.1, *COURSE), runs=30)
    seen = seen_of(loss, rates, kind="value")
    values = 0.9 - 0.2 * loss[:, 9]
    found = predictor().fit(seen, aimed(seen, values)).predict(seen)
    assert abs(found.mean - values).mean() < 0.5 * abs(values - values.mean()).mean()


def test_scales_are_the_best_that_are_not_negative():
    from scipy.optimize import nnls

    rng = np.random.default_rng(4)
    loss = rng.uniform(0.5, 2, (200, 6))
    shape = rng.normal(0.3, 1, (200, 6))
    shape[:50] = np.sqrt(loss[:50] - 0.4)  # so convex that l0 would be below 0
    l0, a = scales(shape, loss)
    for row in range(200):
        design = np.stack([1 / loss[row], shape[row] / loss[row]], axis=1)
        best, _ = nnls(design, np.ones(6))
        assert (l0[row], a[row]) == pytest.approx(best, abs=1e-9)
    assert (l0 == 0).any()
    assert (a == 0).any()


def test_the_laws_are_registered_and_read_no_settings():
    for name, law in zip(["multi_power_law", "two_power_law"], BOTH, strict=True):
        assert PREDICTORS.get(name) is law
        assert law.uses == ()
        assert not law.reads_settings


def test_nothing_to_learn_from_is_declined():
    loss, rates = made(MultiPower(0, 1, 0.6, 0.2, *COURSE))
    rates[:] = np.nan
    seen = seen_of(loss, rates)
    none = Targets(ids=seen.ids, values=np.empty(0), groups=seen.ids)
    with pytest.raises(Declined, match="no training run has"):
        MultiPowerLaw().fit(seen, none)
