import numpy as np
import pytest
import torch

from harness.curvature.lanczos import lanczos
from harness.curvature.trace import (
    deflated_hutchinson,
    hutch_plus_plus,
    hutchinson,
)
from harness.curvature.vectors import gaussian, rademacher
from harness.measure import DIVERGED, ILL_CONDITIONED, OK
from tests.harness.curvature.matrices import (
    gapped,
    goe,
    probes,
    products,
    shared,
    with_spectrum,
)

RUNS = 2000


def of_known_variance() -> np.ndarray:
    """Eigenvalues c i^-0.83 of 100 dimensions with ||A||_F^2 = 252.0.

    20 probes have the standard deviations 4.2 (Rademacher) and 5.02 (Gaussian), and
    Hutch++ has about 2.9 with 21 products.
    """
    values = np.arange(1, 101) ** -0.83
    return with_spectrum(values * np.sqrt(252 / (values**2).sum()))


def outside(matrix: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The matrix on the complement of orthonormal columns."""
    keep = np.eye(len(matrix)) - basis @ basis.T
    return keep @ matrix @ keep


def probe_variance(matrix: np.ndarray) -> float:
    """Variance of one Rademacher probe: 2 (||A||_F^2 - sum a_ii^2)."""
    return 2 * ((matrix**2).sum() - (np.diag(matrix) ** 2).sum())


@pytest.mark.parametrize(("kind", "known"), [(rademacher, 4.27), (gaussian, 5.02)])
def test_twenty_probes_scatter_as_the_theory_says(kind, known):
    matrix = of_known_variance()
    of_gaussian = 2 * (matrix**2).sum()
    variance = probe_variance(matrix) if kind is rademacher else of_gaussian
    sd = np.sqrt(variance / 20)
    assert sd == pytest.approx(known, rel=0.02)
    found = hutchinson(shared(matrix), probes(RUNS, 100, kind=kind), 20)
    assert found.products == 20
    trace = found.trace.value
    # The standard deviation of a standard deviation is sd / sqrt(2 runs).
    assert trace.std() == pytest.approx(sd, rel=4 / np.sqrt(2 * RUNS))
    assert trace.mean() == pytest.approx(np.trace(matrix), abs=4 * sd / RUNS**0.5)
    assert np.sqrt((found.trace.se**2).mean()) == pytest.approx(sd, rel=0.05)
    square = found.frobenius_sq
    error = square.value.std() / RUNS**0.5
    assert square.value.mean() == pytest.approx((matrix**2).sum(), abs=4 * error)
    assert np.sqrt((square.se**2).mean()) == pytest.approx(square.value.std(), rel=0.1)
    assert found.covariance.mean() == pytest.approx(
        np.cov(trace, square.value)[0, 1], abs=0.15 * square.value.std() * trace.std()
    )


def test_hutch_plus_plus_scatters_as_the_sketch_says():
    matrix, runs = of_known_variance(), 300
    draw = probes(runs, 100)
    found = hutch_plus_plus(shared(matrix), draw, 21)
    assert found.products == 21
    sketch = np.stack([draw(i).numpy() for i in range(7)], 2)  # [S, P, 7]
    bases = np.linalg.qr(matrix @ sketch[:100])[0]
    variance = np.mean([probe_variance(outside(matrix, q)) / 7 for q in bases])
    assert found.trace.value.var() == pytest.approx(variance, rel=0.25)
    assert np.sqrt(variance) == pytest.approx(2.94, rel=0.05)
    exact = pytest.approx(np.trace(matrix), abs=4 * np.sqrt(variance / runs))
    assert found.trace.value.mean() == exact
    square = found.frobenius_sq.value
    error = square.std() / runs**0.5
    assert square.mean() == pytest.approx((matrix**2).sum(), abs=4 * error)


def test_hutch_plus_plus_is_exact_for_a_rank_within_the_sketch():
    matrix = with_spectrum([5, 4, 3, 2, 1, *95 * [0]])
    found = hutch_plus_plus(products(matrix), probes(1, 100), 18)
    assert found.trace.value[0] / 15 - 1 == pytest.approx(0, abs=2e-15)
    assert found.trace.se[0] < 1e-13
    assert found.frobenius_sq.value[0] == pytest.approx(55, rel=1e-13)


def test_deflation_is_unbiased_with_the_error_it_reports():
    matrix = with_spectrum(gapped())
    runs = 150
    result = lanczos(shared(matrix), probes(runs, 200, purpose="start")(0), 16)
    found = deflated_hutchinson(shared(matrix), result, probes(runs, 200), 16)
    assert found.products == 16
    trace = found.trace.value
    exact, sd = np.trace(matrix), trace.std()
    assert trace.mean() == pytest.approx(exact, abs=4 * sd / runs**0.5)
    assert np.sqrt((found.trace.se**2).mean()) == pytest.approx(sd, rel=0.25)
    basis = result.basis.numpy()
    theory = [
        probe_variance(outside(matrix, basis[:, s].T)) / 16 for s in range(0, runs, 10)
    ]
    assert sd == pytest.approx(np.sqrt(np.mean(theory)), rel=0.25)
    plain = hutchinson(shared(matrix), probes(runs, 200), 32).trace.value
    assert sd < plain.std()
    square = found.frobenius_sq
    error = square.value.std() / runs**0.5
    assert square.value.mean() == pytest.approx((matrix**2).sum(), abs=4 * error)
    assert np.sqrt((square.se**2).mean()) == pytest.approx(square.value.std(), rel=0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_deflation_is_exact_for_a_rank_within_the_steps(dtype):
    matrix = with_spectrum([5, 4, 3, 2, 1, *95 * [0]])
    start = probes(1, 100, purpose="start", dtype=dtype)(0)
    result = lanczos(products(matrix, dtype=dtype), start, 16)
    draw = probes(1, 100, dtype=dtype)
    found = deflated_hutchinson(products(matrix, dtype=dtype), result, draw, 4)
    accuracy = 50 * torch.finfo(dtype).eps
    assert found.trace.value[0] == pytest.approx(15, rel=accuracy)
    assert found.frobenius_sq.value[0] == pytest.approx(55, rel=accuracy)
    assert found.trace.se[0] < 1e-5


def test_a_diagonal_matrix_has_no_error_from_signs():
    found = hutchinson(products(np.diag([1.0, 2, 3])), probes(1, 3), 5)
    assert (found.trace.value[0], found.trace.se[0]) == (6.0, 0.0)


def test_stopping_when_the_mean_stands_still_is_noisier_than_a_fixed_number():
    # The rule of some packages: stop once the running mean moves by less than 1e-3.
    # 200 runs of the same matrix, whose single probes scatter by 16 %.
    rest = goe(100)
    np.fill_diagonal(rest, 0)
    rest *= 16 / np.sqrt(probe_variance(rest))
    matrix = rest + np.eye(100)
    draw = probes(200, 100)
    forms = [(z * shared(matrix)(z)).sum(1).numpy() for z in map(draw, range(200))]
    means = np.cumsum(forms, 0) / np.arange(1, 201)[:, None]
    still = np.abs(np.diff(means, axis=0)) < 1e-3 * np.abs(means[:-1])
    stop = still.argmax(0) + 1
    assert 10 < np.median(stop + 1) < 25
    stopped = means[stop, np.arange(200)].std()
    assert stopped > 2 * means[99].std()
    assert means[99].std() == pytest.approx(1.6, rel=0.2)


@pytest.mark.parametrize("estimate", ["plain", "sketch", "deflated"])
def test_a_runs_trace_ignores_its_neighbours_even_when_they_diverge(estimate):
    matrices = [goe(51, seed) for seed in range(3)]
    draw = probes(3, 51, dtype=torch.float32)

    def run(matrices, draw):
        matvec = products(*matrices, dtype=torch.float32)
        if estimate == "plain":
            return hutchinson(matvec, draw, 6)
        if estimate == "sketch":
            return hutch_plus_plus(matvec, draw, 6)
        return deflated_hutchinson(matvec, lanczos(matvec, draw(99), 4), draw, 6)

    together = run(matrices, draw)
    alone = run(matrices[2:], lambda i: draw(i)[2:])
    sick = run([matrices[0], np.full((51, 51), np.inf), matrices[2]], draw)
    assert sick.trace.status.tolist() == [OK, DIVERGED, OK]
    assert sick.frobenius_sq.status.tolist() == [OK, DIVERGED, OK]
    for field in ("trace", "frobenius_sq"):
        for part in ("value", "se"):
            expected = getattr(getattr(together, field), part)
            assert getattr(getattr(alone, field), part)[0] == expected[2]
            assert getattr(getattr(sick, field), part)[2] == expected[2]


def test_deflation_keeps_the_status_of_lanczos():
    matvec = products(np.eye(9), np.eye(9))
    start = torch.ones(2, 9, dtype=torch.float64)
    start[1] = 0
    found = deflated_hutchinson(matvec, lanczos(matvec, start, 3), probes(2, 9), 2)
    assert found.trace.status.tolist() == [OK, ILL_CONDITIONED]


def test_wrong_budgets_are_named():
    matvec, draw = products(np.eye(3)), probes(1, 3)
    with pytest.raises(ValueError, match="at least 2 for a standard error, got 1"):
        hutchinson(matvec, draw, 1)
    with pytest.raises(ValueError, match="multiple of 3 and at least 6"):
        hutch_plus_plus(matvec, draw, 20)
    with pytest.raises(ValueError, match="got 1"):
        deflated_hutchinson(matvec, lanczos(matvec, draw(0), 2), draw, 1)
