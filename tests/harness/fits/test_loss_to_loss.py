"""Shifted power laws: known answers, published fits, scipy, simulated errors."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import curve_fit

from harness.fits.loss_to_loss import (
    fit_fixed_floors,
    fit_free_floors,
    shifted_power_law,
)
from harness.measure import DIVERGED, ILL_CONDITIONED, NOT_APPLICABLE, TOO_SHORT
from harness.seeds import stream

L0 = np.linspace(0.35, 1.6, 40)
TRUTH = {"kappa": 1.3, "k": 0.8, "e0": 0.1, "e1": 0.35}
EXACT = shifted_power_law(L0, *TRUTH.values())


def noisy(noise: float, num: int, seed: int = 0) -> np.ndarray:
    return EXACT + noise * stream(seed, "pairs").normal(size=(num, len(L0)))


def cramer_rao(noise: float, fitted: str) -> tuple[dict[str, float], np.ndarray]:
    """Least standard deviations of unbiased estimates, and their correlations."""
    over, power = L0 - 0.1, (L0 - 0.1) ** 1.3
    columns = {
        "kappa": 0.8 * power * np.log(over),
        "k": power,
        "e0": -0.8 * 1.3 * over**0.3,
        "e1": np.ones(40),
    }
    names = fitted.split()
    design = np.stack([columns[q] for q in names], axis=1)
    covariance = noise**2 * np.linalg.inv(design.T @ design)
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviation, deviation)
    return dict(zip(names, deviation, strict=True)), correlation


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as lines:
        return list(csv.DictReader(lines))


def joined(folder: Path, first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses of two corpora at equal numbers of tokens."""
    sweep = read(folder / "loss_to_loss" / "sweep_val_loss.csv")
    left, right = ([r for r in sweep if r["data"] == d] for d in (first, second))
    pairs = [
        (float(a["val_loss"]), float(b["val_loss"]))
        for a in left
        for b in right
        if float(a["tokens"]) == float(b["tokens"])
    ]
    l0, l1 = np.array(pairs).T
    return l0, l1[None]


def test_an_exact_law_is_recovered_with_free_floors() -> None:
    found = fit_free_floors(L0, EXACT[None])
    for quantity, value in TRUTH.items():
        assert found[quantity][0] == pytest.approx(value, abs=1e-4)  # stated
        assert found[quantity][0] == pytest.approx(value, abs=1e-9)  # reached
    assert found["r2"][0] == pytest.approx(1)
    assert found.window[0].tolist() == [0.35, 1.6]


def test_an_exact_law_is_recovered_with_given_floors() -> None:
    found = fit_fixed_floors(L0, EXACT[None], e0=0.1, e1=0.35)
    assert found["kappa"][0] == pytest.approx(1.3, abs=1e-12)
    assert found["k"][0] == pytest.approx(0.8, abs=1e-12)
    held = fit_free_floors(L0, EXACT[None], e0=0.1)
    for quantity, value in TRUTH.items():
        assert held[quantity][0] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("kappa", [0.4, 0.8, 2.5, 5.0])
@pytest.mark.parametrize("e0", [-1.0, 0.0, 0.3, 0.345])
def test_exact_laws_of_many_shapes_are_recovered(kappa: float, e0: float) -> None:
    found = fit_free_floors(L0, shifted_power_law(L0, kappa, 1.7, e0, 0.2)[None])
    assert found["kappa"][0] == pytest.approx(kappa, rel=1e-6)
    assert found["e0"][0] == pytest.approx(e0, abs=1e-6)
    assert found["e1"][0] == pytest.approx(0.2, abs=1e-5)


def test_all_ten_published_fits_are_reproduced(shared_data: Path) -> None:
    rows = read(shared_data / "loss_to_loss" / "published_fits.csv")
    assert len(rows) == 10
    for row in rows:
        l0, l1 = joined(shared_data, row["data_0"], row["data_1"])
        e0, e1 = float(row["E_0"]), float(row["E_1"])
        found = fit_fixed_floors(l0, l1, e0=e0, e1=e1)
        assert found["kappa"][0] == pytest.approx(float(row["kappa"]), abs=1e-10)
        assert found["k"][0] == pytest.approx(float(row["K"]), abs=1e-10)
        assert found.n[0] + found["excluded"][0] == l1.size


def test_the_floors_of_the_published_pairs_are_hardly_determined(
    shared_data: Path,
) -> None:
    rows = read(shared_data / "loss_to_loss" / "published_fits.csv")
    status = []
    for row in rows:
        found = fit_free_floors(*joined(shared_data, row["data_0"], row["data_1"]))
        status.append(str(found.status[0]))
    assert status.count(ILL_CONDITIONED) >= 7


