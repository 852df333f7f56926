"""Accuracy on the line: exact lines, another library, counts at the ends."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from harness.fits.on_the_line import fit_line, predict_ood, probit
from harness.measure import ILL_CONDITIONED, TOO_SHORT
from harness.seeds import stream

MANY = 10**15  # images, so that rounding to counts is no noise


def counts(accuracy: np.ndarray, total: int) -> np.ndarray:
    return np.round(accuracy * total).astype(np.int64)


def families(sets: int = 5, models: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = stream(0, "on the line")
    x = rng.normal(1.2, 0.3, (sets, models))
    slopes = np.linspace(0.6, 1.4, sets)[:, None]
    y = -0.5 + slopes * x + 0.05 * rng.normal(size=x.shape)
    return counts(stats.norm.cdf(x), 10_000), counts(stats.norm.cdf(y), 2_000)


def test_an_exact_line_has_r2_of_one_and_its_own_coefficients() -> None:
    x = np.linspace(0.3, 1.7, 20)
    right = counts(stats.norm.cdf(x), MANY)
    shifted = counts(stats.norm.cdf(-0.4 + 0.8 * x), MANY)[None]
    line = fit_line(right, MANY, shifted, MANY)
    assert line["r2"][0] == pytest.approx(1, abs=1e-12)
    assert line["slope"][0] == pytest.approx(0.8, abs=1e-11)
    assert line["intercept"][0] == pytest.approx(-0.4, abs=1e-11)
    assert line.errors["slope"][0] < 1e-11
    forecast = predict_ood(line, right, MANY)
    np.testing.assert_allclose(forecast[0], shifted[0] / MANY, rtol=1e-11)


def test_the_line_and_its_errors_are_those_of_linregress_set_by_set() -> None:
    right, shifted = families()
    line = fit_line(right, 10_000, shifted, 2_000)
    for i, (a, b) in enumerate(zip(right, shifted, strict=True)):
        x = [NormalDist().inv_cdf(c / 10_000) for c in a]
        y = [NormalDist().inv_cdf(c / 2_000) for c in b]
        peer = stats.linregress(x, y)
        assert line["slope"][i] == pytest.approx(peer.slope, rel=1e-9)
        assert line["intercept"][i] == pytest.approx(peer.intercept, rel=1e-9)
        assert line["r2"][i] == pytest.approx(peer.rvalue**2, rel=1e-9)
        assert line.errors["slope"][i] == pytest.approx(peer.stderr, rel=1e-9)
        expected = pytest.approx(peer.intercept_stderr, rel=1e-9)
        assert line.errors["intercept"][i] == expected
        assert line.window[i] == pytest.approx([min(x), max(x)], rel=1e-9)


def test_shared_counts_in_distribution_serve_every_set() -> None:
    right, shifted = families()
    together = fit_line(right[0], 10_000, shifted, 2_000)
    alone = fit_line(right[0], 10_000, shifted[[3]], 2_000)
    assert together["slope"][3] == alone["slope"][0]


def test_only_counts_of_none_and_all_are_moved_and_by_half_an_image() -> None:
    found = probit([0, 1, 500, 999, 1000], 1000)
    expected = [NormalDist().inv_cdf(c / 1000) for c in (0.5, 1, 500, 999, 999.5)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_sets_that_do_not_vary_or_are_too_few_have_no_line() -> None:
    right, shifted = families()
    flat = shifted.copy()
    flat[1] = 1000
    line = fit_line(right, 10_000, flat, 2_000)
    assert line.status.tolist() == ["ok", ILL_CONDITIONED, "ok", "ok", "ok"]
    assert np.isnan(predict_ood(line, [9_000], 10_000)[:, 0]).tolist() == (
        (~line.ok).tolist()
    )
    same = fit_line(np.full(30, 9_000), 10_000, shifted, 2_000)
    assert set(same.status) == {ILL_CONDITIONED}
    few = fit_line(right[:, :2], 10_000, shifted[:, :2], 2_000)
    assert set(few.status) == {TOO_SHORT}


def test_the_errors_cover_the_spread_over_repeated_draws() -> None:
    rng = stream(1, "on the line")
    x = np.tile(np.linspace(0.5, 2.0, 40), (2_000, 1))
    y = -0.3 + 0.9 * x + 0.1 * rng.normal(size=x.shape)
    right, shifted = (counts(stats.norm.cdf(v), MANY) for v in (x, y))
    line = fit_line(right[0], MANY, shifted, MANY)
    assert line["slope"].mean() == pytest.approx(0.9, abs=0.003)
    assert line["slope"].std() == pytest.approx(line.errors["slope"].mean(), rel=0.06)


def test_wrong_counts_and_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="counts of images, not accuracies"):
        probit([0.7], 1000)
    with pytest.raises(ValueError, match="1 counts lie outside"):
        probit([11, 3], 10)
    with pytest.raises(ValueError, match="do not match"):
        fit_line([1, 2], 10, [[1, 2, 3]], 10)
    right, shifted = families()
    with pytest.raises(ValueError, match=r"must be \[Q\]"):
        predict_ood(fit_line(right, 10_000, shifted, 2_000), [[1]], 10)
