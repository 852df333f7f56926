import numpy as np
import pytest

from tasks.metrics.checkpoints import checkpoints_saved
from tests.tasks.metrics.resampled import counts, each_resample

# Two runs, checkpoints at four times; accuracies .90 .95 .93 .93 and .80 .85 .90 .90.
TIMES = [[0.25, 0.5, 0.75, 1.0]] * 2
LOST = [[0.0, 0.0, 0.02, 0.02], [0.0, 0.0, 0.0, 0.0]]
TRUTH = [0.5, 1.0]
HAND = {"evaluations": TIMES, "regrets": LOST}


def naive_saving(prediction, evaluations, regrets, tolerance):
    """Try every shift that is just below deleting one checkpoint more; count."""
    gaps = [
        e - p for p, row in zip(prediction, evaluations, strict=True) for e in row[:-1]
    ]
    best = 0.0
    for shift in [*gaps, np.inf]:
        saved, lost = [], []
        for p, times, regret in zip(prediction, evaluations, regrets, strict=True):
            deleted = sum(e - p < shift for e in times[:-1])
            saved.append(deleted / len(times))
            lost.append(regret[deleted])
        if np.mean(lost) <= tolerance + 1e-9:
            best = max(best, float(np.mean(saved)))
    return best


def example(num_runs, seed=0):
    """Runs with 1 to 12 checkpoints, their regrets and when the last good one was."""
    rng = np.random.default_rng(seed)
    evaluations, regrets, truth = [], [], []
    for _ in range(num_runs):
        size = int(rng.integers(1, 13))
        accuracy = rng.normal(0.9, 0.01, size).round(2)
        left = [accuracy.max() - accuracy[k:].max() for k in range(size)]
        evaluations.append(np.arange(1, size + 1) / size)
        regrets.append(np.round(left, 6))
        truth.append(evaluations[-1][np.flatnonzero(regrets[-1] == 0)[-1]])
    return np.array(truth), evaluations, regrets


def padded(rows):
    width = max(map(len, rows))
    return np.array([[*row, *[np.nan] * (width - len(row))] for row in rows])


@pytest.mark.parametrize(
    ("prediction", "tolerance", "saved"),
    [
        # told the truth, 1 and 3 of 4 checkpoints are deleted
        (TRUTH, 0.001, (1 + 3) / 8),
        # so they are when all times are late or early alike
        ([0.9, 1.4], 0.001, (1 + 3) / 8),
        # a mean regret of .01 is that of deleting all but the last
        (TRUTH, 0.01, (3 + 3) / 8),
        (TRUTH, 0.009, (1 + 3) / 8),
        # a constant, keeping the last included: the time .5 is the best for both
        ([1.0, 1.0], 0.001, (1 + 1) / 8),
        ([0.0, 0.0], 0.001, (1 + 1) / 8),
        # the wrong way round: when the first may be deleted, nothing of the other is
        ([1.0, 0.5], 0.001, 1 / 8),
        # no regret in the second run: far apart, the first is kept, all others go
        ([-9.0, 9.0], 0.0, (1 + 3) / 8),
    ],
)
def test_checkpoints_saved_of_a_table_by_hand(prediction, tolerance, saved):
    found = checkpoints_saved(TRUTH, prediction, tolerance=tolerance, **HAND)
    assert found == pytest.approx(saved)


def test_checkpoints_saved_of_resamples_by_hand():
    # The first run alone, the second alone, the second nineteen times: the regret of
    # the first, .02 / 20 = .001, is then within the tolerance.
    weights = np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 19.0]])
    found = checkpoints_saved(TRUTH, [1.0, 1.0], weights=weights, **HAND)
    assert found == pytest.approx([1 / 4, 3 / 4, 3 / 4])


@pytest.mark.parametrize("tolerance", [0.0, 0.001, 0.004])
@pytest.mark.parametrize("decimals", [1, 6])
def test_checkpoints_saved_equals_the_search_over_all_shifts(tolerance, decimals):
    truth, evaluations, regrets = example(11)
    noise = np.random.default_rng(1).normal(0, 0.3, (2, 11))
    predictions = np.vstack([truth, (truth + noise).round(decimals), np.ones(11)])
    weights = counts(11, 12)
    ours = checkpoints_saved(
        truth,
        predictions,
        evaluations=evaluations,
        regrets=padded(regrets),
        tolerance=tolerance,
        weights=weights,
    )
    assert ours.shape == (4, 12)
    for row, prediction in zip(ours, predictions, strict=True):
        loop = each_resample(
            weights,
            lambda i, p=prediction: naive_saving(
                p[i],
                [evaluations[k] for k in i],
                [regrets[k] for k in i],
                tolerance,
            ),
        )
        np.testing.assert_allclose(row, loop, atol=1e-12)


def test_the_columns_of_the_weights_do_not_meet():
    truth, evaluations, regrets = example(300)
    keywords = {"evaluations": evaluations, "regrets": regrets}
    weights = counts(300, 500)
    prediction = truth + np.random.default_rng(2).normal(0, 0.2, 300)
    whole = checkpoints_saved(truth, prediction, weights=weights, **keywords)
    for column in (0, 250, 499):
        alone = checkpoints_saved(
            truth, prediction, weights=weights[:, column], **keywords
        )
        assert whole[column] == pytest.approx(float(alone), abs=1e-12)


def test_runs_with_a_single_checkpoint_delete_nothing():
    found = checkpoints_saved(
        [1.0, 1.0], [3.0, 0.0], evaluations=[[1.0], [1.0]], regrets=[[0.0], [0.0]]
    )
    assert found == 0.0


@pytest.mark.parametrize(
    ("evaluations", "regrets", "message"),
    [
        (TIMES[:1], LOST, "evaluations has 1 rows; expected 2"),
        (TIMES, [[0.0], [0.0]], "do not have the same lengths"),
        ([[np.nan], [1.0]], [[np.nan], [0.0]], "one number or more a run"),
        ([[np.nan, 1.0]] * 2, [[0.0, np.nan]] * 2, "NaN at the end only"),
        ([[0.5, 0.5]] * 2, [[0.0, 0.0]] * 2, "row 0: expected evaluations that"),
        (
            [[0.5, 1.0]] * 2,
            [[0.0, 0.1], [0.1, 0.0]],
            "row 1: expected .* regrets from 0",
        ),
    ],
)
def test_checkpoints_that_cannot_be_are_refused(evaluations, regrets, message):
    with pytest.raises(ValueError, match=message):
        checkpoints_saved(TRUTH, TRUTH, evaluations=evaluations, regrets=regrets)


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match=r"tolerance is -1\.0"):
        checkpoints_saved(TRUTH, TRUTH, tolerance=-1.0, **HAND)