def test_the_errors_are_those_of_curve_fit_and_so_is_the_optimum() -> None:
    l1 = noisy(0.004, 12)
    found = fit_free_floors(L0, l1)
    assert found.ok.all()
    for i, row in enumerate(l1):
        values, covariance = curve_fit(
            lambda x, kappa, k, e0, e1: k * np.maximum(x - e0, 1e-12) ** kappa + e1,
            L0,
            row,
            p0=list(TRUTH.values()),
            xtol=1e-14,
            ftol=1e-14,
        )
        mine = [found[q][i] for q in TRUTH]
        rss = [((shifted_power_law(L0, *p) - row) ** 2).sum() for p in (mine, values)]
        assert rss[0] <= rss[1] * (1 + 1e-10)
        assert mine == pytest.approx(list(values), abs=1e-4)
        for q, error in zip(TRUTH, np.sqrt(np.diag(covariance)), strict=True):
            assert found.errors[q][i] == pytest.approx(error, rel=0.02)
        corr = covariance[0, 2] / np.sqrt(covariance[0, 0] * covariance[2, 2])
        assert found["corr_kappa_e0"][i] == pytest.approx(corr, abs=1e-3)
        assert found["rmse"][i] == pytest.approx(np.sqrt(rss[1] / 36), rel=1e-6)


def test_free_floors_and_exponent_are_correlated_by_minus_point_99() -> None:
    theory, correlation = cramer_rao(0.002, "kappa k e0 e1")
    assert correlation[0, 2] == pytest.approx(-0.99, abs=0.005)
    found = fit_free_floors(L0, noisy(0.002, 800))
    assert found.ok.all()
    assert np.corrcoef(found["kappa"], found["e0"])[0, 1] < -0.98
    for quantity, deviation in theory.items():
        assert found.errors[quantity].mean() == pytest.approx(deviation, rel=0.1)
        assert found[quantity].std() == pytest.approx(deviation, rel=0.15)


def test_noise_of_half_a_hundredth_gives_the_stated_spread_of_free_floors() -> None:
    # Stated for 0.01: sd(kappa) 0.09 and sd(E0) 0.21. The Cramer-Rao bound at 0.01 is
    # 0.14 and 0.34; the stated spread belongs to a noise of about 0.005.
    bound, _ = cramer_rao(0.01, "kappa k e0 e1")
    assert bound["kappa"] == pytest.approx(0.142, abs=0.001)
    assert bound["e0"] == pytest.approx(0.342, abs=0.001)
    found = fit_free_floors(L0, noisy(0.005, 2_000))
    assert found.ok.mean() > 0.98
    assert found["kappa"][found.ok].std() == pytest.approx(0.09, abs=0.015)
    # The floor's own estimate has a long lower tail: 0.21 to 0.26 with the draw.
    assert found["e0"][found.ok].std() == pytest.approx(0.24, abs=0.06)


def test_noise_of_a_hundredth_with_a_given_floor_gives_the_stated_spread() -> None:
    theory, _ = cramer_rao(0.01, "kappa k e1")
    assert theory["kappa"] == pytest.approx(0.02, abs=0.003)
    found = fit_free_floors(L0, noisy(0.01, 1_500), e0=0.1)
    assert found.ok.all()
    assert found["kappa"].std() == pytest.approx(theory["kappa"], rel=0.06)
    assert found.errors["kappa"].mean() == pytest.approx(theory["kappa"], rel=0.03)
    assert (found.errors["e0"] == 0).all()


def test_noise_that_hides_the_floor_is_called_ill_conditioned() -> None:
    share = [
        (fit_free_floors(L0, noisy(s, 300)).status == ILL_CONDITIONED).mean()
        for s in (0.002, 0.01, 0.03)
    ]
    assert share[0] == 0
    assert 0.1 < share[1] < 0.3
    assert share[2] > 0.5
    strict = fit_free_floors(L0, noisy(0.005, 300), max_relative_se=0.03)
    assert strict.ok.mean() < 0.2


def test_errors_of_given_floors_hold_for_noise_in_proportion_to_the_excess() -> None:
    noise = stream(3, "pairs").normal(size=(2_000, 40))
    l1 = 0.35 + (EXACT - 0.35) * np.exp(0.05 * noise)
    found = fit_fixed_floors(L0, l1, e0=0.1, e1=0.35)
    for quantity in ("kappa", "k"):
        error = found.errors[quantity].mean()
        assert error == pytest.approx(found[quantity].std(), rel=0.06)


