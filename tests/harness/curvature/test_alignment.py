import numpy as np
import pytest
import torch

from harness.curvature.alignment import gradient_alignment
from harness.curvature.lanczos import lanczos
from harness.curvature.vectors import gaussian
from harness.measure import DIVERGED, ILL_CONDITIONED, NOT_APPLICABLE, OK
from tests.harness.curvature.matrices import probes, products, shared, with_spectrum


def ten_outliers(dim: int) -> np.ndarray:
    bulk = np.random.default_rng(0).uniform(0, 1, dim - 10)
    return with_spectrum([*np.linspace(5, 14, 10), *bulk])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_alignment_is_the_share_of_the_gradient_in_the_eigenspace(dtype):
    matrix = ten_outliers(200)
    top = np.linalg.eigh(matrix)[1][:, ::-1]
    inside, outside = top[:, 0], top[:, 50]
    rows = np.stack([inside, outside, 3 * inside + 4 * outside, top[:, 10]])
    gradient = torch.as_tensor(rows.copy(), dtype=dtype)
    result = lanczos(shared(matrix, dtype), probes(4, 200, dtype=dtype)(0), 40)
    found = gradient_alignment(gradient, result)
    np.testing.assert_allclose(found.value, [1, 0, 9 / 25, 0], atol=1e-6)
    assert (found.value <= 1).all()


def test_random_gradients_align_by_chance():
    matvec = shared(ten_outliers(1000))
    found = gradient_alignment(
        gaussian(range(40), 1000, 0, dtype=torch.float64),
        lanczos(matvec, probes(40, 1000)(0), 32),
    )
    # Beta(k / 2, (P - k) / 2): mean k / P = .01, sd .0044.
    error = 0.0044 / 40**0.5
    assert found.value.mean() == pytest.approx(0.01, abs=4 * error)


def test_no_alignment_without_converged_vectors_or_a_gradient():
    matrix = ten_outliers(200)
    sick = np.full((200, 200), np.nan)
    flat = with_spectrum(np.linspace(0, 1, 200))
    matvec = products(matrix, matrix, matrix, sick, flat, np.eye(200))
    gradient = torch.ones(6, 200, dtype=torch.float64)
    gradient[1] = 0
    gradient[2, 5] = np.inf
    result = lanczos(matvec, probes(6, 200)(0), 40)
    assert gradient_alignment(gradient, result).status.tolist() == [
        OK,
        NOT_APPLICABLE,
        DIVERGED,
        DIVERGED,
        ILL_CONDITIONED,
        ILL_CONDITIONED,
    ]


def test_wrong_arguments_are_named():
    result = lanczos(products(np.eye(5)), probes(1, 5)(0), 4)
    with pytest.raises(ValueError, match=r"must be 1\.\.4 .* got 10 and \[1, 5\]"):
        gradient_alignment(torch.ones(1, 5), result)
    with pytest.raises(ValueError, match=r"gradient \[1, 5\], got 2 and \[1, 6\]"):
        gradient_alignment(torch.ones(1, 6), result, count=2)
