"""Known answers of the curve signals."""

import numpy as np
import pytest

from harness.early.alternatives import alternatives
from harness.early.curves import EarlyCurves, Recorded
from harness.early.knee import RateChanges, knee, rate_changes, two_segment
from harness.early.losses import last_loss, saw_amplitude, sotl, sotl_e, tse_ema
from harness.early.noise import band_power, psd_slope, psd_slope_steps
from harness.early.power_law import burn_in, burn_in_power_law, power_law
from harness.early.recorded import last, plateau
from harness.fits.windows import epoch_axis
from harness.registry import SCHEDULES
from harness.seeds import stream

SIZE, EPOCHS = 24, 50


def curves(loss, rate=None, size=SIZE, **recorded) -> EarlyCurves:
    """Return curves `[N, T]`, at a constant rate unless told."""
    loss = np.atleast_2d(np.asarray(loss, np.float32))
    rate = np.ones_like(loss) if rate is None else np.asarray(rate, np.float32)
    return EarlyCurves(
        run_ids=tuple(f"r-{i}" for i in range(len(loss))),
        num_steps=2 * loss.shape[1],
        steps_per_epoch=size,
        loss=loss,
        rate=np.broadcast_to(rate, loss.shape),
        recorded=recorded,
    )


def each_step(means, size=SIZE):
    """Return a loss whose epoch means are these."""
    return np.repeat(means, size)


def exact(law, epochs=EPOCHS):
    return each_step(law(epoch_axis(epochs, SIZE)))


def test_a_power_law_is_found_in_epochs_5_to_15_and_cut_at_the_window():
    whole = power_law(curves(exact(lambda t: 0.9 * t**-0.5)))
    assert whole["alpha"][0] == pytest.approx(0.5, abs=1e-6)
    assert whole["log_c"][0] == pytest.approx(np.log(0.9), abs=1e-6)
    assert whole.n[0] == 10
    assert whole.window[0].tolist() == [5 * SIZE + 1, 15 * SIZE]
    short = power_law(curves(exact(lambda t: 0.9 * t**-0.5, epochs=11)[:-1]))
    assert short.n[0] == 5
    assert short.window[0].tolist() == [5 * SIZE + 1, 10 * SIZE]


def test_burn_in_ends_with_three_epochs_below_the_threshold():
    means = [3.0, 0.9, 1.2, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 1.5]
    given = curves([each_step(means), each_step(np.full(10, 2.0))])
    start = burn_in(given)
    assert start["start"][0] == pytest.approx(3.5 + 0.5 / SIZE)
    assert start.status.tolist() == ["ok", "no_window"]
    law = burn_in_power_law(given)
    assert law.status.tolist() == ["ok", "no_window"]
    assert law.window[0].tolist() == [3 * SIZE + 1, 10 * SIZE]
    slope = np.polyfit(np.log(epoch_axis(10, SIZE)[3:]), np.log(means[3:]), 1)[0]
    assert law["alpha"][0] == pytest.approx(-slope, rel=1e-6)
    assert burn_in(given, threshold=2.5).ok.all()


def test_the_family_is_told_and_two_segments_only_on_request():
    noise = np.exp(0.01 * stream(0, "family").standard_normal((2, EPOCHS)))
    t = epoch_axis(EPOCHS, SIZE)
    means = np.stack([0.9 * t**-0.5, np.exp(-t / 10)]) * noise
    given = curves(np.repeat(means, SIZE, axis=1))
    assert alternatives(given)["winner"].tolist() == [0, 1]
    more = alternatives(given, families=("power_law", "two_segment"))
    assert set(more.values) >= {"bic_power_law", "bic_two_segment"}
    assert alternatives(given).window[0].tolist() == [2 * SIZE + 1, EPOCHS * SIZE]


def hinge(t, at=15.0):
    return np.where(t < at, t**-0.9, at**-0.4 * t**-0.5)


