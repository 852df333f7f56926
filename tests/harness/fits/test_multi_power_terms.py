import numpy as np
import pytest

from harness.fits.multi_power import MultiPower, loss_drop
from harness.fits.multi_power_terms import gather_terms
from tests.harness.fits.published_curves import LAWS, published_rates

LAW = MultiPower(0.3, 4.0, 0.5, 1.5, 2.0, 0.6, 0.65)


def gathered(law: MultiPower, rates, at, width: float) -> np.ndarray:
    terms = gather_terms(rates, at, width=width)
    return law.b * terms.drop(law.c, law.beta, law.gamma).value


def test_terms_of_width_zero_are_exact() -> None:
    rates = np.random.default_rng(0).uniform(0, 1, 300)
    rates[100:150] = 0.5
    at = np.array([1, 2, 100, 120, 151, 300])
    exact = loss_drop(LAW, rates, at)
    np.testing.assert_allclose(gathered(LAW, rates, at, 0.0), exact, atol=1e-13)


def test_changes_that_alternate_are_kept_apart() -> None:
    rates = np.random.default_rng(1).uniform(0.1, 1, 300)
    at = np.arange(10, 300, 7)
    np.testing.assert_allclose(
        gathered(LAW, rates, at, 1 / 8), loss_drop(LAW, rates, at), atol=3e-3
    )


def test_jumps_are_exact_at_any_width() -> None:
    rates = np.repeat([1.0, 0.5, 0.05, 0.3], 500)
    at = np.array([1, 500, 501, 700, 1400, 2000])
    exact = loss_drop(LAW, rates, at)
    np.testing.assert_allclose(gathered(LAW, rates, at, 1.0), exact, atol=1e-14)


@pytest.mark.parametrize("name", ["cosine_24000", "wsdld_20000_24000", "wsdcon_3"])
def test_error_falls_with_the_square_of_the_width(name: str) -> None:
    rates = published_rates(name)
    at = np.arange(2177, len(rates), 1280)
    exact = loss_drop(LAWS["25"], rates, at)
    off = [
        np.abs(gathered(LAWS["25"], rates, at, width) - exact).max()
        for width in (1 / 4, 1 / 8, 1 / 16)
    ]
    assert off[1] < 4e-6  # the drop is 0.1 nat, the losses are rounded to 1e-4
    assert off[0] / off[1] > 2.5
    assert off[1] / off[2] > 2.5
    assert len(gather_terms(rates, at).point) < 160 * len(at)


def test_derivatives_agree_with_differences() -> None:
    rates = np.r_[np.linspace(0.1, 1, 30), np.linspace(1, 0.02, 200)]
    terms = gather_terms(rates, np.arange(40, 231, 10))
    drop = terms.drop(2.0, 0.6, 0.65)
    eps = 1e-5
    for got, up, down in [
        (drop.by_log_c, (2 * np.exp(eps), 0.6, 0.65), (2 / np.exp(eps), 0.6, 0.65)),
        (drop.by_beta, (2.0, 0.6 + eps, 0.65), (2.0, 0.6 - eps, 0.65)),
        (drop.by_gamma, (2.0, 0.6, 0.65 + eps), (2.0, 0.6, 0.65 - eps)),
    ]:
        slope = (terms.drop(*up).value - terms.drop(*down).value) / (2 * eps)
        np.testing.assert_allclose(got, slope, rtol=1e-7, atol=1e-9)


def test_extreme_parameters_stay_finite() -> None:
    terms = gather_terms(np.linspace(1, 0, 100), np.arange(1, 101))
    for c, beta, gamma in [(1e300, 50.0, 40.0), (1e-300, 1e-6, -40.0)]:
        for part in terms.drop(c, beta, gamma):
            assert np.isfinite(part).all()


def test_no_change_leaves_no_term() -> None:
    terms = gather_terms(np.ones(50), [1, 50])
    assert len(terms.point) == 0
    assert terms.drop(1.0, 0.5, 0.5).value.tolist() == [0.0, 0.0]
    assert terms.sums.tolist() == [1.0, 50.0]
