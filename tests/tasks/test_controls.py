"""What a prediction must add to: settings, the last loss, the fold."""

import numpy as np

from tasks.controls import controls
from tasks.question import ask
from tasks.statistics.incremental import incremental_skill
from tests.tasks.asking import task


def test_controls_hold_settings_losses_and_folds(everything):
    question, answers = ask(everything, task())
    known = controls(question, answers)
    assert known.shape[0] == len(answers.ids)
    assert np.isfinite(known).all()
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-12)
    folds = [np.isin(answers.ids, tested) for _, tested in question.rounds]
    sgd = (answers.runs["optimizer.name"] == "sgd").to_numpy()
    last = {
        name: float(value)
        for block in question.everyone.blocks
        for name, value in zip(block.run_ids, block.epoch_means()[:, -1], strict=True)
    }
    loss = np.array([last[name] for name in answers.ids])
    loss = np.where(np.isfinite(loss), loss, np.nanmedian(loss))
    for wanted in (*folds, sgd, loss):
        standard = (wanted - np.mean(wanted)) / np.std(wanted)
        assert np.abs(known - standard[:, None]).max(axis=0).min() < 1e-9
    # The seed is no setting.
    seeds = answers.runs["seed"].to_numpy().astype(float)
    assert np.abs(np.corrcoef(known.T, seeds)[-1, :-1]).max() < 0.5


def test_constants_by_fold_gain_nothing_beyond_the_controls():
    """What a fold's predictor learned elsewhere tells the fold's own mean."""
    gains = {True: [], False: []}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        families = np.repeat(np.arange(24), 3)
        y = np.repeat(rng.normal(size=24), 3) + 0.2 * rng.normal(size=72)
        fold = families % 5
        learned = np.array([np.median(y[fold != f]) for f in range(5)])[fold]
        for told in gains:
            indicators = np.eye(5)[fold] if told else np.zeros((72, 1))
            found = incremental_skill(y, indicators, learned, families, resamples=2)
            gains[told].append(float(found.skill.value))
    assert np.mean(gains[False]) > 0.01
    assert np.mean(gains[True]) < 0.005
