"""The shared regression of one number, against closed forms and simulated truth."""

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, QuantileRegressor
from sklearn.model_selection import GroupKFold, cross_val_predict

from baselines.methods.forms import FORMS
from baselines.methods.mapping import (
    MARGIN,
    Mapping,
    finished,
    grouped_out_of_fold,
    residual_quantiles,
    squeezed,
    strata_quantiles,
    stretched,
)
from harness.errors import Declined
from harness.seeds import stream
from harness.spec import Part
from tests.baselines.built import ACCURACY, LEVELS, observed

LOG_LOSS = Part("column", {"name": "final.validation_loss", "log": True})


def families(n: int, size: int = 3) -> list[str]:
    return [f"g-{i // size:03d}" for i in range(n)]


def saturating(n: int, purpose: str, *, noise: float = 0.01, outliers: float = 0.04):
    """Accuracies that fall with the loss once it is above 1; some runs fail."""
    draw = stream(0, purpose)
    x = draw.lognormal(0, 0.7, n)
    y = 0.95 - 0.25 * np.maximum(x - 1, 0) ** 0.7 + noise * draw.standard_normal(n)
    y[draw.random(n) < outliers] -= 0.4
    return x, np.clip(y, 0, 1)


def test_a_line_is_found_in_spite_of_outliers_and_goes_on_within_the_targets_range():
    x = np.linspace(1, 5, 90)
    y = 2.0 - 0.3 * x
    y[::15] += 4.0
    learned = Mapping().fit(x, y, families(90))
    assert learned.form == "line"
    at = np.array([2.0, 4.5, 100.0])
    assert learned.predict(at) == pytest.approx([1.4, 0.65, y.min()], abs=1e-4)


def test_a_logarithm_is_found_as_the_line_over_ln_x():
    x = stream(0, "power").lognormal(0, 1, 90)
    learned = Mapping().fit(x, 1 + 2 * np.log(x), families(90))
    assert learned.form == "power"
    assert learned.predict([2.0]) == pytest.approx([1 + 2 * np.log(2)], abs=1e-6)


def test_what_says_nothing_is_mostly_answered_with_the_median():
    constant = 0
    for number in range(30):
        draw = stream(0, "nothing", number)
        x, y = draw.standard_normal(120), draw.standard_normal(120)
        learned = Mapping().fit(x, y, families(120))
        if learned.form == "constant":
            constant += 1
            assert learned.predict([0.0, 9.0]).tolist() == [np.median(y)] * 2
    assert constant >= 26  # 96 % of 100 simulations


@pytest.mark.parametrize("sign", [1, -1])
def test_a_saturating_relation_is_recovered_in_either_direction(sign):
    x, y = saturating(300, "monotone")
    learned = Mapping().fit(sign * x, y, families(300))
    at, truth = saturating(1000, "monotone/test", noise=0, outliers=0)
    answers = learned.predict(sign * at)
    assert learned.form in ("stairs", "knots", "isotonic")
    assert np.abs(answers - truth).mean() < 0.02
    assert np.abs(np.median(y) - truth).mean() > 0.06


def test_the_chosen_form_has_the_least_held_out_error():
    x, y = saturating(150, "choice")
    groups = families(150)
    learned = Mapping().fit(x, y, groups)
    errors = {}
    for name, form in FORMS.items():

        def clipped(x, y, at, form=form):
            return np.clip(form(x, y, at, False), y.min(), y.max())

        errors[name] = np.abs(grouped_out_of_fold(clipped, x, y, groups) - y).mean()
    assert errors[learned.form] <= min(errors.values()) / (1 - MARGIN)


def test_forms_agree_with_scikit_learn():
    x, y = saturating(100, "forms")
    at = np.linspace(x.min(), x.max(), 50)
    falling = IsotonicRegression(increasing=False).fit(x, y)
    assert FORMS["isotonic"](x, y, at, False) == pytest.approx(falling.predict(at))
    least = LinearRegression().fit(x[:, None], y).predict(at[:, None])
    assert FORMS["line"](x, y, at, True) == pytest.approx(least)
    median = QuantileRegressor(quantile=0.5, alpha=0).fit(x[:, None], y)
    found = np.abs(FORMS["line"](x, y, x, False) - y).sum()
    assert found <= 1.005 * np.abs(median.predict(x[:, None]) - y).sum()