def test_a_knee_is_found_where_it_is():
    noise = 0.02 * stream(1, "knee").standard_normal(EPOCHS)
    given = curves(each_step(hinge(epoch_axis(EPOCHS, SIZE)) * np.exp(noise)))
    for found in (two_segment(given), knee(given)):
        assert found["t_knee"][0] == pytest.approx(15, abs=1.5)
        assert found["alpha_1"][0] == pytest.approx(0.9, abs=0.1)
        assert found.units["t_knee"] == "epochs"
    assert knee(given)["knee"][0] == 1
    assert knee(given)["schedule"][0] == 0


def test_a_bend_where_the_rate_jumps_is_no_knee_and_one_where_it_drifts_is_tagged():
    t = epoch_axis(EPOCHS, SIZE)
    noise = 0.02 * stream(2, "knee").standard_normal(EPOCHS)
    loss = each_step(hinge(t) * np.exp(noise))
    steps = np.arange(len(loss))
    constant = np.ones(len(loss))
    jump = np.where(steps < 15 * SIZE, 1.0, 0.1)
    drift = np.where(steps < 15 * SIZE, 1.0, np.exp(-(steps - 15 * SIZE) / 200))
    found = knee(curves([loss] * 3, [constant, jump, drift]))
    assert found["knee"].tolist() == [1, 0, 1]
    assert found["schedule"][[0, 2]].tolist() == [0, 1]


def test_without_its_rate_a_run_has_no_schedule_aware_knee():
    loss = exact(hinge)
    rate = np.ones((2, len(loss)))
    rate[1, 100] = np.nan
    assert knee(curves([loss] * 2, rate)).status.tolist() == ["ok", "not_applicable"]


@pytest.mark.parametrize("scale", [1e-4, 0.1, 0.3, 30.0])
def test_changes_of_the_rate_are_those_of_its_schedule(scale):
    def changes(name):
        factors = SCHEDULES.get(name)(EPOCHS * SIZE, SIZE)
        rate = (scale * factors).astype(np.float32)[None]
        return rate_changes(rate, SIZE, jump=1.6, drift=0.01)[0]

    def drifting(change):
        return np.round(np.array(change.drifts) + 0.5).astype(int).tolist()

    warm_up = [1.5 / SIZE]  # the second step is twice the first
    constant, step = changes("constant"), changes("step")
    cool, cosine = changes("const_cool"), changes("cosine")
    assert constant == RateChanges(tuple(warm_up), constant.drifts)
    assert drifting(constant) == [1]
    half, quarter = 25 + 0.5 / SIZE, 37.5 + 0.5 / SIZE
    assert step.jumps == pytest.approx((*warm_up, half, quarter))
    assert drifting(step) == [1]
    assert drifting(cool) == [1, *range(41, 51)]
    assert all(t < 1 or t > 49 for t in (*cool.jumps, *cosine.jumps))
    assert set(drifting(cosine)) >= {1, *range(7, 51)}


