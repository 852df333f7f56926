import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tasks.statistics.incremental import (
    PENALTIES,
    family_folds,
    incremental_skill,
    ridge_out_of_fold,
)

RNG = np.random.default_rng(0)
FAMILIES = np.repeat(np.arange(40), 3)
CONTROLS = RNG.normal(size=(40, 2))[FAMILIES]
SIGNAL = RNG.normal(size=120)
NOISE = 0.3 * RNG.normal(size=120)


def test_the_ridge_equals_nested_cross_validation_of_scikit_learn():
    truth = CONTROLS @ [1.0, -0.5] + 0.2 * SIGNAL + NOISE
    inputs = np.column_stack([CONTROLS, SIGNAL])
    ours = ridge_out_of_fold(truth, inputs, FAMILIES, folds=4)
    part, expected = family_folds(FAMILIES, 4), np.empty(120)
    for fold in range(4):
        train, test = part != fold, part == fold
        inner = family_folds(FAMILIES[train], 4)
        # Squared errors add up over rows: folds of one size make means agree.
        search = GridSearchCV(
            make_pipeline(StandardScaler(), Ridge()),
            {"ridge__alpha": PENALTIES},
            cv=PredefinedSplit(inner),
            scoring=lambda m, x, y: -((m.predict(x) - y) ** 2).sum(),
        ).fit(inputs[train], truth[train])
        expected[test] = search.predict(inputs[test])
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_folds_keep_families_whole_and_even():
    part = family_folds(FAMILIES, 5)
    assert all(len(set(part[f == FAMILIES])) == 1 for f in range(40))
    np.testing.assert_array_equal(np.bincount(part), [24] * 5)
    with pytest.raises(ValueError, match="41 folds of 40 families"):
        family_folds(FAMILIES, 41)


def test_a_signal_with_news_has_skill_and_one_without_has_none():
    truth = CONTROLS @ [1.0, -0.5] + SIGNAL + NOISE
    news = incremental_skill(truth, CONTROLS, SIGNAL, FAMILIES, resamples=300)
    # The controls leave sd sqrt(1.09), the full model .3: skill 1 - .3 / 1.044.
    assert news.skill.value == pytest.approx(1 - 0.3 / np.sqrt(1.09), abs=0.05)
    assert news.skill.low > 0.5
    assert news.skill.value == pytest.approx(1 - news.full_mae / news.controls_mae)
    old = CONTROLS[:, 0] * 2 + 1.0
    repeated = incremental_skill(truth, CONTROLS, old, FAMILIES, resamples=300)
    assert abs(repeated.skill.value) < 0.02
    useless = incremental_skill(
        truth, CONTROLS, RNG.normal(size=120), FAMILIES, resamples=300
    )
    assert useless.skill.low < 0.01
    assert useless.skill.value < 0.05


def test_tables_are_checked():
    with pytest.raises(
        ValueError, match=r"signals have shape \[3, 1\]; expected \[120"
    ):
        incremental_skill(NOISE, CONTROLS, [1.0, 2.0, 3.0], FAMILIES)
    broken = CONTROLS.copy()
    broken[7, 1] = np.nan
    with pytest.raises(ValueError, match="controls is nan in row 7"):
        incremental_skill(NOISE, broken, SIGNAL, FAMILIES)
