"""The plain baselines: known answers on examples made by hand."""

import dataclasses

import numpy as np
import pytest

from baselines.early_alpha import EarlyAlpha, burn_in_power_law, every_step, power_law
from baselines.hyper_boosting import HyperBoosting
from baselines.hyper_ridge import HyperRidge
from baselines.median import Median
from baselines.random_order import RandomOrder
from baselines.size_only import SizeOnly
from baselines.sotl_e import SotlE
from baselines.zero import Zero
from harness.corpus import Corpus
from harness.errors import Declined
from harness.seeds import stream
from harness.spec import Part
from tasks.answering import answer, tabulate
from tasks.base import Task, Visibility
from tasks.question import ask
from tests.baselines.built import LEVELS, aimed, observed

NUMBERS = (HyperRidge, HyperBoosting, SizeOnly, SotlE, EarlyAlpha, RandomOrder)
PLAIN = (
    *("median", "last_value", "zero", "hyper_ridge", "hyper_boosting", "size_only"),
    *("sotl_e", "early_alpha", "random_order"),
)


def power_laws(n: int, *, epochs: int = 20, size: int = 4):
    """Losses c t^-alpha and their alphas."""
    draw = stream(0, "power laws", n)
    alpha = 0.2 + 0.8 * draw.random(n)
    time = np.arange(1, epochs * size + 1) / size
    return 0.9 * time ** -alpha[:, None], alpha


def grid(n: int, replicas: int = 3):
    """Settings, accuracies that follow from them, and families."""
    draw = stream(0, "grid", n)
    optimizer = draw.choice(["sgd", "adamw"], n)
    away = draw.uniform(-3, 3, n)  # ln of the rate over the best of its optimizer
    base = np.where(optimizer == "sgd", 0.1, 0.001)
    settings = {
        "optimizer.name": optimizer.tolist(),
        "optimizer.lr": (base * np.exp(away)).tolist(),
        "optimizer.weight_decay": np.where(optimizer == "sgd", 0.0, 0.1).tolist(),
        "schedule.milestones": [[10, 20]] * n,
        "batch_size": [32] * n,
    }
    family = [f"g-{i // replicas:03d}" for i in range(n)]
    return settings, 0.95 - 0.04 * away**2, family


def test_the_median_answers_with_the_median_and_quantiles_of_the_targets():
    seen = observed(n=5)
    found = Median().fit(seen, aimed(seen, [0.1, 0.9, 0.2, 0.8, 0.3]))
    answers = found.predict(observed(n=2))
    assert answers.mean.tolist() == [0.3, 0.3]
    expected = np.quantile([0.1, 0.9, 0.2, 0.8, 0.3], LEVELS)
    assert answers.quantiles.tolist() == [expected.tolist()] * 2


def test_the_median_of_a_probability_is_the_share():
    seen = observed(n=4, kind="probability", target=Part("failed_to_learn"))
    found = Median().fit(seen, aimed(seen, [0, 0, 0, 1]))
    assert found.predict(observed(n=2, kind="probability")).mean.tolist() == [0.25] * 2


def test_the_median_of_curves_is_taken_epoch_by_epoch():
    seen = observed(n=3, kind="curve", epochs=4)
    curves = [[3.0, 1.0], [2.0, 2.0], [1.0, 9.0]]
    found = Median().fit(seen, aimed(seen, curves=curves)).predict(seen)
    assert found.curves[0].tolist() == [[2.0, 2.0]] * 3


def test_zero_answers_deviations_with_zero_and_their_quantiles():
    seen = observed(n=19, target=Part("deviation", {"name": "final.test_accuracy"}))
    found = Zero().fit(seen, aimed(seen, np.arange(-9, 10))).predict(seen)
    assert found.mean.tolist() == [0.0] * 19
    assert found.quantiles[0].tolist() == [-9, -5, 0, 5, 9]  # positions 20 p of 19


def test_zero_declines_what_is_no_deviation():
    seen = observed(n=3)
    with pytest.raises(Declined, match="zero answers deviations"):
        Zero().fit(seen, aimed(seen, np.ones(3)))


def test_sotl_e_recovers_a_target_that_follows_from_the_last_epochs_losses():
    draw = stream(0, "sotl")
    loss = np.exp(draw.standard_normal((90, 40)))
    seen = observed(loss)
    target = 1 - 0.05 * seen.blocks[0].loss[:, -4:].mean(axis=1, dtype=np.float64)
    found = SotlE().fit(seen, aimed(seen, target)).predict(seen)
    assert found.mean == pytest.approx(target, abs=1e-5)


