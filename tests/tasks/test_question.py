import numpy as np
import polars as pl

from tasks.prediction import Charge
from tasks.question import ask
from tests.tasks.asking import task


def test_every_run_is_scored_once_and_never_learned_from_then(corpus):
    question, answers = ask(corpus, task())
    tested = [name for _, names in question.rounds for name in names]
    assert sorted(tested) == list(answers.ids)
    for fold in question.folds():
        assert not set(fold.train.ids) & set(fold.test.ids)
        assert len(fold.train) + len(fold.test) == len(answers.ids)


def test_families_are_whole_on_one_side_and_labelled_alike(corpus):
    question, answers = ask(corpus, task())
    family = dict(zip(answers.ids, answers.families, strict=True))
    for fold in question.folds():
        learned = {family[name] for name in fold.train.ids}
        assert not learned & {family[name] for name in fold.test.ids}
        pairs = {
            (family[i], g)
            for i, g in zip(fold.train.ids, fold.targets.groups, strict=True)
        }
        assert len(pairs) == len(learned) == len(set(fold.targets.groups))
        assert not set(fold.targets.groups) & set(answers.families)


def test_targets_belong_to_the_examples_beside_them(corpus):
    question, answers = ask(corpus, task())
    truth = dict(corpus.runs().select("run_id", "final.test_accuracy").rows())
    run_of = dict(zip(answers.ids, answers.run_ids, strict=True))
    assert [truth[run] for run in answers.run_ids] == answers.values.tolist()
    for fold in question.folds():
        assert fold.targets.ids == fold.train.ids
        expected = [truth[run_of[name]] for name in fold.train.ids]
        assert fold.targets.values.tolist() == expected


def test_remaining_curves_stand_beside_their_blocks(corpus):
    question, answers = ask(corpus, task("curve"))
    curves = dict(zip(answers.ids, answers.curves, strict=True))
    for fold in question.folds():
        assert fold.targets.values.size == 0
        for block, values in zip(fold.train.blocks, fold.targets.curves, strict=True):
            epochs = fold.train.remaining_epochs(block)
            assert epochs.tolist() == [3, 4, 5]
            assert values.shape == (len(block), 3)
            for name, row in zip(block.run_ids, values, strict=True):
                np.testing.assert_array_equal(row, curves[name])


def test_a_window_within_an_epoch_asks_for_the_epochs_after_it(corpus):
    question, _ = ask(corpus, task("curve", until=0.5))
    (block,) = question.everyone.blocks
    assert block.end == 50
    assert question.everyone.remaining_epochs(block).tolist() == [4, 5]


def test_a_fold_shows_the_signals_that_are_asked_for(corpus):
    question, _ = ask(corpus, task())
    charge = Charge(signals=("val_loss",), settings=False)
    fold = next(question.folds(charge))
    assert [set(b.recorded) for b in fold.train.blocks] == [{"val_loss"}]
    assert fold.train.settings.columns == ["id", "num_steps", "steps_per_epoch"]
    everything = next(question.folds())
    assert "optimizer.lr" in everything.train.settings.columns
    assert len(everything.train.blocks[0].recorded) > 1


def test_a_fold_without_curves_shows_no_number_of_the_run(corpus):
    question, _ = ask(corpus, task())
    fold = next(question.folds(Charge(signals=(), curves=False)))
    for block in (*fold.train.blocks, *fold.test.blocks):
        assert np.isnan(block.loss).all()
        assert np.isnan(block.rate).all()
        assert not block.recorded
    assert fold.train.early.drop("id").null_count().row(0) == (
        (len(fold.train),) * (fold.train.early.width - 1)
    )
    assert "optimizer.lr" in fold.train.settings.columns


def test_early_signals_of_a_part_are_those_of_the_whole(corpus):
    question, _ = ask(corpus, task())
    whole = question.everyone.early
    assert whole["id"].to_list() == list(question.everyone.ids)
    for fold in question.folds():
        computed = question.everyone.of(fold.test.ids)
        computed.__dict__.pop("early", None)
        assert computed.early.equals(fold.test.early)
        assert fold.test.early.equals(whole.filter(pl.col("id").is_in(fold.test.ids)))


def test_what_a_predictor_is_given_cannot_be_written_to(corpus):
    question, _ = ask(corpus, task(visibility={"planned_rate": True}))
    fold = next(question.folds())
    (block,) = fold.train.blocks
    arrays = [block.loss, block.rate, fold.train.planned[0]]
    for curve in block.recorded.values():
        arrays += [curve.offsets, curve.steps, curve.values]
    assert not any(array.flags.writeable for array in arrays)
