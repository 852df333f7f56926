import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from tasks.metrics.binary import auc, auc_bottom_half, auprc, brier
from tests.tasks.metrics.resampled import counts, each_resample

RNG = np.random.default_rng(4)
EVENTS = (RNG.uniform(size=80) < 0.3).astype(float)


@pytest.mark.parametrize("decimals", [1, 8])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (auc, roc_auc_score),
        (auprc, average_precision_score),
        (brier, brier_score_loss),
    ],
)
def test_scores_of_events_equal_scikit_learn(ours, theirs, decimals):
    scores = np.clip(EVENTS * 0.2 + RNG.uniform(size=80) * 0.8, 0, 1).round(decimals)
    assert ours(EVENTS, scores) == pytest.approx(theirs(EVENTS, scores), abs=1e-12)
    weights = counts(80, 30)
    loop = each_resample(weights, lambda i: theirs(EVENTS[i], scores[i]))
    np.testing.assert_allclose(ours(EVENTS, scores, weights=weights), loop, atol=1e-12)


def test_scores_without_both_classes_are_undefined():
    assert np.isnan(auc([1, 1], [0.1, 0.2]))
    assert np.isnan(auprc([0, 0], [0.1, 0.2]))
    assert auprc([1, 1], [0.1, 0.2]) == 1.0


def test_the_bottom_half_is_below_the_median():
    truth = RNG.normal(size=31)
    prediction = truth + RNG.normal(size=31)
    expected = roc_auc_score(truth < np.sort(truth)[15], -prediction)
    assert auc_bottom_half(truth, prediction) == pytest.approx(expected)


def test_what_is_no_event_or_probability_is_refused():
    with pytest.raises(ValueError, match="truth of row 1 is 2"):
        auc([0, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"prediction is 1.2 in row 1; .* from 0 to 1"):
        brier([0, 1], [0.1, 1.2])