def test_changes_of_the_rate_agree_with_a_loop_and_bad_limits_are_refused():
    rate = np.exp(0.3 * stream(3, "rate").standard_normal((5, 12)))
    for row, change in zip(
        rate, rate_changes(rate, 4, jump=1.3, drift=0.2), strict=True
    ):
        jumps, drift = [], [0.0] * 3
        for i in range(1, 12):
            ratio = abs(np.log(row[i] / row[i - 1]))
            if ratio > np.log(1.3):
                jumps.append((i + 0.5) / 4)
            else:
                drift[i // 4] += ratio
        assert change.jumps == tuple(jumps)
        times = epoch_axis(3, 4)[np.array(drift) > np.log(1.2)]
        assert change.drifts == pytest.approx(tuple(times))
    with pytest.raises(ValueError, match="expected jump > 1 and drift > 0"):
        rate_changes(rate, 4, jump=1.0, drift=0.1)


def test_sums_and_means_of_losses():
    constant = curves(np.full(10 * SIZE, 0.7))
    assert sotl(constant)["tse"][0] == pytest.approx(7)
    falling = curves(each_step(1 / np.arange(1, 11)))
    assert sotl(falling)["tse"][0] == pytest.approx(2.928968, rel=1e-6)
    assert sotl_e(falling)["tse"][0] == pytest.approx(0.1)
    assert sotl_e(falling, last_epochs=2)["tse"][0] == pytest.approx(0.1 + 1 / 9)
    short = curves([[1, 1, 0.5, 0.5]], size=2)
    assert tse_ema(short)["tse"][0] == pytest.approx(0.55)
    given = last_loss(curves([[2, 2, 1, 0.5, 7], [2, np.nan, 1, 1, 1]], size=2))
    assert given["last_loss"].tolist() == [0.75, 1]
    assert given.window.tolist() == [[3, 4]] * 2
    assert saw_amplitude(curves([[0, 1, 2, 3] * 3], size=4))["saw_amplitude"] == 3


def test_noise_about_a_power_law_is_white_at_20_logs_an_epoch_and_per_step():
    noise = 0.1 * stream(4, "white").standard_normal((40, 60 * SIZE))
    steps = np.arange(1, 60 * SIZE + 1) / SIZE
    given = curves(0.9 * steps**-0.3 * np.exp(noise))  # burnt in after an epoch
    fast = psd_slope(given)
    assert fast.ok.all()
    assert set(fast.n) == {59 * 20}
    assert fast.params["samples_per_epoch"] == 20
    band, every = band_power(given), psd_slope_steps(given)
    assert every.params["samples_per_epoch"] == SIZE
    assert set(every.n) == {59 * SIZE}
    for found in (fast, every):
        expected = 4 * found.errors["slope"].mean() / np.sqrt(40)
        assert abs(found["slope"].mean()) < expected + 0.3
    assert band["fraction"].mean() == pytest.approx(0.6, abs=0.03)
    # of the 20 logs an epoch 16 are one step and 4 the mean of two
    assert band["total"].mean() == pytest.approx(0.01 * (16 + 4 / 2) / 20, rel=0.05)


def test_20_logs_an_epoch_need_20_steps_and_few_logs_are_low_resolution():
    steps = np.arange(1, 60 * 19 + 1) / 19
    few = curves(0.9 * steps**-0.3 * (1 + 0.01 * np.sin(steps * 50)), size=19)
    for family in (psd_slope, band_power):
        assert family(few).status[0] == "too_short"
    assert psd_slope_steps(few)["low_res"][0] == 0
    early = curves(0.9 * np.arange(1, 5 * SIZE + 1.0) ** -0.3)
    assert psd_slope(early)["low_res"][0] == 1
    assert psd_slope(early, low_res=False).status[0] == "too_short"


def recorded(steps, values, unit="1") -> Recorded:
    offsets = np.cumsum([0, *map(len, steps)])
    return Recorded(
        unit=unit,
        offsets=offsets,
        steps=np.concatenate(steps).astype(np.int32),
        values=np.concatenate(values).astype(np.float32),
    )


def test_the_last_value_is_the_latest_measured():
    signal = recorded([[0, 5], [], [0]], [[3, 2], [], [np.nan]], "image")
    found = last(curves(np.ones((3, 8)), s=signal), signal="s")
    assert found.status.tolist() == ["ok", "too_short", "diverged"]
    assert found["last"][0] == 2
    assert found.units == {"last": "image"}
    assert found.window[0].tolist() == [5, 5]


def test_the_plateau_is_in_epochs_and_its_window_in_steps():
    t = np.arange(1, 61, 2) * SIZE // 2
    rise = 7 * (1 - np.exp(-t / SIZE / 5))
    signal = recorded([t, [], t[:6]], [rise, [], rise[:6]], "curvature")
    given = curves(np.ones((3, 30 * SIZE)), lambda_1=signal)
    found = plateau(given)
    assert found["t_plateau"][0] == pytest.approx(13.5)
    assert found.units["lambda"] == "curvature"
    assert found.status.tolist() == ["ok", "too_short", "too_short"]
    assert found.window[0].tolist() == [t[0], found["t_known"][0] * SIZE]
    assert plateau(given, curvature="other").status[0] == "not_applicable"
