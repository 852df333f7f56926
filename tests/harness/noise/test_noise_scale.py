"""The noise scale, against its definition and simulated gradients."""

import numpy as np
import pytest
import torch

from harness.noise.gradient_moments import gradient_moments
from harness.noise.noise_scale import (
    averaged_noise_scale,
    noise_scale,
    signal_and_noise,
)

SCALE = 17.370


def simulated(runs: int, count: int, images: int) -> torch.Tensor:
    """Return gradients with 50 coordinates whose noise scale is 17.370 images."""
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.2, 2.0, 50)
    gradient = rng.normal(size=50)
    gradient *= np.sqrt(sigma.sum() / SCALE / (gradient @ gradient))
    noise = rng.normal(size=(runs, count, 50)) * np.sqrt(sigma / images)
    return torch.from_numpy(gradient + noise)


def test_the_ratio_of_averages_is_right_where_the_mean_of_ratios_is_not() -> None:
    rows = simulated(20_000, 9, 4)
    found = noise_scale(gradient_moments([rows], images=4, logs=False))
    signal, noise = (
        found[key].value for key in ("gradient_square", "gradient_variance")
    )
    averaged = averaged_noise_scale(signal[None], noise[None])
    assert averaged.se is not None
    assert averaged.se[0] < 0.05
    assert averaged.value[0] == pytest.approx(SCALE, abs=4 * averaged.se[0])
    # The mean of ratios exceeds by the squared relative error of ||G||^2, 6.5 %.
    bias = found["noise_scale"].value.mean() / SCALE - 1
    assert bias == pytest.approx(0.065, abs=0.01)
    assert bias == pytest.approx(signal.var() / signal.mean() ** 2, rel=0.4)


def test_the_parts_follow_the_two_batch_formulas() -> None:
    rows = simulated(3, 12, images=4)
    found = noise_scale(gradient_moments(rows.split(5, 1), images=4))
    wide = rows.numpy()
    small = np.square(wide).sum(2).mean(1)
    big = np.square(wide.mean(1)).sum(1)
    signal = (48 * big - 4 * small) / (48 - 4)
    noise = (small - big) / (1 / 4 - 1 / 48)
    np.testing.assert_allclose(found["gradient_square"].value, signal, rtol=1e-10)
    np.testing.assert_allclose(found["gradient_variance"].value, noise, rtol=1e-10)
    np.testing.assert_allclose(found["noise_scale"].value, noise / signal, rtol=1e-10)
    both = signal_and_noise(small, big, 4, 48)
    np.testing.assert_allclose(both.signal, signal, rtol=1e-12)
    np.testing.assert_allclose(both.noise, noise, rtol=1e-12)


def test_errors_equal_an_explicit_jackknife() -> None:
    rows = simulated(1, 12, images=4)
    found = noise_scale(gradient_moments([rows], images=4))
    kept = [
        noise_scale(
            gradient_moments(
                [torch.cat([rows[:, :i], rows[:, i + 1 :]], 1)],
                images=4,
            )
        )
        for i in range(12)
    ]
    for key in ("gradient_square", "gradient_variance"):
        error = np.sqrt(11 * np.var([each[key].value[0] for each in kept]))
        assert found[key].se[0] == pytest.approx(error, rel=1e-9)
    # The ratio's error is that of its linear part.
    error = np.sqrt(11 * np.var([each["noise_scale"].value[0] for each in kept]))
    assert found["noise_scale"].se[0] == pytest.approx(error, rel=0.2)


def test_errors_match_the_spread_of_repetitions() -> None:
    found = noise_scale(gradient_moments([simulated(500, 64, 8)], images=8, logs=False))
    for key, one in found.items():
        assert one.se is not None
        error = np.sqrt(np.square(one.se).mean())
        assert error == pytest.approx(one.value.std(ddof=1), rel=0.12), key


@pytest.mark.slow
def test_error_of_the_average_matches_the_spread_of_repetitions() -> None:
    rows = simulated(20_000, 9, 4)
    found = noise_scale(gradient_moments([rows], images=4, logs=False))
    parts = [
        found[key].value.reshape(1000, 20)
        for key in ("gradient_square", "gradient_variance")
    ]
    averaged = averaged_noise_scale(*parts)
    assert averaged.se is not None
    spread = averaged.value.std(ddof=1)
    assert np.sqrt(np.square(averaged.se).mean()) == pytest.approx(spread, rel=0.1)


def test_a_gradient_hidden_by_noise_has_no_scale_but_may_be_averaged() -> None:
    rows = torch.tensor([[[1.0], [-1.0], [1.0], [-1.0]], [[3.0], [4.0], [5.0], [4.0]]])
    found = noise_scale(gradient_moments([rows], images=1))
    assert found["gradient_square"].value[0] == pytest.approx(-1 / 3)
    assert found["gradient_square"].ok.all()
    assert found["noise_scale"].status.tolist() == ["ill_conditioned", "ok"]
    averaged = averaged_noise_scale([[-1.0, 2.0, 2.0]], [[1.0, 2.0, 3.0]])
    assert averaged.value.tolist() == [2.0]
    hidden = averaged_noise_scale([[-1.0, 0.0, 1.0]], [[1.0, 2.0, 3.0]])
    assert hidden.status.tolist() == ["ill_conditioned"]


def test_layers_are_measured_apart() -> None:
    rows = simulated(2, 9, images=4)
    moments = gradient_moments([rows], images=4, layers=[("a", 20), ("b", 30)])
    alone = noise_scale(gradient_moments([rows[:, :, 20:]], images=4))
    for key, one in noise_scale(moments, "b").items():
        np.testing.assert_allclose(one.value, alone[key].value, rtol=1e-12)


def test_runs_without_a_value_say_why() -> None:
    rows = simulated(3, 9, images=4)
    healthy = noise_scale(gradient_moments([rows], images=4))
    rows[1, 2] = torch.inf
    for key, one in noise_scale(gradient_moments([rows], images=4)).items():
        assert one.status.tolist() == ["ok", "diverged", "ok"]
        assert np.array_equal(one.value[[0, 2]], healthy[key].value[[0, 2]])
    few = noise_scale(gradient_moments([rows[:, :2]], images=4))
    assert {status for one in few.values() for status in one.status} == {"too_short"}
    broken = averaged_noise_scale(
        [[1.0, np.inf, -np.inf], [1.0, 1.0, 1.0]], np.ones((2, 3))
    )
    assert broken.status.tolist() == ["diverged", "ok"]
    assert averaged_noise_scale([[1.0]], [[1.0]]).status.tolist() == ["too_short"]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 < small < big"):
        signal_and_noise(np.ones(1), np.ones(1), 8, 8)
    with pytest.raises(ValueError, match=r"expected \[S, T\] for both"):
        averaged_noise_scale([1.0], [1.0])
