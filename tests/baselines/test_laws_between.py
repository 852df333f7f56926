"""Laws between losses and between accuracies: known lines are found."""

import numpy as np
import pytest
from scipy.stats import norm

from baselines.accuracy_on_the_line import AccuracyOnTheLine, images_of
from baselines.loss_to_loss import BELOW, NO_LOSS, LossToLoss
from harness.errors import Declined
from harness.fits.loss_to_loss import shifted_power_law
from harness.spec import Part
from tests.baselines.built import ACCURACY, LEVELS, aimed, observed

LOSS = Part("column", {"name": "final.validation_loss", "log": True})
OOD = Part("ood_loss", {"name": "digits-corrupted", "log": False})
TRAIN = np.linspace(0.35, 1.6, 40)
LAW = (1.3, 0.8, 0.1, 0.35)  # kappa, K, E0, E1


def at_losses(losses, target=LOSS, **more):
    loss = np.repeat(np.asarray(losses)[:, None], 40, axis=1)
    return observed(loss, until=1.0, target=target, **more)


def at_accuracies(accuracies, target=ACCURACY):
    recorded = {"val_accuracy": ([0, 8, 16], np.stack([accuracies] * 3, axis=1))}
    return observed(n=len(accuracies), recorded=recorded, target=target)


@pytest.mark.parametrize("target", [LOSS, OOD])
def test_a_shifted_power_law_between_losses_is_found(target):
    truth = shifted_power_law(TRAIN, *LAW)
    truth = np.log(truth) if target is LOSS else truth
    seen = at_losses(TRAIN, target)
    law = LossToLoss().fit(seen, aimed(seen, truth))
    found = [law.law[name][0] for name in ("kappa", "k", "e0", "e1")]
    assert found == pytest.approx(LAW, abs=1e-4)
    lower = np.array([0.15, 0.2, 0.3])  # beyond what was learned from
    expected = shifted_power_law(lower, *LAW)
    expected = np.log(expected) if target is LOSS else expected
    assert law.predict(at_losses(lower, target)).mean == pytest.approx(
        expected, abs=1e-4
    )


def test_where_the_floor_is_not_determined_it_is_0():
    rng = np.random.default_rng(0)
    truth = np.log(0.3 + 0.9 * TRAIN) + rng.normal(0, 0.02, 40)
    seen = at_losses(TRAIN)
    law = LossToLoss().fit(seen, aimed(seen, truth))
    assert law.law["e0"] == pytest.approx([0.0], abs=1e-9)
    found = law.predict(at_losses([0.2]))
    assert found.mean == pytest.approx(np.log(0.48), abs=0.1)
    spread = found.quantiles[0]
    assert spread.shape == (len(LEVELS),)
    assert 0.02 < spread[-1] - spread[0] < 0.2  # of sd 0.02 about 0.07


def test_runs_outside_the_law_are_declined_with_the_reason():
    seen = at_losses(TRAIN)
    law = LossToLoss().fit(seen, aimed(seen, np.log(shifted_power_law(TRAIN, *LAW))))
    found = law.predict(at_losses([0.05, np.nan, 0.5]))
    assert found.reasons == {"e-000": BELOW, "e-001": NO_LOSS}
    assert np.isnan(found.mean[:2]).all()
    assert found.mean[2] == pytest.approx(np.log(shifted_power_law(0.5, *LAW)))


def test_losses_that_do_not_vary_and_other_targets_are_declined():
    seen = at_losses(np.ones(10))
    with pytest.raises(Declined, match="ill_conditioned, 10 runs"):
        LossToLoss().fit(seen, aimed(seen, np.arange(10.0)))
    seen = at_losses(TRAIN, ACCURACY)
    with pytest.raises(Declined, match=r"target is final\.test_accuracy"):
        LossToLoss().fit(seen, aimed(seen, TRAIN))
    seen = at_losses(TRAIN, kind="curve")
    with pytest.raises(Declined, match="goes from loss to loss"):
        LossToLoss().fit(seen, aimed(seen, TRAIN))


def test_a_line_of_probits_is_found():
    x = np.arange(100, 1000, 20) / 1000
    y = norm.cdf(-0.5 + 0.7 * norm.ppf(x))
    seen = at_accuracies(x)
    law = AccuracyOnTheLine().fit(seen, aimed(seen, y))
    asked = np.array([0.05, 0.333, 0.99])
    expected = norm.cdf(-0.5 + 0.7 * norm.ppf(asked))
    found = law.predict(at_accuracies(asked))
    assert found.mean == pytest.approx(expected, abs=1e-4)
    assert found.quantiles.shape == (3, len(LEVELS))


def test_every_run_has_an_answer():
    x = np.array([0.0, 0.25, 0.5, 0.75, 1.0, np.nan])
    y = np.array([0.1, 0.2, 0.4, 0.6, 0.8, 0.3])
    seen = at_accuracies(x)
    found = AccuracyOnTheLine().fit(seen, aimed(seen, y)).predict(seen)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.quantiles).all()
    assert (np.diff(found.mean[:5]) > 0).all()
    assert found.mean[5] == np.median(y)
    assert not found.reasons


def test_without_validation_accuracy_all_have_the_median():
    seen = observed(n=5)
    y = np.array([0.1, 0.2, 0.4, 0.6, 0.8])
    found = AccuracyOnTheLine().fit(seen, aimed(seen, y)).predict(seen)
    assert found.mean.tolist() == [0.4] * 5


def test_a_single_family_gives_a_line_without_quantiles():
    x = np.arange(10, 90, 5) / 100
    seen = at_accuracies(x)
    law = AccuracyOnTheLine().fit(seen, aimed(seen, x, groups=["g"] * len(x)))
    found = law.predict(seen)
    assert found.mean == pytest.approx(x, abs=1e-4)
    assert found.quantiles is None


def test_a_forecast_does_not_depend_on_the_other_test_runs():
    rng = np.random.default_rng(1)
    x = rng.integers(10, 90, 30) / 100
    y = np.clip(0.8 * x + rng.normal(0, 0.02, 30), 0, 1)
    seen = at_accuracies(x)
    law = AccuracyOnTheLine().fit(seen, aimed(seen, y))
    alone = [law.predict(seen.of([name])).mean[0] for name in seen.ids]
    assert law.predict(seen).mean.tolist() == alone


def test_targets_that_are_no_accuracy_are_declined():
    seen = at_accuracies(np.linspace(0.1, 0.9, 9), LOSS)
    with pytest.raises(Declined, match=r"target is final\.validation_loss"):
        AccuracyOnTheLine().fit(seen, aimed(seen, np.arange(9.0)))


def test_the_number_of_images_is_read_from_their_shares():
    shares = np.arange(0, 257, 3, dtype=np.float32) / np.float32(256)
    assert images_of(np.append(shares, [np.nan, 1.0]).astype(float)) == 256
    assert images_of(np.array([0.5, 0.5])) == 1
    assert images_of(np.array([np.nan])) == 1
