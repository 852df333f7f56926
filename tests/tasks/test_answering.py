import numpy as np
import pytest

from harness.errors import PredictorError
from harness.spec import Part
from tasks.answering import NO_NUMBER, answer
from tasks.prediction import make_predictor
from tasks.question import ask
from tests.tasks import asking
from tests.tasks.asking import task

HERE = "tests.tasks.asking"
LEVELS = 7


def ask_of(corpus, predictor, kind="value", **arguments):
    question, _ = ask(corpus, task(kind))
    return answer(question, Part(f"{HERE}:{predictor}", arguments))


def test_every_example_has_a_row_in_the_order_of_the_names(corpus):
    question, answers = ask(corpus, task())
    found = answer(question, Part("median"))
    assert found.table["id"].to_list() == list(answers.ids)
    assert found.table.columns[:3] == ["id", "prediction", "q0.05"]
    assert found.table["reason"].null_count() == len(answers.ids)


def test_a_constant_prediction_is_that_of_the_fold_it_learned_from(corpus):
    question, answers = ask(corpus, task())
    table = answer(question, Part("median")).table
    value = dict(zip(answers.ids, answers.values, strict=True))
    told = dict(table.select("id", "prediction").rows())
    for fold in question.folds():
        expected = np.float32(np.median([value[name] for name in fold.train.ids]))
        assert {told[name] for name in fold.test.ids} == {expected}


def test_a_predictor_sees_what_it_declares(corpus):
    asking.Recorder.seen.clear()
    found = ask_of(corpus, "Narrow")
    assert found.charge.signals == ("val_loss",)
    assert len(asking.Recorder.seen) == 3
    for observations, targets in asking.Recorder.seen:
        assert [set(b.recorded) for b in observations.blocks] == [{"val_loss"}]
        assert "optimizer.lr" not in observations.settings.columns
        assert targets.ids == observations.ids


def test_who_declines_is_counted_with_the_reason(corpus):
    table = ask_of(corpus, "Unwilling").table
    assert table["prediction"].null_count() == len(table)
    assert set(table["reason"]) == {"no curvature is recorded"}
    choosy = ask_of(corpus, "Choosy").table
    assert set(choosy["reason"]) == {None, "too short", NO_NUMBER}
    assert (choosy["reason"].is_null() == choosy["prediction"].is_not_null()).all()


def test_declined_curves_are_counted_too(corpus):
    table = ask_of(corpus, "Unwilling", "curve").table
    assert table.columns == ["id", "epoch", "prediction", "reason"]
    assert table["prediction"].null_count() == len(table) > 0


def test_a_curve_has_a_row_an_epoch(corpus):
    question, answers = ask(corpus, task("curve"))
    table = answer(question, Part(f"{HERE}:Flat")).table
    assert len(table) == 3 * len(answers.ids)
    assert table["epoch"].unique().sort().to_list() == [3, 4, 5]
    assert set(table["prediction"]) == {np.float32(0.7)}


def test_a_crash_names_predictor_task_and_fold(corpus):
    with pytest.raises(
        PredictorError, match=r"Crashing failed at test/w40, fold 1 of 3.*one over"
    ):
        ask_of(corpus, "Crashing")


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("value", {"shape": 2}, r"mean has shape \[2\], expected"),
        ("value", {"quantiles": (0.1, 0.2)}, r"quantiles has shape .*, expected"),
        ("value", {"quantiles": (2, 1, 3, 4, 5, 6, 7)}, "quantiles decrease"),
        ("probability", {"mean": 1.5}, r"a probability is 1.5, not in \[0, 1\]"),
        ("curve", {}, r"curves\[0\]|declined"),
    ],
)
def test_an_answer_of_another_form_is_refused(corpus, kind, arguments, message):
    if kind == "curve":
        table = ask_of(corpus, "Answering", kind).table
        assert set(table["reason"]) == {NO_NUMBER}
        return
    with pytest.raises(PredictorError, match=message):
        ask_of(corpus, "Answering", kind, **arguments)


def test_quantiles_are_columns_named_by_their_levels(corpus):
    quantiles = tuple(np.linspace(0.1, 0.9, LEVELS))
    table = ask_of(corpus, "Answering", quantiles=quantiles).table
    names = ["q0.05", "q0.1", "q0.25", "q0.5", "q0.75", "q0.9", "q0.95"]
    assert table.columns == ["id", "prediction", *names, "reason"]
    np.testing.assert_array_equal(
        table.select(names).to_numpy()[0], np.float32(quantiles)
    )


def test_an_unknown_predictor_or_argument_is_named():
    with pytest.raises(KeyError, match="no predictor is called 'medain'; did you mean"):
        make_predictor(Part("medain"))
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        make_predictor(Part(f"{HERE}:Answering", {"depth": 3}))
    with pytest.raises(TypeError, match="has no methods `fit` and `predict`"):
        make_predictor(Part("builtins:dict"))
    with pytest.raises(TypeError, match="is a int, expected a class"):
        make_predictor(Part(f"{__name__}:LEVELS"))
