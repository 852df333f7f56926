"""The last value: what it answers to each question, by hand."""

import dataclasses

import numpy as np
import pytest

from baselines.last_value import LastValue, last_losses
from harness.errors import Declined
from harness.spec import Part
from tests.baselines.built import LEVELS, aimed, observed

LOSS = np.linspace(2.0, 0.5, 40) * np.array([[1.0], [0.5], [0.25]])
RECORDED = {
    "val_accuracy": ([0, 4, 18, 24], [[0.1, 0.2, 0.7, 0.9]] * 2 + [[0.1, 0.3, 0.8, 1]]),
    "val_loss": ([0, 4, 18, 24], [[2.3, 2, 1, 0.1]] * 2 + [[2.3, 2, 0.5, 0.1]]),
}


def answered(seen, values=(0.9, 0.8, 0.7), **targets):
    return LastValue().fit(seen, aimed(seen, values, **targets)).predict(seen)


@pytest.mark.parametrize("name", ["final.test_accuracy", "ood.mnist-8_accuracy"])
def test_an_accuracy_stays_at_the_last_validation_accuracy(name):
    seen = observed(LOSS, recorded=RECORDED, target=Part("column", {"name": name}))
    found = answered(seen)
    assert found.mean == pytest.approx([0.7, 0.7, 0.8])
    # errors .2, .1 and -.1; the quantiles of three are at the positions 4 p
    assert found.quantiles[0] == pytest.approx([0.6, 0.6, 0.8, 0.9, 0.9])


@pytest.mark.parametrize(
    "target",
    [
        Part("column", {"name": "final.validation_loss", "log": True}),
        Part("ood_loss", {"name": "mnist-8", "log": True}),
    ],
)
def test_a_loss_stays_at_the_last_validation_loss_or_else_the_last_training_loss(
    target,
):
    seen = observed(LOSS, recorded=RECORDED, target=target)
    assert answered(seen).mean == pytest.approx([0, 0, np.log(0.5)])
    hidden = seen.showing(("val_accuracy",))
    means = LOSS[:, 16:20].mean(axis=1)
    assert answered(hidden).mean == pytest.approx(np.log(means))
    plain = Part(target.name, {**target.params, "log": False})
    raw = dataclasses.replace(
        hidden, asked=dataclasses.replace(hidden.asked, target=plain)
    )
    assert answered(raw).mean == pytest.approx(means)


def test_a_curve_is_held():
    seen = observed(LOSS, kind="curve")
    found = LastValue().fit(seen, aimed(seen, curves=np.ones((3, 5)))).predict(seen)
    expected = np.repeat(LOSS[:, 16:20].mean(axis=1)[:, None], 5, axis=1)
    assert found.curves[0] == pytest.approx(expected)


def test_before_the_first_epoch_is_over_all_losses_count():
    block = observed(LOSS, until=0.05).blocks[0]
    assert last_losses(block) == pytest.approx(LOSS[:, :2].mean(axis=1))


def test_a_plateau_is_now_and_the_last_checkpoint_is_good():
    plateau = observed(LOSS, target=Part("plateau"))
    assert answered(plateau).mean.tolist() == [5.0] * 3
    kept = observed(LOSS, target=Part("last_good_checkpoint"))
    found = answered(kept)
    assert found.mean.tolist() == [1.0] * 3
    assert found.quantiles.max() <= 1.0


def test_a_loss_that_stopped_has_failed_and_one_that_never_was_is_declined():
    loss = np.tile(LOSS, (10, 1))
    loss[0, 10:] = np.nan
    loss[1] = np.nan
    seen = observed(loss, kind="probability", target=Part("failed_to_learn"))
    found = answered(seen, np.tile([1.0, 0.0, 0.0], 10))
    assert found.mean[0] == 1.0
    assert np.isnan(found.mean[1])
    assert list(found.reasons) == ["e-001"]
    assert found.mean[3] > 0.9  # twice the loss of its neighbours
    assert found.mean[4] < 0.1
    assert found.quantiles is None


def test_a_missing_evaluation_declines_the_run():
    values = np.array(RECORDED["val_accuracy"][1])
    values[1, 2] = np.nan
    seen = observed(LOSS, recorded={"val_accuracy": ([0, 4, 18, 24], values)})
    found = answered(seen)
    assert np.isnan(found.mean).tolist() == [False, True, False]
    reason = "the last evaluation in the window is missing or not finite"
    assert dict(found.reasons) == {"e-001": reason}
    assert np.isnan(found.quantiles[1]).tolist() == [True] * len(LEVELS)


def test_what_has_no_last_value_is_declined():
    seen = observed(LOSS, target=Part("deviation", {"name": "final.test_accuracy"}))
    with pytest.raises(Declined, match="no last value of 'deviation final"):
        answered(seen)
    with pytest.raises(Declined, match="does not show 'val_accuracy'"):
        answered(observed(LOSS))
