import numpy as np
import pytest

from harness.curvature.lanczos import lanczos
from harness.curvature.participation import (
    absolute_participation,
    participation_ratio,
)
from harness.curvature.spectral_density import spectral_density
from harness.curvature.trace import deflated_hutchinson, hutchinson
from harness.measure import DIVERGED, NOT_APPLICABLE, OK
from tests.harness.curvature.matrices import (
    gapped,
    goe,
    probes,
    products,
    shared,
    with_spectrum,
)


def special() -> list[np.ndarray]:
    """Identity, rank 1, as much negative as positive, zero, not finite."""
    ones = np.full((20, 20), 1 / 20)
    signs = np.diag([1.0, -1.0] * 10)
    return [np.eye(20), 5 * ones, signs, 0 * ones, np.nan * ones]


def test_participation_of_known_matrices():
    matvec, draw = products(*special()), probes(5, 20)
    result = lanczos(matvec, probes(5, 20, purpose="start")(0), 8)
    plain = participation_ratio(hutchinson(matvec, draw, 4))
    deflated = participation_ratio(deflated_hutchinson(matvec, result, draw, 16))
    for found in (plain, deflated):
        assert found.status.tolist() == [OK, OK, OK, NOT_APPLICABLE, DIVERGED]
    # Signs have no error on a diagonal, deflation none on a matrix of low rank.
    np.testing.assert_allclose(plain.value[[0, 2]], [20, 0], atol=1e-12)
    assert deflated.value[1] == pytest.approx(1, abs=1e-12)
    assert deflated.value[0] == pytest.approx(20, rel=0.05)


def test_absolute_participation_of_known_matrices():
    matvec, draw = products(*special()), probes(5, 20)
    density = spectral_density(matvec, draw, steps=8)
    result = lanczos(matvec, probes(5, 20, purpose="start")(0), 8)
    other = probes(5, 20, purpose="other")
    deflated = deflated_hutchinson(matvec, result, other, 4)
    plain = hutchinson(matvec, other, 4)
    found = [
        absolute_participation(plain, density),
        absolute_participation(deflated, density),
    ]
    for each in found:
        assert each.status.tolist() == [OK, OK, OK, NOT_APPLICABLE, DIVERGED]
    np.testing.assert_allclose(found[0].value[[0, 2]], [20, 20], rtol=1e-12)
    assert found[1].value[1] == pytest.approx(1, abs=1e-12)


def test_deflated_participation_is_close_and_says_how_close():
    values = np.array(gapped())
    exact = values.sum() ** 2 / (values**2).sum()
    matvec, runs = shared(with_spectrum(values)), 80
    result = lanczos(matvec, probes(runs, 200, purpose="start")(0), 16)
    found = participation_ratio(
        deflated_hutchinson(matvec, result, probes(runs, 200), 16)
    )
    plain = participation_ratio(hutchinson(matvec, probes(runs, 200), 32))
    spread = found.value.std()
    assert found.value.mean() == pytest.approx(
        exact, abs=4 * spread / runs**0.5, rel=0.01
    )
    assert np.sqrt((found.se**2).mean()) == pytest.approx(spread, rel=0.3)
    assert spread < 0.5 * plain.value.std()


def test_absolute_participation_of_a_semicircle():
    # E|x| = 8 / (3 pi) and E x^2 = 1, so PR / P = 64 / (9 pi^2) = 0.7205.
    matvec, runs = shared(goe(300)), 30
    traces = hutchinson(matvec, probes(runs, 300, purpose="other"), 20)
    density = spectral_density(matvec, probes(runs, 300), probes=5, steps=30)
    exact = 300 * 64 / (9 * np.pi**2)
    found = absolute_participation(traces, density)
    spread = found.value.std()
    error = spread / runs**0.5
    assert found.value.mean() == pytest.approx(exact, abs=4 * error, rel=0.02)
    assert np.sqrt((found.se**2).mean()) == pytest.approx(spread, rel=0.4)
