"""Every metric keeps the same promises: what the table says of it is true."""

import inspect

import numpy as np
import pytest
from scipy import stats

from tasks.metrics.quantiles import DECILES
from tasks.metrics.table import METRICS, metric
from tests.tasks.metrics.resampled import counts, each_resample

N = 24
EVENT_METRICS = {"auc", "auprc", "brier"}


def example(found, seed=0):
    """Truth, an oracle's and two noisy predictions `[2, N, ...]`, and keywords."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(50, 10, size=N)
    noise = rng.normal(0, 5, size=(2, N))
    keywords = {}
    if found.name == "c_index":
        keywords["happened"] = np.arange(N) % 4 > 0
    if found.name == "checkpoints_saved":  # one checkpoint is good, all later are bad
        truth = np.round(np.clip(truth, 0, 100))
        times = np.tile(np.arange(101.0), (N, 1))
        keywords |= {"evaluations": times, "regrets": 1.0 * (times > truth[:, None])}
    if found.name == "f1_within":
        truth[::3] = np.inf
    if found.name in EVENT_METRICS:
        truth = (np.arange(N) % 3 == 0).astype(float)
        return truth, truth, np.clip(truth + noise / 10, 0, 1), keywords
    if found.needs == "curve":
        truth = truth[:, None] * np.linspace(1, 2, 4)
        return truth, truth, truth * np.exp(noise / 50)[..., None], keywords
    if found.needs == "quantiles":
        spread = np.zeros(9) if found.name == "crps" else stats.norm.ppf(DECILES)
        noisy = (truth + noise)[..., None] + 3 * stats.norm.ppf(DECILES)
        return truth, truth[:, None] + spread, noisy, keywords
    return truth, truth, truth + noise, keywords


def cut_keywords(keywords, rows):
    return {k: v[rows] for k, v in keywords.items()}


@pytest.mark.parametrize("name", METRICS)
def test_the_oracle_reaches_the_optimum(name):
    found = metric(name)
    truth, oracle, noisy, keywords = example(found)
    best = found.function(truth, oracle, **keywords)
    if found.direction == "near":
        return  # a calibrated forecast is tested in test_quantiles.py
    if found.optimum is not None:
        assert best == pytest.approx(found.optimum, abs=1e-12)
    others = found.function(truth, noisy, **keywords)
    sign = 1 if found.direction == "min" else -1
    assert (sign * best <= sign * others).all()


@pytest.mark.parametrize("name", METRICS)
def test_weights_count_copies_and_shapes_follow(name):
    found = metric(name)
    truth, _, noisy, keywords = example(found)
    weights = counts(N, 6)
    if name == "auc_bottom_half":  # its median is that of the rows, not of the copies
        weights = np.repeat(np.arange(1.0, 7.0)[None], N, axis=0)
    value = found.function(truth, noisy, weights=weights, **keywords)
    assert value.shape == (2, 6)
    assert found.function(truth, noisy, **keywords).shape == (2,)
    assert found.function(truth, noisy[0], **keywords).shape == ()
    assert value.dtype == np.float64
    for prediction, row in zip(noisy, value, strict=True):
        copied = each_resample(
            weights,
            lambda i, p=prediction: found.function(
                truth[i], p[i], **cut_keywords(keywords, i)
            ),
        )
        np.testing.assert_allclose(row, copied, atol=1e-11)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_does_not_depend_on_the_order_of_rows(name):
    found = metric(name)
    truth, _, noisy, keywords = example(found)
    order = np.random.default_rng(1).permutation(N)
    shuffled = found.function(
        truth[order], noisy[:, order], **cut_keywords(keywords, order)
    )
    np.testing.assert_allclose(
        shuffled, found.function(truth, noisy, **keywords), rtol=1e-12
    )


@pytest.mark.parametrize("name", METRICS)
def test_a_prediction_that_is_nan_is_refused_by_its_row(name):
    found = metric(name)
    truth, _, noisy, keywords = example(found)
    noisy[1, 5] = np.nan
    with pytest.raises(ValueError, match="prediction is nan in row 5"):
        found.function(truth, noisy, **keywords)


@pytest.mark.parametrize("name", METRICS)
def test_the_table_says_what_a_task_supplies(name):
    found = metric(name)
    parameters = list(inspect.signature(found.function).parameters)
    assert parameters == ["truth", "prediction", *found.takes, "weights"]
    assert found.name == name
    for word in ("Formula", "Unit", "Range", "Example"):
        assert word in found.function.__doc__, f"{name} lacks {word}"


def test_an_unknown_metric_is_told_what_was_meant():
    with pytest.raises(KeyError, match="did you mean 'spearman'"):
        metric("spearmen")
    with pytest.raises(KeyError, match=r"no metric is called 'xyz'.*known: auc, "):
        metric("xyz")
