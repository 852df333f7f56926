"""Curvature, noise, nearest curves and the forest: known answers on made examples."""

import dataclasses

import numpy as np
import pytest

from baselines.curvature_plateau import NO_CURVATURE, CurvaturePlateau
from baselines.forest import Forest
from baselines.methods.continuation import Continuations, last_logs, shapes
from baselines.methods.shrinkage import trust
from baselines.nearest_curves import NearestCurves
from baselines.noise_proxies import NO_NOISE, NoiseProxies
from harness.errors import Declined
from harness.seeds import stream
from harness.spec import Part
from tasks.answering import tabulate
from tests.baselines.built import LEVELS, aimed, observed

REMAINING = Part("remaining_curve", {"after": 0.5})
PLATEAU = Part("plateau", {"signal": "lambda_1"})


def power_laws(n, *, epochs=10, size=4, name="curves"):
    """Losses c t^-alpha, and alpha."""
    draw = stream(0, name, n)
    alpha = draw.uniform(0.2, 1.0, n)
    time = np.arange(1, epochs * size + 1) / size
    return draw.uniform(0.5, 2.0, (n, 1)) * time ** -alpha[:, None], alpha


def epoch_means(loss, first, size=4):
    return loss.reshape(len(loss), -1, size).mean(axis=2)[:, first:]


def test_a_curve_is_resampled_along_the_share_of_the_run():
    loss, _ = power_laws(3)
    block = observed(loss).blocks[0]
    means = np.log(epoch_means(loss, 0)[:, :5])
    at = (np.arange(16) + 0.5) / 16 * 0.5
    middles = np.array([2.5, 6.5, 10.5, 14.5, 18.5]) / 40
    expected = [np.interp(at, middles, row) for row in means]
    np.testing.assert_allclose(shapes(block, 0.5), expected, rtol=1e-5)


def test_runs_of_other_lengths_have_the_same_shape_on_the_share_axis():
    def linear(epochs):
        time = np.arange(1, epochs * 4 + 1) / (epochs * 4)
        return shapes(observed(np.exp(-time)[None], epochs=epochs).blocks[0], 0.5)

    np.testing.assert_allclose(linear(20)[:, 2:-2], linear(80)[:, 2:-2], atol=0.002)


def test_gaps_are_bridged_and_a_run_without_a_loss_has_no_shape():
    loss = np.ones((3, 40))
    loss[0, 4:8] = np.nan  # a whole epoch
    loss[1, 3] = np.inf
    loss[2] = np.nan
    found = shapes(observed(loss).blocks[0], 0.5)
    np.testing.assert_allclose(found[:2], 0.0)
    assert np.isnan(found[2]).all()
    short = observed(np.full((1, 40), np.e), until=0.05)  # half an epoch
    np.testing.assert_allclose(shapes(short.blocks[0], 0.05), 1.0, rtol=1e-6)


def test_continuations_are_ratios_to_the_last_epoch_in_ln():
    loss, _ = power_laws(4)
    seen = observed(loss, kind="curve", target=REMAINING)
    past = Continuations(seen, aimed(seen, curves=epoch_means(loss, 5)))
    own = np.arange(6, 11) / 10
    expected = np.log(epoch_means(loss, 5) / epoch_means(loss, 4)[:, :1])
    np.testing.assert_allclose(past.along(seen.ids, own), expected, atol=1e-6)
    halfway = past.along(seen.ids[:1], np.array([0.55]))
    np.testing.assert_allclose(halfway[0, 0], expected[0, 0] / 2, atol=1e-6)
    np.testing.assert_allclose(
        last_logs(seen.blocks[0]), np.log(epoch_means(loss, 4)[:, 0]), atol=1e-6
    )