@pytest.mark.parametrize(("n", "count"), [(10, 3), (7, 2), (60, 6), (2, 2), (1, 1)])
@pytest.mark.parametrize("squares", [False, True])
def test_bins_have_the_medians_or_means_of_a_naive_loop(n, count, squares):
    from baselines.methods.forms import _bins

    draw = stream(0, "bins", n)
    x, y = draw.random(n), draw.random(n)
    places, heights = _bins(x, y, count, squares)
    edges = [k * n // count for k in range(count + 1)]
    order = np.argsort(x)
    bins = [order[a:b] for a, b in itertools.pairwise(edges)]
    middle = np.mean if squares else np.median
    assert places == pytest.approx([np.median(x[rows]) for rows in bins])
    assert heights == pytest.approx([middle(y[rows]) for rows in bins])


def test_a_probability_is_the_share_of_ones_and_no_majority():
    draw = stream(0, "probability")
    y = (draw.random(150) < 0.2).astype(float)
    learned = Mapping("probability").fit(draw.random(150), y, families(150, 1))
    assert learned.form == "constant"
    assert learned.predict([0.5]) == pytest.approx([y.mean()])


def test_missing_numbers_stay_missing_and_are_not_learned_from():
    x, y = np.arange(60.0), np.arange(60.0)
    x[:3], y[3:6] = np.nan, np.nan
    learned = Mapping().fit(x, y, families(60))
    assert len(learned.x) == 54
    assert np.isnan(learned.predict([np.nan, np.inf])).all()
    assert np.isnan(learned.quantiles([np.nan, 7.0], LEVELS)).tolist() == [
        [True] * 5,
        [False] * 5,
    ]


def test_one_family_with_the_number_is_declined():
    x = np.array([1.0, 2.0, 3.0, np.nan])
    with pytest.raises(Declined, match="1 of 2 training families have the number"):
        Mapping().fit(x, np.ones(4), ["a", "a", "a", "b"])


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_few_and_equal_numbers_are_no_error(n):
    for x in (np.ones(n), np.arange(n) * 1e150):
        learned = Mapping().fit(x, np.arange(n, dtype=float), families(n, 1))
        assert np.isfinite(learned.quantiles(x, LEVELS)).all()


def test_families_are_held_out_as_a_whole():
    groups = list("cabbaccd")
    seen = []

    def note(x, y, at):
        seen.append((set(x.tolist()), set(at.tolist())))
        return np.zeros(len(at))

    names = np.array([ord(g) for g in groups], float)
    assert grouped_out_of_fold(note, names, names, groups).tolist() == [0.0] * 8
    assert len(seen) == 4  # families, fewer than folds
    assert all(not train & test for train, test in seen)
    assert sorted(min(test) for _, test in seen) == [97, 98, 99, 100]


def test_out_of_fold_answers_are_those_of_scikit_learn_with_the_same_folds():
    draw = stream(0, "folds")
    rows, y = draw.standard_normal((40, 3)), draw.standard_normal(40)
    groups = families(40, 2)

    def least(x, y, at):
        return LinearRegression().fit(x, y).predict(at)

    found = grouped_out_of_fold(least, rows, y, groups, folds=4)
    fold = np.array([int(g[2:]) % 4 for g in groups])
    expected = cross_val_predict(
        LinearRegression(), rows, y, groups=fold, cv=GroupKFold(4)
    )
    assert found == pytest.approx(expected)


def test_a_fit_that_answers_with_several_numbers_keeps_them():
    def both(x, y, at):
        return np.stack([at, -at], axis=1)

    x = np.array([3.0, 1.0, 2.0])
    found = grouped_out_of_fold(both, x, x, ["a", "b", "a"])
    assert found.tolist() == [[3, -3], [1, -1], [2, -2]]


def test_one_family_cannot_be_held_out():
    with pytest.raises(Declined, match="all training runs are of one family"):
        grouped_out_of_fold(lambda x, y, at: at, np.ones(3), np.ones(3), ["a"] * 3)


def test_residual_quantiles_are_order_statistics():
    truth = np.arange(1.0, 20.0)  # 19 residuals 1 ... 19: the position 20 p
    found = residual_quantiles(truth, np.zeros(19), [0.01, 0.05, 0.5, 0.9, 0.99])
    assert found.tolist() == [1, 1, 10, 18, 19]


def test_quantiles_cover_new_families_as_often_as_they_say():
    below = []
    for number in range(30):
        x, y = saturating(200, f"coverage/{number}")
        learned = Mapping().fit(x, y, families(200))
        at, truth = saturating(400, f"coverage/test/{number}")
        quantiles = learned.quantiles(at, LEVELS)
        assert (np.diff(quantiles, axis=1) >= 0).all()
        below.append((truth[:, None] <= quantiles).mean(axis=0))
    assert np.mean(below, axis=0) == pytest.approx(LEVELS, abs=0.025)


def test_uncertainty_is_larger_where_residuals_are():
    draw = stream(0, "strata")
    held_out = np.repeat([0.0, 1.0], 100)
    truth = held_out + np.where(held_out > 0, 0.01, 1.0) * draw.standard_normal(200)
    found = strata_quantiles(truth, held_out, LEVELS, [0.0, 1.0, np.nan])
    width = found[:, -1] - found[:, 0]
    assert width[0] > 30 * width[1]
    low = residual_quantiles(truth[:100], held_out[:100], LEVELS)
    assert found[0] == pytest.approx(low)
    assert np.isnan(found[2]).all()


def test_what_is_finished_lies_where_it_must():
    asked = observed().asked
    mean, spread = [1.2, np.nan], [[0.4, 0.2, 0.9, 1.1, 1.3]] * 2
    found = finished(asked, mean, spread)
    assert found.mean.tolist()[0] == 1.0
    assert found.quantiles[0].tolist() == [0.2, 0.4, 0.9, 1.0, 1.0]
    assert np.isnan(found.quantiles[1]).all()
    logs = dataclasses.replace(asked, target=LOG_LOSS)
    assert finished(logs, [-1.2]).mean.tolist() == [-1.2]
    chance = dataclasses.replace(asked, kind="probability", target=Part("other"))
    assert finished(chance, [-0.1], [spread[0]]).mean.tolist() == [0.0]
    assert finished(chance, [-0.1], [spread[0]]).quantiles is None


def test_logits_are_for_accuracies_and_undone():
    asked = observed(target=ACCURACY).asked
    assert stretched(asked, [0.9]) == pytest.approx([np.log(9)])
    assert squeezed(asked, stretched(asked, [0.01, 0.7])) == pytest.approx([0.01, 0.7])
    assert np.isfinite(stretched(asked, [0.0, 1.0])).all()
    logs = dataclasses.replace(asked, target=LOG_LOSS)
    assert stretched(logs, [-2.0]).tolist() == [-2.0]
