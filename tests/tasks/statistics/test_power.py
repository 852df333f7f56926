import numpy as np
import pytest

from tasks.statistics.power import (
    detectable_correlation,
    detectable_dz,
    effective_n,
)


def test_replicated_runs_count_for_less():
    assert effective_n(432, 3, 0.9) == pytest.approx(154, abs=0.5)
    assert effective_n(108, 3, 0.9) == pytest.approx(38.6, abs=0.05)
    assert effective_n(432, 3, 0.0) == 432
    assert effective_n(432, 3, 1.0) == pytest.approx(144)


@pytest.mark.parametrize(
    ("n", "known"), [(36, 0.45), (72, 0.33), (108, 0.27), (144, 0.23), (432, 0.13)]
)
def test_the_table_of_detectable_correlations(n, known):
    assert detectable_correlation(n) == pytest.approx(known, abs=0.006)


def test_a_detectable_correlation_is_detected_as_often_as_said():
    rho = detectable_correlation(72)
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 4000, 72))
    y = rho * x + np.sqrt(1 - rho**2) * e
    centred = [v - v.mean(axis=1, keepdims=True) for v in (x, y)]
    products = (centred[0] * centred[1]).sum(axis=1)
    r = products / np.sqrt(
        (centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1)
    )
    found = np.arctanh(np.abs(r)) * np.sqrt(69) > 1.959964
    assert found.mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("n", "known"), [(3, 3.26), (5, 1.68), (10, 1.0), (20, 0.66)])
def test_the_table_of_detectable_differences(n, known):
    assert detectable_dz(n) == pytest.approx(known, abs=0.006)


def test_a_stricter_level_needs_a_larger_difference():
    assert detectable_dz(20, alpha=0.01) == pytest.approx(0.84, abs=0.005)


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="needs more than 3 pairs"):
        detectable_correlation(3)
    with pytest.raises(ValueError, match="at least 2 pairs"):
        detectable_dz(1)
    with pytest.raises(ValueError, match=r"power 0.2"):
        detectable_dz(5, power=0.2)