def test_a_twin_among_the_training_runs_gives_its_answer():
    loss, alpha = power_laws(60)
    seen = observed(loss)
    found = NearestCurves().fit(seen, aimed(seen, 0.5 + alpha / 3))
    again = found.predict(seen)
    away = np.abs(again.mean - 0.5 - alpha / 3)
    assert away.mean() < 0.25 * np.abs(alpha / 3 - np.mean(alpha / 3)).mean()
    assert again.quantiles.shape == (60, len(LEVELS))
    assert (np.diff(again.quantiles, axis=1) >= 0).all()


def test_weights_are_inverse_distances_to_the_nearest_runs():
    levels = np.exp(np.array([0.0, 1.0, 3.0, 10.0]))
    seen = observed(np.repeat(levels[:, None], 40, axis=1))
    learned = NearestCurves(neighbours=(2,)).fit(seen, aimed(seen, [0, 0.2, 0.8, 1]))
    asked = observed(np.full((1, 40), np.exp(2.5)))
    # distances .5 to the third and 1.5 to the second: weights 3 to 1
    expected = (3 * 0.8 + 1 * 0.2) / 4
    assert learned.predict(asked).mean[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("make", [NearestCurves, lambda: Forest(leaf=1)])
def test_curves_are_continued_as_those_of_alike_runs(make):
    """All runs follow one law up to a factor: what remains is known exactly."""
    time = np.arange(1, 41) / 4
    loss = np.linspace(1, 2, 12)[:, None] * time**-0.5
    seen = observed(loss, kind="curve", target=REMAINING)
    learned = make().fit(seen, aimed(seen, curves=epoch_means(loss, 5)))
    other = 3.3 * time[None] ** -0.5
    asked = observed(other, kind="curve", target=REMAINING)
    found = learned.predict(asked).curves[0]
    np.testing.assert_allclose(found, epoch_means(other, 5), rtol=1e-5)


@pytest.mark.parametrize("make", [NearestCurves, Forest])
def test_curves_of_another_length_are_continued_by_the_share_of_the_run(make):
    def run(epochs, factor):
        time = (np.arange(epochs * 4) + 0.5) / (epochs * 4)
        return factor * np.exp(-2 * time)

    loss = np.stack([run(10, 1 + 0.1 * i) for i in range(10)])
    seen = observed(loss, kind="curve", target=REMAINING)
    learned = make().fit(seen, aimed(seen, curves=epoch_means(loss, 5)))
    other = run(40, 1.5)[None]
    asked = observed(other, epochs=40, kind="curve", target=REMAINING)
    found = learned.predict(asked).curves[0]
    assert found.shape == (1, 20)
    # the last epoch's mean lies half an epoch before the window's end: 5 % of a run
    np.testing.assert_allclose(found, epoch_means(other, 20), rtol=0.2)


def test_a_run_without_a_loss_is_declined_with_its_reason():
    loss, alpha = power_laws(30)
    loss[3] = np.nan
    for kind, target in (("value", None), ("curve", REMAINING)):
        seen = observed(loss, kind=kind, **({"target": target} if target else {}))
        aims = {"curves": epoch_means(np.nan_to_num(loss, nan=1.0), 5)}
        goal = aimed(seen, alpha) if kind == "value" else aimed(seen, **aims)
        table = tabulate(seen, NearestCurves().fit(seen, goal).predict(seen))
        lost = table.filter(table["prediction"].is_null())
        assert set(lost["id"]) == {"e-003"}
        assert "no finite training loss" in lost["reason"][0]


def test_a_plateau_in_the_window_is_the_answer_and_its_level_tells_the_rest():
    steps = np.arange(4, 161, 4)
    time = steps / 4
    level = np.linspace(1, 3, 40)
    curves = level[:, None] * (1 - np.exp(-time / 3))
    curves[20:] = level[20:, None] * np.exp(time / 40)  # rises to the end
    settings = {"epochs": 40, "until": 0.75, "recorded": {"lambda_1": (steps, curves)}}
    seen = observed(n=40, kind="value", target=PLATEAU, **settings)
    truth = np.where(np.arange(40) < 20, 15.0, 30.0)
    found = CurvaturePlateau().fit(seen, aimed(seen, truth)).predict(seen)
    exact = seen.early["plateau.t_plateau"].drop_nulls().unique().to_list()
    assert len(exact) == 1
    np.testing.assert_allclose(found.mean[:20], exact[0])
    np.testing.assert_allclose(found.quantiles[:20], exact[0])
    np.testing.assert_allclose(found.mean[20:], 30.0)

    seen = observed(n=40, **settings)
    accuracy = 0.9 - 0.1 * np.log(level)
    found = CurvaturePlateau().fit(seen, aimed(seen, accuracy)).predict(seen)
    np.testing.assert_allclose(found.mean, accuracy, atol=0.005)


def test_curvature_that_is_missing_or_negative_is_declined():
    values = np.linspace(1, 3, 30)[:, None] * np.ones((1, 4))
    values[5] = -1.0
    seen = observed(n=30, recorded={"lambda_1": ([4, 8, 12, 16], values)})
    learned = CurvaturePlateau().fit(seen, aimed(seen, np.linspace(0.5, 0.9, 30)))
    found = learned.predict(seen)
    assert np.flatnonzero(np.isnan(found.mean)).tolist() == [5]
    assert found.reasons == {"e-005": NO_CURVATURE}
    bare = observed(n=4)
    with pytest.raises(Declined, match="lambda_1 has no positive value"):
        CurvaturePlateau().fit(bare, aimed(bare, [0.1, 0.2, 0.3, 0.4]))


def noisy(n=80, lost=()):
    """Runs whose accuracy falls with ln of the gradients' variance."""
    draw = stream(0, "noisy", n)
    logs = draw.normal(0, 2, n)
    values = np.exp(logs)[:, None] * np.ones((1, 3))
    values[list(lost)] = np.nan
    recorded = {
        "gradient_variance": ([4, 8, 12], values),
        "dirvar": ([4, 8, 12], draw.uniform(-1, 1, (n, 3))),
    }
    return recorded, 0.7 - 0.03 * logs


def test_noise_signals_enter_as_logarithms():
    recorded, accuracy = noisy()
    seen = observed(n=80, recorded=recorded)
    found = NoiseProxies().fit(seen, aimed(seen, accuracy)).predict(seen)
    assert np.abs(found.mean - accuracy).max() < 0.02
    assert (np.diff(found.quantiles, axis=1) >= 0).all()


def test_missing_noise_is_the_median_and_none_at_all_is_declined():
    recorded, accuracy = noisy(lost=(0, 1))
    accuracy[:2] = np.median(accuracy)
    dirvar = recorded["dirvar"][1]
    dirvar[0] = np.nan
    seen = observed(np.full((80, 40), np.nan), recorded=recorded)
    found = NoiseProxies().fit(seen, aimed(seen, accuracy)).predict(seen)
    assert np.flatnonzero(np.isnan(found.mean)).tolist() == [0]
    assert np.isnan(found.quantiles[0]).all()
    assert found.reasons == {"e-000": NO_NOISE}
    assert abs(found.mean[1] - accuracy[1]) < 0.02
    bare = observed(np.full((4, 40), np.nan))
    with pytest.raises(Declined, match="none of the noise signals"):
        NoiseProxies().fit(bare, aimed(bare, [0.1, 0.2, 0.3, 0.4]))


def test_trust_is_the_slope_with_one_certain_run_more():
    y = np.array([0.0, 0, 0, 1])
    z = np.array([0.1, 0.2, 0.3, 0.6])
    x, t = np.append(z - 0.25, 1.0), np.append(y - 0.25, 1.0)
    expected = np.linalg.lstsq(x[:, None], t, rcond=None)[0][0]
    assert trust(y, z) == pytest.approx(expected)
    assert trust(y, np.append(z[:3], np.nan)) < trust(y, z)
    assert trust([0.0] * 50 + [1.0] * 50, [1.0] * 50 + [0.0] * 50) == 0


def scattered(n=300):
    """Accuracies whose scatter is ten times as large at one optimizer."""
    draw = stream(0, "scattered", n)
    name = draw.choice(["sgd", "lion"], n)
    rate = draw.uniform(0.1, 1.0, n)
    wide = np.where(name == "lion", 0.1, 0.01)
    y = 0.6 + 0.2 * rate + wide * draw.uniform(-1, 1, n)
    settings = {"optimizer.name": name.tolist(), "optimizer.lr": rate.tolist()}
    return settings, y, name


def test_the_forests_quantiles_follow_the_scatter_and_cover():
    settings, y, name = scattered(600)
    some = {key: values[:400] for key, values in settings.items()}
    rest = {key: values[400:] for key, values in settings.items()}
    seen, asked = observed(n=400, settings=some), observed(n=200, settings=rest)
    found = Forest(trees=50).fit(seen, aimed(seen, y[:400])).predict(asked)
    inside = (y[400:] >= found.quantiles[:, 0]) & (y[400:] <= found.quantiles[:, -1])
    assert 0.8 < inside.mean() < 0.97
    width = found.quantiles[:, -1] - found.quantiles[:, 0]
    lion = name[400:] == "lion"
    assert np.median(width[lion]) > 3 * np.median(width[~lion])
    assert np.abs(found.mean - y[400:])[~lion].mean() < 0.02


def test_the_forest_answers_probabilities_and_the_prior_where_nothing_is_to_learn():
    draw = stream(0, "doomed")
    rate = draw.uniform(0, 1, 120)
    part = Part("failed_to_learn", {})
    settings = {"optimizer.lr": rate.tolist()}
    seen = observed(n=120, settings=settings, kind="probability", target=part)
    doomed = (rate > 0.7).astype(float)
    found = Forest(trees=40).fit(seen, aimed(seen, doomed)).predict(seen)
    assert found.quantiles is None
    assert np.mean((found.mean - doomed) ** 2) < 0.02
    chance = (draw.uniform(0, 1, 120) < 0.2).astype(float)
    found = Forest(trees=40).fit(seen, aimed(seen, chance)).predict(seen)
    assert np.abs(found.mean - chance.mean()).max() < 0.4
    assert found.mean.min() >= 0


def test_the_forest_takes_numbers_of_any_size():
    settings, y, _ = scattered(60)
    settings["optimizer.huge"] = [1e300, -1e300, 1e-300] * 20
    settings["optimizer.lost"] = [None, 1.0, float("nan")] * 20
    seen = observed(n=60, settings=settings)
    found = Forest(trees=10).fit(seen, aimed(seen, y)).predict(seen)
    assert np.isfinite(found.mean).all()


def test_the_forests_weights_are_those_of_a_forest_without_bagging():
    """Means equal scikit-learn's where every tree learns from every family."""
    settings, y, _ = scattered(40)
    seen = observed(n=40, settings=settings, target=Part("plateau", {}))
    learned = Forest(trees=7).fit(seen, aimed(seen, y))
    rows = learned._filled(learned.encoder.transform(seen.settings))
    expected = np.mean([tree.predict(rows) for tree, *_ in learned.grown], axis=0)
    np.testing.assert_allclose(learned.predict(seen).mean, expected, rtol=1e-12)


def test_a_family_of_one_and_a_fold_of_nothing_are_declined():
    seen = observed(n=3)
    with pytest.raises(Declined, match="fewer than two training families"):
        NearestCurves().fit(seen, aimed(seen, [1, 2, 3], groups=["a", "a", "a"]))
    curves = observed(np.full((3, 40), np.nan), kind="curve", target=REMAINING)
    goal = dataclasses.replace(aimed(curves), curves=(np.ones((3, 5)),))
    with pytest.raises(Declined, match="no training run goes on"):
        Forest().fit(curves, goal)
    for make in (CurvaturePlateau, NoiseProxies):
        with pytest.raises(Declined, match="not a curve"):
            make().fit(curves, goal)