def test_pairs_at_or_below_a_floor_are_left_out_and_counted() -> None:
    l0 = np.r_[L0, 0.1, 0.05, 1.0]
    l1 = np.r_[EXACT, 1.0, 1.0, 0.35][None]
    found = fit_fixed_floors(l0, l1, e0=0.1, e1=0.35)
    assert found["kappa"][0] == pytest.approx(1.3)
    assert found["excluded"].tolist() == [3]
    assert found.n.tolist() == [40]


def test_each_set_may_use_its_own_pairs_and_floors_and_ignores_its_peers() -> None:
    rng = stream(4, "pairs")
    l0 = rng.uniform(0.5, 2.0, (700, 30))
    floors = rng.uniform(0.0, 0.4, (2, 700))
    kappa = rng.uniform(0.7, 2.0, 700)
    l1 = shifted_power_law(l0.T, kappa, 0.9, *floors).T
    l1 += 1e-4 * rng.normal(size=l1.shape)
    use = rng.uniform(size=l1.shape) < 0.8
    l0[~use] = np.nan
    fixed = fit_fixed_floors(l0, l1, e0=floors[0], e1=floors[1], use=use)
    free = fit_free_floors(l0, l1, use=use)
    np.testing.assert_allclose(fixed["kappa"], kappa, rtol=0.02)
    assert (free.n == use.sum(axis=1)).all()
    for i in (0, 333, 699):
        alone = fit_fixed_floors(
            l0[[i]], l1[[i]], e0=floors[0, i], e1=floors[1, i], use=use[[i]]
        )
        cut = fit_free_floors(l0[i, use[i]], l1[[i]][:, use[i]])
        same = fit_free_floors(l0[[i]], l1[[i]], use=use[[i]])
        assert fixed["kappa"][i] == alone["kappa"][0]
        assert free.status[i] == same.status[0] == cut.status[0]
        for quantity in free.units:
            if free.ok[i]:
                assert free[quantity][i] == same[quantity][0]
                assert free[quantity][i] == pytest.approx(cut[quantity][0], rel=1e-5)


def test_sets_without_an_answer_say_why() -> None:
    l1 = np.tile(EXACT, (5, 1))
    l0 = np.tile(L0, (5, 1))
    use = np.ones(l1.shape, bool)
    l1[1, 7] = np.nan
    use[2, 2:] = False
    l1[3] = 1.0
    l0[4] = 0.7
    expected = ["ok", DIVERGED, TOO_SHORT, ILL_CONDITIONED, ILL_CONDITIONED]
    assert fit_free_floors(l0, l1, use=use).status.tolist() == expected
    fixed = fit_fixed_floors(l0, l1, e0=0.1, e1=0.35, use=use)
    assert fixed.status.tolist() == expected
    use[:] = False
    assert set(fit_free_floors(l0, l1, use=use).status) == {TOO_SHORT}
    held = fit_free_floors(L0, EXACT[None], e0=0.4)
    assert held.status.tolist() == [NOT_APPLICABLE]
    none = fit_fixed_floors(L0, EXACT[None], e0=np.nan, e1=0.35)
    assert none.status.tolist() == [DIVERGED]


def test_a_straight_line_and_an_exponential_do_not_determine_the_floor() -> None:
    # With kappa = 1 any E0 does; an exponential is the law with E0 at minus infinity.
    l1 = np.stack([0.4 + 0.8 * L0, np.exp(2 * L0)])
    assert set(fit_free_floors(L0, l1).status) == {ILL_CONDITIONED}
    held = fit_free_floors(L0, l1[:1], e0=0.1)
    assert held["kappa"] == pytest.approx([1.0])


def test_the_law_is_not_defined_below_its_floor() -> None:
    found = shifted_power_law([0.0, 0.1, 1.1], 2.0, 0.5, 0.1, 0.3)
    np.testing.assert_allclose(found, [np.nan, 0.3, 0.8])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"l1 must be \[sets, pairs\]"):
        fit_free_floors(L0, EXACT)
    with pytest.raises(ValueError, match="l0 must have the shape"):
        fit_free_floors(L0[1:], EXACT[None])
    with pytest.raises(ValueError, match="use must have the shape"):
        fit_free_floors(L0, EXACT[None], use=[True])
    with pytest.raises(ValueError, match=r"e1 must be one number or \[1\]"):
        fit_fixed_floors(L0, EXACT[None], e0=0.1, e1=[0.1, 0.2])
