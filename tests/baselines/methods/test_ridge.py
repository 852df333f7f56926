"""Ridge regression, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference
from sklearn.preprocessing import StandardScaler

from baselines.methods.ridge import PENALTIES, Ridge
from harness.seeds import stream
from harness.spec import Part
from tests.baselines.built import ACCURACY, LEVELS, observed

DEVIATION = observed(target=Part("deviation")).asked


def plane(n: int):
    draw = stream(0, "ridge", n)
    rows = draw.standard_normal((n, 6)) * [1, 10, 1, 1, 0.1, 1]
    return rows, rows @ [1, 0.1, 0, 0, 5, 0] + 0.3 * draw.standard_normal(n)


def groups(n: int) -> list[str]:
    return [f"g-{i // 2:03d}" for i in range(n)]


def test_means_are_those_of_scikit_learn_at_the_chosen_penalty():
    rows, y = plane(80)
    learned = Ridge(DEVIATION).fit(rows, y, groups(80))
    scaler = StandardScaler().fit(rows)
    reference = Reference(alpha=80 * PENALTIES[learned.best])
    reference.fit(scaler.transform(rows), y)
    expected = reference.predict(scaler.transform(rows)).clip(y.min(), y.max())
    assert learned.predict(rows) == pytest.approx(expected)


def test_the_penalty_grows_where_there_is_nothing_to_learn():
    rows, y = plane(80)
    noise = stream(0, "ridge/noise").standard_normal(80)
    informed = Ridge(DEVIATION).fit(rows, y, groups(80))
    blind = Ridge(DEVIATION).fit(rows, noise, groups(80))
    assert informed.best < blind.best
    assert np.ptp(blind.predict(rows)) < 0.5


def test_constant_columns_and_more_columns_than_runs_are_no_error():
    rows = np.concatenate([np.ones((10, 1)), np.eye(10), np.eye(10)], axis=1)
    learned = Ridge(DEVIATION).fit(rows, np.arange(10.0), groups(10))
    assert np.isfinite(learned.predict(rows)).all()


def test_accuracies_are_learned_as_logits_and_quantiles_cover_them():
    asked = observed(target=ACCURACY).asked
    draw = stream(0, "ridge/accuracy")
    rows = draw.standard_normal((900, 3))
    y = 1 / (1 + np.exp(-rows @ [1, -1, 0] - 0.2 * draw.standard_normal(900)))
    learned = Ridge(asked).fit(rows[:300], y[:300], groups(300))
    found = learned.answer(rows[300:])
    assert np.abs(found.mean - y[300:]).mean() < 0.04
    covered = (y[300:, None] <= found.quantiles).mean(axis=0)
    assert covered == pytest.approx(LEVELS, abs=0.06)
