import numpy as np
import pytest
import torch

from harness.curvature.vectors import (
    Products,
    combine,
    coordinates,
    gaussian,
    norm,
    project_out,
    rademacher,
)
from harness.measure import DIVERGED, OK


@pytest.mark.parametrize("draw", [rademacher, gaussian])
def test_a_runs_vectors_depend_on_its_seed_the_purpose_and_the_index_only(draw):
    first = draw([3, 5], 101, 7, purpose="start")
    assert torch.equal(first[1:], draw([5], 101, 7, purpose="start"))
    for other in (
        draw([3, 5], 101, 8, purpose="start"),
        draw([3, 5], 101, 7, purpose="probe"),
        first.flip(0),
    ):
        assert not torch.equal(first, other)


def test_random_vectors_have_mean_zero_and_unit_covariance():
    signs = rademacher(range(4), 10_000, 0)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    for rows in (signs, gaussian(range(4), 10_000, 0)):
        cov = (rows @ rows.T / 10_000).numpy()
        np.testing.assert_allclose(cov, np.eye(4), atol=5 * 2**0.5 / 100)
        assert rows.mean(1).abs().max() < 5 / 100


def test_random_numbers_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    rademacher([0], 5, 0)
    gaussian([0], 5, 0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dim", [5, 600, 40_001])
def test_projection_equals_least_squares_and_ignores_the_neighbours(dim):
    basis = gaussian(range(3), 4 * dim, 0).reshape(3, 4, dim)
    basis = torch.linalg.qr(basis.transpose(1, 2))[0].permute(2, 0, 1).contiguous()
    rows = gaussian(range(3), dim, 1, dtype=torch.float64)
    rest = rows.clone()
    removed = project_out(rest, basis)
    for s in range(3):
        matrix = basis[:, s].double().numpy().T
        answer = np.linalg.lstsq(matrix, rows[s].numpy(), rcond=None)[0]
        np.testing.assert_allclose(removed[s].numpy(), answer, atol=1e-5)
        np.testing.assert_allclose(matrix.T @ rest[s].numpy(), 0, atol=1e-10)
        alone = rows[s : s + 1].clone()
        assert torch.equal(project_out(alone, basis[:, s : s + 1])[0], removed[s])
        assert torch.equal(alone[0], rest[s])


def test_coordinates_and_combination_are_sums_over_the_vectors():
    basis, rows = gaussian([0, 1], 90, 0).reshape(3, 2, 30), gaussian([0, 1], 30, 1)
    found = coordinates(basis, rows)
    np.testing.assert_allclose(
        found, torch.einsum("ksp,sp->sk", basis.double(), rows.double()), rtol=1e-12
    )
    back = combine(basis, found, torch.zeros(2, 30, dtype=torch.float64))
    np.testing.assert_allclose(
        back, torch.einsum("ksp,sk->sp", basis.double(), found), rtol=1e-12
    )


def test_products_blank_the_runs_that_are_not_finite_for_good():
    scale = torch.tensor([[1.0], [float("nan")], [2.0]])
    product = Products(lambda v: scale * v, torch.ones(3, 4))
    assert norm(product(torch.ones(3, 4))).tolist() == [2.0, 0.0, 4.0]
    scale[1] = 1.0
    assert product(torch.ones(3, 4))[1].abs().sum() == 0
    assert product.count == 2
    assert product.status().tolist() == [OK, DIVERGED, OK]


def test_a_product_of_another_shape_is_refused():
    product = Products(lambda v: v[:, 1:], torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"got \(3, 3\) from \(3, 4\)"):
        product(torch.ones(3, 4))
