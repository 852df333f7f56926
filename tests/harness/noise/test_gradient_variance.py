"""The trace of the gradient covariance, against simulated and exact values."""

import numpy as np
import pytest
import torch

from harness.noise.gradient_moments import gradient_moments
from harness.noise.gradient_variance import gradient_variance


def simulated(
    runs: int, count: int, images: int, seed: int = 0
) -> tuple[torch.Tensor, float, float]:
    """Return micro-batch gradients from N(G, Sigma / b), ||G||^2 and tr Sigma."""
    rng = np.random.default_rng(seed)
    sigma = np.exp(rng.normal(size=50))
    gradient = rng.normal(size=50)
    gradient *= np.sqrt(2.0 / (gradient @ gradient))
    noise = rng.normal(size=(runs, count, 50)) * np.sqrt(sigma / images)
    return torch.from_numpy(gradient + noise), 2.0, float(sigma.sum())


def test_gaussian_gradients_give_the_trace_of_their_covariance() -> None:
    rows, _, trace = simulated(400, 64, images=8)
    found = gradient_variance(gradient_moments([rows], images=8))
    assert found.ok.all()
    assert found.se is not None
    error = found.value.std(ddof=1)
    assert found.value.mean() == pytest.approx(trace, abs=4 * error / np.sqrt(400))
    # The jackknife knows the spread over repetitions.
    assert np.sqrt(np.square(found.se).mean()) == pytest.approx(error, rel=0.1)


@pytest.mark.parametrize("batch", [16, 32])
def test_a_batch_has_the_square_of_the_mean_plus_the_trace_over_its_size(
    batch: int,
) -> None:
    # E ||g_B||^2 = ||G||^2 + tr Sigma / B
    rows, square, trace = simulated(4000, 3, images=batch, seed=1)
    squares = rows.square().sum(-1).numpy().ravel()
    expected = square + trace / batch
    error = squares.std() / np.sqrt(squares.size)
    assert squares.mean() == pytest.approx(expected, abs=4 * error)
    found = gradient_variance(gradient_moments([rows], images=batch)).value.mean()
    assert square + found / batch == pytest.approx(expected, rel=0.01)


def test_micro_batches_of_any_size_agree_in_units_of_an_image() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(1, 40_000, 6)) * [1, 2, 3, 0, 1, 1]
    for size in (1, 4, 20):
        rows = torch.from_numpy(images.reshape(1, -1, size, 6).mean(2))
        found = gradient_variance(gradient_moments([rows], images=size))
        assert found.se is not None
        assert found.value[0] == pytest.approx(16.0, abs=4 * found.se[0])


def test_value_and_error_equal_numpy_and_an_explicit_jackknife() -> None:
    rows, _, _ = simulated(1, 12, images=3)
    found = gradient_variance(gradient_moments([rows], images=3))
    wide = rows[0].numpy()
    assert found.value[0] == pytest.approx(3 * wide.var(0, ddof=1).sum(), rel=1e-12)
    without = [3 * np.delete(wide, i, 0).var(0, ddof=1).sum() for i in range(12)]
    error = np.sqrt(11 * np.var(without))
    assert found.se is not None
    assert found.se[0] == pytest.approx(error, rel=1e-10)


def test_layers_add_up_to_the_whole() -> None:
    rows, _, _ = simulated(2, 12, images=3)
    moments = gradient_moments([rows], images=3, layers=[("a", 20), ("b", 30)])
    parts = [gradient_variance(moments, layer).value for layer in ("a", "b")]
    whole = gradient_variance(moments).value
    np.testing.assert_allclose(parts[0] + parts[1], whole, rtol=1e-12)


def test_equal_gradients_have_no_variance() -> None:
    rows = torch.full((1, 9, 40), 0.1)
    found = gradient_variance(gradient_moments([rows], images=3))
    assert found.value.tolist() == [0.0]
    assert found.status.tolist() == ["ok"]


def test_runs_without_a_value_say_why() -> None:
    rows, _, _ = simulated(3, 9, images=1)
    rows[1, 4, 4] = np.nan
    found = gradient_variance(gradient_moments([rows], images=1))
    assert found.status.tolist() == ["ok", "diverged", "ok"]
    few = gradient_variance(gradient_moments([rows[:, :2]], images=1))
    assert few.status.tolist() == ["too_short"] * 3
