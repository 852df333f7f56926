import numpy as np
import pytest

from harness.early.knee import DRIFT, JUMP, rate_changes
from harness.fits.knee import find_knees
from harness.fits.power_law import fit_power_law
from harness.fits.windows import epoch_axis, epoch_means
from harness.schedules import const_cool, cosine, step
from harness.seeds import stream
from harness.show.laws import loss_laws, plus_minus

EPOCHS, PER_EPOCH = 50, 20
RUN = {"steps_per_epoch": PER_EPOCH, "num_steps": EPOCHS * PER_EPOCH}
T = np.arange(1.0, EPOCHS * PER_EPOCH + 1)


def curves_of(law, noise=0.01, rate=None, seed=0):
    errors = noise * stream(seed, "test/show-laws").standard_normal(len(T))
    loss = law(T / PER_EPOCH) * np.exp(errors)
    found = {"train_loss": (T, loss)}
    return found if rate is None else found | {"lr": (T, rate)}


def bent(t, first=0.9, second=0.4, knee=15.0):
    return np.where(t < knee, t**-first, knee ** (second - first) * t**-second)


def test_a_power_law_is_found_and_drawn_as_it_was_fitted():
    curves = curves_of(lambda t: 1.6 * t**-0.5)
    found = loss_laws(RUN, curves)
    assert found.note == ""
    assert found.knee is None
    means = epoch_means(curves["train_loss"][1][None], PER_EPOCH)
    np.testing.assert_array_equal(found.means, means[0])
    np.testing.assert_array_equal(found.times, epoch_axis(EPOCHS, PER_EPOCH))
    below = found.times[found.means <= 1.0]
    assert found.window == (below[0], found.times[-1])
    (law,) = found.laws
    t = np.array([2.0, 10.0, 60.0])
    np.testing.assert_allclose(law.curve(t), 1.6 * t**-0.5, rtol=0.01)
    fit = fit_power_law(found.times, means, window=found.window)
    exponent = plus_minus(fit["alpha"][0], fit.errors["alpha"][0])
    assert law.label.startswith(f"power law: exponent {exponent}\nBIC ")
    assert law.label.endswith("below the next family")


@pytest.mark.parametrize(
    ("law", "family", "label"),
    [
        (lambda t: np.exp(-t / 12.5), "exponential", "exponential: 0.080 \u00b1 0.000"),
        (lambda t: 0.3 + 0.9 * t**-0.8, "shifted_power", "power law: 0.8"),
        (bent, "two_segment", "two segments: 0.90"),
    ],
)
def test_the_family_that_beats_the_power_law_is_drawn_beside_it(law, family, label):
    found = loss_laws(RUN, curves_of(law, noise=0.02))
    power, rival = found.laws
    assert power.family == "power_law"
    assert rival.family == family
    assert rival.label.startswith(label)
    assert "only" not in rival.label
    t = np.geomspace(*found.window, 30)
    np.testing.assert_allclose(rival.curve(t), law(t), rtol=0.02)


def test_a_knee_is_found_where_two_power_laws_meet():
    knee = loss_laws(RUN, curves_of(bent)).knee
    assert knee.epoch == pytest.approx(15, abs=1)
    assert knee.before == pytest.approx(0.9, abs=0.02)
    assert knee.after == pytest.approx(0.4, abs=0.02)
    assert not knee.schedule


def test_a_knee_where_the_rate_begins_to_fall_is_the_schedules():
    rate = const_cool(len(T), PER_EPOCH, cooldown_frac=0.7)
    knee = loss_laws(RUN, curves_of(bent, rate=rate)).knee
    assert knee.schedule


def test_a_bend_at_a_jump_of_the_rate_is_no_knee():
    rate = step(len(T), PER_EPOCH, milestones=(0.3,))
    assert loss_laws(RUN, curves_of(bent, rate=rate)).knee is None


def test_the_figure_and_the_signal_knee_judge_a_rate_alike():
    for rate in (cosine(len(T), PER_EPOCH), step(len(T), PER_EPOCH)):
        curves = curves_of(bent, rate=rate)
        found = loss_laws(RUN, curves)
        (changes,) = rate_changes(
            curves["lr"][1][None], PER_EPOCH, jump=JUMP, drift=DRIFT
        )
        expected = find_knees(
            found.times,
            found.means[None],
            window=found.window,
            jumps=tuple(j for j in changes.jumps if 1 < j < EPOCHS - 1),
            changes=changes.drifts,
        )
        assert (found.knee is not None) == bool(expected["knee"][0])
        if found.knee is not None:
            assert found.knee.schedule == bool(expected["schedule"][0])


def test_cross_entropy_is_used_where_smoothing_changes_the_loss():
    curves = curves_of(lambda t: 0.5 + 1.6 * t**-0.5)
    plain = curves_of(lambda t: 1.6 * t**-0.5)["train_loss"]
    found = loss_laws(RUN, curves | {"train_ce": plain})
    assert found.signal == "train_ce"
    assert found.laws[0].curve(np.array([10.0])) == pytest.approx(0.506, rel=0.02)


def test_without_a_law_the_reason_is_said():
    high = loss_laws(RUN, curves_of(lambda t: 3.0 * t**-0.1))
    assert (high.laws, high.window, high.knee) == ((), None, None)
    assert high.note == "no law: never 3 epochs in a row at 1 nat or less"
    short = {"train_loss": (T[:100], 0.5 * T[:100] ** -0.1)}
    assert loss_laws(RUN, short).note == "no law: 3 epochs after burn-in, 5 are needed"
    sparse = {"train_loss": (T[::2], 0.5 * T[::2] ** -0.1)}
    assert len(loss_laws(RUN, sparse).means) == 0
    assert loss_laws(RUN, {}) is None


def test_epochs_from_the_first_bad_one_on_are_left_out():
    steps, loss = curves_of(lambda t: 1.6 * t**-0.5)["train_loss"]
    loss[30 * PER_EPOCH + 3] = np.nan
    found = loss_laws(RUN, {"train_loss": (steps, loss)})
    assert len(found.means) == 30
    assert found.window[1] == found.times[-1] == pytest.approx(29.525)
    assert found.laws[0].family == "power_law"


def test_errors_are_shown_with_two_digits():
    assert plus_minus(0.99353, 0.0518) == "0.994 \u00b1 0.052"
    assert plus_minus(1.128, 0.124) == "1.13 \u00b1 0.12"
    assert plus_minus(12.3, 4.56) == "12.3 \u00b1 4.6"
    assert plus_minus(0.5, 1e-9) == "0.500 \u00b1 0.000"