def test_sotl_e_sums_what_is_seen_before_the_first_epoch_is_over():
    loss = np.exp(stream(0, "sotl/short").standard_normal((60, 40)))
    seen = observed(loss, until=0.05)  # 2 of 4 steps
    target = 1 - 0.05 * seen.blocks[0].loss.sum(axis=1, dtype=np.float64)
    found = SotlE().fit(seen, aimed(seen, target)).predict(seen)
    assert found.mean == pytest.approx(target, abs=1e-5)


def test_sotl_e_declines_a_run_that_diverged_with_the_status():
    loss = np.exp(stream(0, "sotl/nan").standard_normal((30, 40)))
    loss[4, 18:] = np.nan
    seen = observed(loss)
    found = SotlE().fit(seen, aimed(seen, np.arange(30) / 30)).predict(seen)
    assert np.flatnonzero(np.isnan(found.mean)).tolist() == [4]
    assert dict(found.reasons) == {"e-004": "sotl_e: diverged"}


@pytest.mark.parametrize(
    ("until", "law"), [(0.5, power_law), (0.2, every_step), (0.02, every_step)]
)
def test_early_alpha_goes_by_the_exponent_that_most_runs_have(until, law):
    loss, alpha = power_laws(60, size=64)
    seen = observed(loss, until=until, steps_per_epoch=64, epochs=20)
    learned = EarlyAlpha().fit(seen, aimed(seen, 0.5 + 0.3 * alpha))
    assert learned.law is law
    found = learned.predict(seen)
    assert found.mean == pytest.approx(0.5 + 0.3 * alpha, abs=2e-3)


def test_early_alpha_begins_at_the_end_of_burn_in_where_that_serves_more_runs():
    loss, alpha = power_laws(60)
    loss[:, :4] = np.nan  # so nothing fits every step, and 8 epochs end before 10
    seen = observed(loss, until=0.4, epochs=20)
    learned = EarlyAlpha().fit(seen, aimed(seen, alpha))
    assert learned.law is burn_in_power_law


def test_early_alpha_declines_a_run_with_the_status_of_the_fit():
    loss, alpha = power_laws(30)
    loss[7, 30] = np.nan
    seen = observed(loss, epochs=20)
    found = EarlyAlpha().fit(seen, aimed(seen, alpha)).predict(seen)
    assert dict(found.reasons) == {"e-007": "power_law: diverged"}


def test_random_order_draws_training_targets_by_name_and_is_no_better_than_chance():
    n = 400
    targets = stream(0, "targets").random(n)
    seen = observed(n=n)
    learned = RandomOrder().fit(seen, aimed(seen, targets))
    found = learned.predict(seen).mean
    assert set(found) <= set(targets)
    some = learned.predict(seen.of(["e-003", "e-100"])).mean
    assert some.tolist() == [found[3], found[100]]
    assert abs(np.corrcoef(found, targets)[0, 1]) < 0.15
    median = Median().fit(seen, aimed(seen, targets)).predict(seen).mean
    assert np.abs(found - targets).mean() > np.abs(median - targets).mean()
    other = RandomOrder(seed=1).fit(seen, aimed(seen, targets)).predict(seen).mean
    assert (other != found).mean() > 0.9


def test_hyper_parameters_tell_a_peak_in_the_learning_rate_of_each_optimizer():
    settings, accuracy, family = grid(180)
    seen = observed(n=180, settings=settings)
    new = seen.of(seen.ids[120:])
    targets = aimed(seen.of(seen.ids[:120]), accuracy[:120], groups=family[:120])
    blind = np.abs(accuracy[120:] - np.median(accuracy[:120])).mean()
    for predictor in (HyperRidge(), HyperBoosting()):
        learned = predictor.fit(seen.of(seen.ids[:120]), targets)
        found = learned.predict(new)
        assert np.abs(found.mean - accuracy[120:]).mean() < blind / 4
        covered = (accuracy[120:, None] <= found.quantiles).mean(axis=0)
        assert covered == pytest.approx(LEVELS, abs=0.2)


def test_hyper_ridge_answers_for_an_optimizer_it_has_never_seen():
    settings, accuracy, family = grid(60)
    seen = observed(n=60, settings=settings)
    learned = HyperRidge().fit(seen, aimed(seen, accuracy, groups=family))
    lion = observed(n=60, settings=settings | {"optimizer.name": ["lion"] * 60})
    found = learned.predict(lion).mean
    assert np.isfinite(found).all()
    assert (found >= accuracy.min()).all()


