"""Gradients at two times, simulated with image noise of known size."""

import numpy as np
import pytest
import torch

from harness.noise.autocorrelation import attenuation, autocorrelation

RUNS, DIM = 20, 20_000


def gradients(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return true gradients at two times, `[RUNS, DIM]`: norms 1, cosine 0.6."""
    first, other = np.linalg.qr(rng.normal(size=(RUNS, DIM, 2)))[0].transpose(2, 0, 1)
    return torch.from_numpy(first), torch.from_numpy(0.6 * first + 0.8 * other)


def noise(rng: np.random.Generator, square: float) -> torch.Tensor:
    """Return noise of the halves, `[RUNS, 2, DIM]`, of squared norm `square` each."""
    scale = np.sqrt(square / DIM)
    return torch.from_numpy(scale * rng.normal(size=(RUNS, 2, DIM)))


@pytest.mark.parametrize(
    ("ratio", "known"), [(0.1, 0.909), (1.0, 0.500), (10.0, 0.0909)]
)
def test_minibatch_cosines_are_attenuated_where_the_correlation_is_not(
    ratio: float, known: float
) -> None:
    rng = np.random.default_rng(0)
    gradient, _ = gradients(rng)
    # Half as many images in a half: twice the noise of the full probe set.
    before = gradient[:, None] + noise(rng, 2 * ratio)
    after = gradient[:, None] + noise(rng, 2 * ratio)
    found = autocorrelation(before, after)
    cosine = found["gradient_cosine"].value
    assert cosine.mean() == pytest.approx(known, abs=0.006)
    assert attenuation(ratio) == pytest.approx(known, abs=5e-4)
    product = found["gradient_product"].value
    error = product.std(ddof=1) / np.sqrt(RUNS)
    assert product.mean() == pytest.approx(1.0, abs=4 * error)
    correlation = found["gradient_correlation"]
    assert correlation.ok.all()
    assert np.median(correlation.value) == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("shared", [1.0, 0.5])
def test_noise_of_the_same_images_does_not_enter_the_product(shared: float) -> None:
    rng = np.random.default_rng(0)
    first, second = gradients(rng)
    common = noise(rng, 2.0)
    before = first[:, None] + common
    after = second[:, None] + shared * common + noise(rng, 2.0 * (1 - shared**2))
    found = autocorrelation(before, after)
    product = found["gradient_product"].value
    error = product.std(ddof=1) / np.sqrt(RUNS)
    assert product.mean() == pytest.approx(0.6, abs=4 * error)
    assert found["gradient_correlation"].value.mean() == pytest.approx(0.6, abs=0.02)
    # The cosine takes the common noise for a common gradient: (0.6 + shared) / 2.
    cosine = found["gradient_cosine"].value.mean()
    assert cosine == pytest.approx((0.6 + shared) / 2, abs=0.01)


def test_values_equal_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    before, after = torch.from_numpy(rng.normal(size=(2, 3, 2, 5)) + 1.0).float()
    found = autocorrelation(before, after)
    for s in range(3):
        a, b = before[s].double().numpy()
        c, d = after[s].double().numpy()
        product = (a @ d + b @ c) / 2
        full, later = (a + b) / 2, (c + d) / 2
        cosine = full @ later / np.linalg.norm(full) / np.linalg.norm(later)
        expected = (product, product / np.sqrt((a @ b) * (c @ d)), cosine)
        for value, one in zip(expected, found.values(), strict=True):
            assert one.value[s] == pytest.approx(value, rel=1e-12)


def test_without_noise_a_gradient_correlates_fully_with_itself() -> None:
    same = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 1, 9)))
    before = same.expand(2, 2, 9)
    found = autocorrelation(before, 1e-20 * before)
    np.testing.assert_allclose(found["gradient_correlation"].value, 1.0, rtol=1e-12)
    np.testing.assert_allclose(found["gradient_cosine"].value, 1.0, rtol=1e-12)


def test_runs_without_a_value_say_why() -> None:
    before = torch.tensor([[[1.0, 0.5], [1.0, 0.0]]]).repeat(5, 1, 1)
    after = before.clone()
    healthy = autocorrelation(before, after)
    after[1, 0] *= -1  # noise hides the gradient
    after[2] = 0.0
    after[3, 1, 1] = torch.inf
    found = autocorrelation(before, after)
    known = {
        "gradient_product": ["ok", "ok", "ok", "diverged", "ok"],
        "gradient_correlation": ["ok", *["ill_conditioned"] * 2, "diverged", "ok"],
        "gradient_cosine": ["ok", "ok", "ill_conditioned", "diverged", "ok"],
    }
    for name, statuses in known.items():
        assert found[name].status.tolist() == statuses
        assert np.array_equal(found[name].value[[0, 4]], healthy[name].value[[0, 4]])


def test_a_run_alone_has_the_same_bits_as_among_others() -> None:
    rng = np.random.default_rng(0)
    before, after = torch.from_numpy(rng.normal(size=(2, 3, 2, 999))).float()
    together = autocorrelation(before, after)
    for s in range(3):
        alone = autocorrelation(before[s : s + 1], after[s : s + 1])
        for name, one in alone.items():
            assert np.array_equal(one.value[0], together[name].value[s], equal_nan=True)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[S, 2, P\] at both times"):
        autocorrelation(torch.ones(1, 3, 4), torch.ones(1, 3, 4))
    with pytest.raises(ValueError, match="expected at least 0"):
        attenuation(-0.1)
