import numpy as np
import pytest
import torch

from harness.curvature.bulk import bulk_ratio
from harness.curvature.lanczos import extremes, lanczos
from harness.curvature.spectral_density import spectral_density
from harness.measure import DIVERGED, ILL_CONDITIONED, NOT_APPLICABLE, OK
from tests.harness.curvature.matrices import goe, probes, products


def test_an_outlier_of_a_uniform_bulk():
    spectrum = np.array([*np.linspace(0, 1, 999), 10.0])
    low, high = np.quantile(spectrum, [0.005, 0.995])
    exact = (10 - low) / (high - low)
    assert exact == pytest.approx(10.086, abs=5e-4)
    scale = torch.as_tensor(spectrum)

    def matvec(vectors):
        return scale * vectors

    largest = extremes(lanczos(matvec, probes(2, 1000, purpose="start")(0), 12))
    density = spectral_density(matvec, probes(2, 1000), steps=40)
    found = bulk_ratio(largest.largest, density)
    np.testing.assert_allclose(found.value, exact, rtol=5e-3)


def test_no_ratio_without_a_bulk_or_a_largest_eigenvalue():
    matrices = [np.eye(50), goe(50), np.full((50, 50), np.inf), np.diag(range(50))]
    matvec = products(*matrices)
    start = probes(4, 50, purpose="start")(0)
    top = np.linalg.eigh(matrices[1])[1][:, -1].copy()
    start[1] = 1e-4 * start[1] + torch.as_tensor(top)
    largest = extremes(lanczos(matvec, start, 3)).largest
    density = spectral_density(matvec, probes(4, 50))
    found = bulk_ratio(largest, density)
    expected = [NOT_APPLICABLE, OK, DIVERGED, ILL_CONDITIONED]
    assert found.status.tolist() == expected
    assert found.value[1] == pytest.approx(1, abs=0.1)
    with pytest.raises(ValueError, match=r"got 0\.5 and 0\.1"):
        bulk_ratio(largest, density, lower=0.5, upper=0.1)