def test_hyper_boosting_gives_the_same_answer_twice():
    settings, accuracy, family = grid(60)
    seen = observed(n=60, settings=settings)
    targets = aimed(seen, accuracy, groups=family)
    once, twice = (
        HyperBoosting(iterations=10).fit(seen, targets).predict(seen).mean
        for _ in range(2)
    )
    assert once.tolist() == twice.tolist()


@pytest.mark.parametrize("predictor", [HyperRidge, HyperBoosting, SizeOnly])
def test_without_settings_there_is_nothing_to_go_by(predictor):
    seen = observed(n=4)
    with pytest.raises(Declined, match="shows no hyper-parameters"):
        predictor().fit(seen, aimed(seen, np.ones(4)))


def test_size_only_learns_a_law_of_the_width():
    width = np.tile([8.0, 16.0, 32.0, 64.0], 15)
    settings = {"model.width": width.tolist(), "model.dropout": [0.1] * 60}
    seen = observed(n=60, settings=settings | {"batch_size": [32] * 60})
    family = [f"g-{i // 4}" for i in range(60)]
    target = 0.5 + 0.05 * np.log(width)
    found = SizeOnly().fit(seen, aimed(seen, target, groups=family)).predict(seen)
    assert found.mean == pytest.approx(target, abs=2e-3)


def test_size_only_declines_where_every_run_is_of_one_size():
    settings = {
        "batch_size": [32] * 6,
        "model.width": [16] * 6,
        "model.dropout": [0.0, 0.5] * 3,
        "optimizer.lr": [0.1, 0.2, 0.3] * 2,
    }
    seen = observed(n=6, settings=settings)
    with pytest.raises(Declined, match="every training run has a model of one size"):
        SizeOnly().fit(seen, aimed(seen, np.arange(6) / 6))


@pytest.mark.parametrize("predictor", NUMBERS)
def test_curves_are_declined_by_what_forecasts_a_number(predictor):
    seen = observed(n=3, kind="curve")
    with pytest.raises(Declined, match="forecasts one number, not a curve"):
        predictor().fit(seen, aimed(seen, curves=np.ones((3, 5))))


@pytest.mark.parametrize("predictor", [SotlE, EarlyAlpha, HyperRidge, HyperBoosting])
def test_probabilities_lie_between_0_and_1_and_have_no_quantiles(predictor):
    settings, _, family = grid(60)
    loss, alpha = power_laws(60)
    seen = observed(loss, epochs=20, settings=settings, kind="probability")
    targets = aimed(seen, alpha > np.quantile(alpha, 0.8), groups=family)
    found = predictor().fit(seen, targets).predict(seen)
    assert found.quantiles is None
    assert tabulate(seen, found)["prediction"].null_count() == 0


@pytest.mark.parametrize("name", PLAIN)
def test_every_plain_baseline_answers_a_corpus_or_says_why_not(
    name: str, corpus: Corpus
):
    task = Task(
        name="plain/w60",
        version="1",
        question="How accurate?",
        kind="value",
        target=Part("column", {"name": "final.test_accuracy"}),
        visibility=Visibility(until=0.6),
        split=Part("grouped_folds", {"folds": 3}),
        metrics=("mae",),
    )
    question, truth = ask(corpus, task)
    table = answer(question, Part(name)).table
    assert len(table) == len(truth.ids)
    declined = table["prediction"].is_null()
    assert declined.all() == (name in ("zero", "size_only"))
    assert (table["reason"].is_not_null() == declined).all()


def test_nothing_is_read_that_is_not_paid_for():
    for made in (Median, Zero, SotlE, EarlyAlpha, RandomOrder):
        assert (made.uses, made.reads_settings) == ((), False)
    for made in (HyperRidge, HyperBoosting, SizeOnly):
        assert made.uses == ()
        assert getattr(made, "reads_settings", True)


def test_hyper_parameters_alone_do_not_look_at_curves():
    settings, accuracy, family = grid(30)
    seen = observed(n=30, settings=settings)
    blocks = tuple(
        dataclasses.replace(b, loss=np.full_like(b.loss, np.nan)) for b in seen.blocks
    )
    blind = dataclasses.replace(seen, blocks=blocks)
    targets = aimed(seen, accuracy, groups=family)
    one, other = (HyperRidge().fit(s, targets).predict(s).mean for s in (seen, blind))
    assert one.tolist() == other.tolist()
