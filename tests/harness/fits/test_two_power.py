import numpy as np
import pytest
from scipy.optimize import least_squares

from harness.fits.multi_power import DELTA, MultiPower, multi_power_law
from harness.fits.multi_power_terms import gather_terms
from harness.fits.two_power import fit_two_power
from harness.seeds import stream

WARMUP, UPDATES = 98, 2000
STEP = np.arange(UPDATES - WARMUP)
COSINE = np.r_[np.linspace(0.01, 1, WARMUP), (1 + np.cos(np.pi * STEP / len(STEP))) / 2]
CONSTANT = np.r_[np.linspace(0.01, 1, WARMUP), np.ones(len(STEP))]
AT = np.arange(120, UPDATES + 1, 20)
NAMES = ("l0", "a", "alpha", "b")


def laws(num: int) -> list[MultiPower]:
    rng = stream(0, "test_two_power")
    return [
        MultiPower(*rng.uniform([0, 2, 0.3, 0.1], [1, 6, 0.8, 0.6]), 1.0, 0.5, 0.5)
        for _ in range(num)
    ]


def curves(num: int, noise: float, rates: np.ndarray = COSINE) -> np.ndarray:
    rng = stream(1, "test_two_power")
    loss = np.array([multi_power_law(law, rates, AT) for law in laws(num)])
    return loss * np.exp(noise * rng.standard_normal(loss.shape))


def test_exact_curves_give_their_parameters_back() -> None:
    fit = fit_two_power(curves(20, 0.0), COSINE, AT)
    assert fit.ok.all()
    for name in NAMES:
        # as close as the gathered terms are to the exact drop
        expected = [getattr(law, name) for law in laws(20)]
        np.testing.assert_allclose(fit[name], expected, rtol=5e-3, atol=5e-4)


def test_minimum_agrees_with_scipy() -> None:
    loss = curves(10, 0.003)
    fit = fit_two_power(loss, COSINE, AT)
    terms = gather_terms(COSINE, AT)
    drop = terms.drop(1.0, 0.5, 0.5).value

    def residual(p, row):
        power = np.exp(p[1] - np.exp(p[2]) * np.log(terms.sums))
        return np.log(np.maximum(p[0] + power - p[3] * drop, 1e-9) / row)

    for i, law in enumerate(laws(10)):
        truth = [law.l0, np.log(law.a), np.log(law.alpha), law.b]
        oracle = least_squares(
            residual, truth, loss="huber", f_scale=DELTA, args=(loss[i],),
            xtol=1e-15, ftol=1e-15, gtol=1e-15,
        )  # fmt: skip
        found = [fit["l0"][i], np.log(fit["a"][i]), np.log(fit["alpha"][i])]
        ours = residual([*found, fit["b"][i]], loss[i])
        cost = np.where(
            abs(ours) < DELTA, ours**2 / 2, DELTA * (abs(ours) - DELTA / 2)
        ).sum()
        assert cost <= oracle.cost * (1 + 1e-8)


def test_errors_are_as_wide_as_the_scatter() -> None:
    rng = stream(2, "test_two_power")
    law = laws(1)[0]
    loss = multi_power_law(law, COSINE, AT) * np.exp(
        0.002 * rng.standard_normal((300, len(AT)))
    )
    fit = fit_two_power(loss, COSINE, AT)
    assert fit.ok.all()
    for name in NAMES:
        z = (fit[name] - getattr(law, name)) / fit.errors[name]
        assert np.std(z) == pytest.approx(1.0, abs=0.2)


def test_a_row_is_the_same_alone_and_in_company() -> None:
    loss = curves(7, 0.003)
    together = fit_two_power(loss, COSINE, AT)
    alone = fit_two_power(loss[3:4], COSINE, AT)
    for name in NAMES:
        assert alone[name][0] == together[name][3]
        assert alone.errors[name][0] == together.errors[name][3]


def test_constant_rates_do_not_determine_the_drop() -> None:
    loss = curves(5, 0.002, CONSTANT)
    assert (fit_two_power(loss, CONSTANT, AT).status == "ill_conditioned").all()
    plain = fit_two_power(loss, CONSTANT, AT, with_drop=False)
    assert plain.ok.all()
    assert "b" not in plain.values


def test_windows_a_curve_and_their_reasons() -> None:
    loss = curves(5, 0.002)
    loss[1, -1] = np.nan  # outside the window of this row
    loss[2, 10] = -1.0
    loss[3, 10] = np.inf
    fit = fit_two_power(
        loss,
        COSINE,
        AT,
        first=[120, 300, 120, 120, 1900],
        last=[2000, 1900, *[2000] * 3],
    )
    reasons = ["ok", "ok", "diverged", "diverged", "ill_conditioned"]
    assert fit.status.tolist() == reasons
    assert fit.n[1] == ((AT >= 300) & (AT <= 1900)).sum()
    assert fit.window[1].tolist() == [300.0, 1900.0]
    short = fit_two_power(loss, COSINE, AT, last=200)
    assert (short.status == "too_short").all()


def test_no_curves_give_no_rows() -> None:
    assert len(fit_two_power(np.zeros((0, len(AT))), COSINE, AT)) == 0


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"loss must be \[N, 95\]"):
        fit_two_power(np.ones((2, 3)), COSINE, AT)
