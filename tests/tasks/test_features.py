import numpy as np
import polars as pl
import pytest

from harness.errors import PredictorError
from harness.spec import Part
from tasks.answering import answer
from tasks.features import Encoder, features
from tasks.question import ask
from tests.tasks.asking import task

TABLE = pl.DataFrame(
    {
        "id": ["a", "b", "c"],
        "lr": [0.1, None, 0.3],
        "optimizer.name": ["sgd", "lion", None],
        "nesterov": [True, False, True],
        "same": [1, 1, 1],
        "milestones": [[1], [2], [3]],
    }
)


def test_strings_become_indicators_and_numbers_stay():
    encoder = Encoder().fit(TABLE)
    assert encoder.names == [
        "lr",
        "optimizer.name=lion",
        "optimizer.name=sgd",
        "nesterov=false",
        "nesterov=true",
    ]
    expected = [[0.1, 0, 1, 0, 1], [np.nan, 1, 0, 1, 0], [0.3, 0, 0, 0, 1]]
    np.testing.assert_array_equal(encoder.transform(TABLE), expected)


def test_a_level_never_seen_is_none_of_the_known():
    encoder = Encoder().fit(TABLE)
    other = TABLE.with_columns(pl.lit("adamw").alias("optimizer.name"))
    assert not encoder.transform(other)[:, 1:3].any()


def test_completed_columns_are_standardised_with_the_median_for_what_is_missing():
    numbers = Encoder(complete=True).fit(TABLE).transform(TABLE)
    assert np.isfinite(numbers).all()
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(numbers.std(axis=0), 1)
    filled = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(numbers[:, 0], (filled - 0.2) / filled.std(), atol=1e-12)


def test_a_table_without_columns_gives_no_numbers():
    only = TABLE.select("id")
    assert Encoder(complete=True).fit(only).transform(only).shape == (3, 0)


def test_features_hold_settings_and_signals_in_the_order_of_the_names(corpus):
    question, _ = ask(corpus, task())
    seen = question.everyone
    table = features(seen)
    assert table["id"].to_list() == list(seen.ids)
    assert {"optimizer.lr", "sotl_e.tse", "last/val_loss"} <= set(table.columns)
    assert "sotl_e.tse" not in features(seen, signals=False).columns
    assert "optimizer.lr" not in features(seen, settings=False).columns


def test_a_scikit_learn_regressor_answers_as_it_does_by_hand(corpus):
    from sklearn.linear_model import Ridge

    question, _ = ask(corpus, task())
    table = answer(question, Part("sklearn.linear_model:Ridge", {"alpha": 2.0})).table
    told = dict(table.select("id", "prediction").rows())
    for fold in question.folds():
        seen = features(fold.train)
        encoder = Encoder(complete=True).fit(seen)
        model = Ridge(alpha=2.0).fit(encoder.transform(seen), fold.targets.values)
        by_hand = model.predict(encoder.transform(features(fold.test)))
        np.testing.assert_allclose(
            [told[name] for name in fold.test.ids], by_hand, rtol=1e-6
        )


def test_a_classifier_gives_the_probability_of_one(corpus):
    part = Part("sklearn.dummy:DummyClassifier")
    question, _ = ask(corpus, task("probability"))
    table = answer(question, part).table
    told = dict(table.select("id", "prediction").rows())
    for fold in question.folds():
        share = np.float32(fold.targets.values.mean())
        expected = {np.float32(0), np.float32(1), share}  # prior of one class is 0 or 1
        assert {told[name] for name in fold.test.ids} <= expected
    declined = answer(ask(corpus, task())[0], part).table
    assert set(declined["reason"]) == {
        "a classifier answers tasks that ask for a probability"
    }


def test_an_estimator_declines_curves(corpus):
    question, _ = ask(corpus, task("curve"))
    table = answer(question, Part("sklearn.dummy:DummyRegressor")).table
    assert set(table["reason"]) == {
        "a scikit-learn estimator forecasts one number, not a curve"
    }


def test_a_wrong_argument_of_an_estimator_is_told(corpus):
    question, _ = ask(corpus, task())
    with pytest.raises(TypeError, match="unexpected keyword argument 'alhpa'"):
        answer(question, Part("sklearn.linear_model:Ridge", {"alhpa": 1}))
    with pytest.raises(PredictorError, match=r"Ridge failed at .*alpha"):
        answer(question, Part("sklearn.linear_model:Ridge", {"alpha": -1.0}))
