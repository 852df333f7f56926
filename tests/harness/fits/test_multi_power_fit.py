from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from harness.fits.huber_lm import huber
from harness.fits.multi_power import DELTA, MultiPower, curve_errors, multi_power_law
from harness.fits.multi_power_fit import (
    NO_PRIOR,
    Prior,
    ScheduledCurve,
    fit_multi_power,
    law_of,
)
from harness.seeds import stream
from tests.harness.fits.published_curves import HELD_OUT, TRAINING, published_curve

TRUTH = MultiPower(0.3, 4.0, 0.5, 1.5, 2.0, 0.6, 0.65)
UPDATES, WARMUP = 3000, 100
SHARE = np.linspace(0, 1, UPDATES - WARMUP)
DECAYS = {
    "cosine": 0.05 + 0.95 * (1 + np.cos(np.pi * SHARE)) / 2,
    "constant": np.ones(len(SHARE)),
    "two stages": np.where(SHARE < 0.5, 1.0, 0.3),
    "three stages": np.select([SHARE < 0.3, SHARE < 0.6], [1.0, 0.5], 0.05),
}


def simulated(name: str, noise: float, last: int = UPDATES) -> ScheduledCurve:
    """A curve of the law with independent noise of ln L."""
    rates = np.r_[np.linspace(0.01, 1, WARMUP), DECAYS[name]]
    at = np.arange(150, last + 1, 25)
    loss = multi_power_law(TRUTH, rates, at)
    rng = stream(0, "test_multi_power_fit/" + name)
    return ScheduledCurve(
        rates=rates, at=at, loss=loss * np.exp(noise * rng.standard_normal(len(at)))
    )


def total_huber(law: MultiPower, curves: list[ScheduledCurve]) -> float:
    return sum(
        float(huber(np.log(multi_power_law(law, c.rates, c.at) / c.loss), DELTA).sum())
        for c in curves
    )


def test_curves_of_the_law_give_their_parameters_back() -> None:
    curves = [simulated(name, 0.0) for name in DECAYS]
    fit = fit_multi_power(curves, prior=NO_PRIOR)
    assert fit.status.tolist() == ["ok"]
    # limited by the gathered terms, 1e-5 nat
    np.testing.assert_allclose(law_of(fit), TRUTH, rtol=0.01)
    assert fit.n.tolist() == [sum(len(c.at) for c in curves)]
    assert fit.window.tolist() == [[150.0, 3000.0]]


def test_noisy_curves_are_fitted_as_well_as_by_scipy_from_the_truth() -> None:
    curves = [simulated(name, 0.002) for name in ("cosine", "three stages")]
    fit = fit_multi_power(curves, prior=NO_PRIOR)

    def residual(p):
        law = MultiPower(p[0], *np.exp(p[1:6]), p[6])
        with np.errstate(invalid="ignore"):
            parts = [
                np.log(multi_power_law(law, c.rates, c.at) / c.loss) for c in curves
            ]
        return np.nan_to_num(np.concatenate(parts), nan=1.0)

    start = [TRUTH[0], *np.log(TRUTH[1:6]), TRUTH[6]]
    oracle = least_squares(
        residual, start, loss="huber", f_scale=DELTA, x_scale="jac", max_nfev=30
    )
    assert total_huber(law_of(fit), curves) <= oracle.cost * (1 + 1e-3)
    off = [abs(fit[n][0] - getattr(TRUTH, n)) / fit.errors[n][0] for n in fit.values]
    assert max(off) < 4


def test_prior_pulls_towards_its_centre() -> None:
    curves = [simulated(name, 0.002) for name in ("cosine", "three stages")]
    hard = Prior(c=3.0, beta=0.4, gamma=0.2, weight_c=1e6, weight_beta=1e6)
    law = law_of(fit_multi_power(curves, prior=hard))
    assert law.c == pytest.approx(3.0, rel=1e-3)
    assert law.beta == pytest.approx(0.4, rel=1e-3)


@pytest.mark.parametrize(
    ("names", "last"),
    [
        (["constant"], UPDATES),
        (["constant", "constant"], UPDATES),
        (["cosine"], UPDATES // 5),
        (["cosine"], UPDATES),
        (["two stages"], UPDATES),
    ],
)
@pytest.mark.parametrize("prior", [None, NO_PRIOR])
def test_curves_that_do_not_fix_the_drop_say_so(names, last, prior) -> None:
    curves = [simulated(name, 0.002, last) for name in names]
    fit = fit_multi_power(curves, prior=prior)
    assert fit.status.tolist() == ["ill_conditioned"]
    assert np.isnan(fit["b"][0])
    with pytest.raises(ValueError, match="'ill_conditioned'"):
        law_of(fit)


def test_unusable_losses_have_a_status() -> None:
    curve = simulated("cosine", 0.002)
    loss = curve.loss.copy()
    loss[5] = 0.0
    bad = ScheduledCurve(rates=curve.rates, at=curve.at, loss=loss)
    assert fit_multi_power([curve, bad]).status.tolist() == ["diverged"]
    few = ScheduledCurve(rates=curve.rates, at=curve.at[:3], loss=loss[:3])
    assert fit_multi_power([few, few]).status.tolist() == ["too_short"]
    with pytest.raises(ValueError, match="no curves given"):
        fit_multi_power([])
    with pytest.raises(ValueError, match="a loss for each point"):
        ScheduledCurve(rates=curve.rates, at=curve.at, loss=loss[:3])


@pytest.mark.parametrize(("size", "printed"), [("25", 0.00376), ("100", 0.00435)])
def test_published_protocol_is_forecast_as_well_as_in_print(
    shared_data: Path, size: str, printed: float
) -> None:
    fit = fit_multi_power([published_curve(shared_data, size, n) for n in TRAINING])
    law = law_of(fit)
    errors = []
    for name in HELD_OUT:
        curve = published_curve(shared_data, size, name)
        keep = slice(None, None, 8)  # every eighth point; the exact sums take seconds
        predicted = multi_power_law(law, curve.rates, curve.at[keep])
        errors.append(curve_errors(curve.loss[keep], predicted).mae)
    assert np.mean(errors) < 1.2 * printed
