"""The knee test on a growing curve: causal, rarely wrong, and not too late."""

import numpy as np
import pytest

from harness.fits.online_knee import OnlineKnee, find_knees_online
from harness.fits.windows import epoch_axis
from harness.seeds import stream

T = np.arange(3.0, 51.0)


def curves(num, before=0.9, after=0.5, sigma=0.02, seed=0):
    noise = stream(seed, "online").standard_normal((num, len(T)))
    bend = (before - after) * np.maximum(np.log(T / 15), 0)
    return np.exp(-before * np.log(T) + bend + sigma * noise)


def test_a_stream_and_the_recorded_curves_say_the_same():
    losses = curves(6)
    losses[4, 10] *= 3  # calls for RANSAC
    losses[5] = curves(1, after=0.9)[0]
    found = find_knees_online(T, losses)
    for i, row in enumerate(losses):
        watch = OnlineKnee()
        raised = [watch.push(t, y) for t, y in zip(T, row, strict=True)]
        assert (watch.flag is not None) == found.ok[i]
        if watch.flag is not None:
            assert watch.flag.t_flag == found["t_flag"][i]
            assert watch.flag.t_knee == found["t_knee"][i]
            assert watch.flag.delta_bic == found["delta_bic"][i]
            assert watch.flag.latency == found["latency"][i]
            assert raised[int(watch.flag.t_flag) - 3] == watch.flag
            assert sum(r is not None for r in raised) == 1


def test_a_cut_stream_gives_the_cut_result():
    losses = curves(8)
    whole = find_knees_online(T, losses)
    assert whole.ok.all()
    for end in (22, 30):
        cut = find_knees_online(T[:end], losses[:, :end])
        known = whole["t_flag"] <= T[end - 1]
        assert (cut.ok == known).all()
        assert (cut.status[~known] == "no_window").all()
        for name in whole.values:
            assert (cut[name][known] == whole[name][known]).all()


def test_what_comes_later_changes_nothing():
    losses = curves(4)
    whole = find_knees_online(T, losses)
    last = int(whole["t_flag"].max()) - 2
    spoilt = losses.copy()
    spoilt[:, last:] = np.nan
    assert (find_knees_online(T, spoilt)["t_knee"] == whole["t_knee"]).all()


def test_an_exact_knee_is_flagged_as_soon_as_can_be():
    found = find_knees_online(T, curves(1, sigma=0))
    assert found["t_knee"][0] == pytest.approx(15)
    # 6 bins from the knee on, less the one seen as a knee a bin early, and 3 more
    assert found["latency"][0] == pytest.approx(7)


def test_confirmation_makes_false_alarms_rare_over_whole_streams():
    null = curves(60, before=0.5, after=0.5, sigma=0.05)
    often = find_knees_online(T, null, threshold=6.0, confirm=1).ok.mean()
    rare = find_knees_online(T, null).ok.mean()
    assert 0.05 < often < 0.5
    assert rare < 0.07


def test_steps_become_epoch_means():
    per_epoch = 5
    t = np.arange(1, 51 * per_epoch + 1) / per_epoch
    steps = np.where(t < 15, t**-0.9, 15**-0.4 * t**-0.5)
    steps *= np.exp(0.02 * stream(2, "steps").standard_normal(len(t)))
    watch = OnlineKnee(steps_per_epoch=per_epoch)
    for loss in steps[:-2]:
        watch.step(loss)
    means = steps.reshape(-1, per_epoch).mean(axis=1)
    axis = epoch_axis(51, per_epoch)
    found = find_knees_online(axis[2:], means[None, 2:])
    assert watch.flag is not None
    assert watch.flag.t_knee == found["t_knee"][0]
    assert watch.flag.t_flag == found["t_flag"][0]


def test_curves_without_a_flag_have_a_status():
    losses = curves(3, after=0.9)
    losses[1, 5] = np.nan
    found = find_knees_online(T, losses)
    assert found.status.tolist() == ["no_window", "diverged", "no_window"]
    assert set(find_knees_online(T[:14], losses[:, :14]).status) == {"too_short"}


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="confirm is 0"):
        OnlineKnee(confirm=0)
    with pytest.raises(ValueError, match="steps_per_epoch"):
        OnlineKnee().step(1.0)
    watch = OnlineKnee()
    watch.push(3, 1.0)
    with pytest.raises(ValueError, match="cannot follow"):
        watch.push(3, 0.9)
