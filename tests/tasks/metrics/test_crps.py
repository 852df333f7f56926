import numpy as np
import pytest
from scipy import integrate, stats

from tasks.metrics.crps import crps_ensemble, crps_gaussian

RNG = np.random.default_rng(6)


def test_the_closed_form_equals_the_integral():
    assert crps_gaussian([0.0], [0.0], 1.0) == pytest.approx(0.2336950, abs=5e-8)
    for truth, mean, sd in [(1.0, 0.2, 0.5), (-3.0, 0.0, 2.0)]:
        law = stats.norm(mean, sd)
        left = integrate.quad(lambda x, law=law: law.cdf(x) ** 2, -40, truth)[0]
        right = integrate.quad(lambda x, law=law: law.sf(x) ** 2, truth, 40)[0]
        assert crps_gaussian([truth], [mean], [sd]) == pytest.approx(left + right)


def test_the_ensemble_equals_the_double_loop():
    truth, members = RNG.normal(size=4), RNG.normal(size=(4, 7))
    near = np.abs(members - truth[:, None]).mean(axis=1)
    spread = np.abs(members[:, :, None] - members[:, None]).sum(axis=(1, 2))
    standard = crps_ensemble(truth, members, fair=False)
    assert standard == pytest.approx((near - spread / (2 * 49)).mean())
    fair = crps_ensemble(truth, members)
    assert fair == pytest.approx((near - spread / (2 * 42)).mean())


def test_ten_members_expect_the_known_scores():
    # E|X| = sqrt(2/pi), E|X - X'| = 2/sqrt(pi): .29012 and .23370; a simulation of
    # these gave .2904 and .2345.
    members = RNG.normal(size=(40_000, 10))
    truth = np.zeros(len(members))
    standard = crps_ensemble(truth, members, fair=False)
    assert standard == pytest.approx(
        np.sqrt(2 / np.pi) - 0.9 / np.sqrt(np.pi), abs=2e-3
    )
    assert standard == pytest.approx(0.2904, abs=2e-3)
    assert crps_ensemble(truth, members) == pytest.approx(0.2336950, abs=2e-3)


def test_a_fine_uniform_ensemble_has_the_known_score():
    members = (np.arange(2001) + 0.5) / 2001
    score = crps_ensemble([0.5], members[None], fair=False)
    assert score == pytest.approx(1 / 12, abs=1e-6)


def test_ensembles_that_cannot_be_scored_are_refused():
    with pytest.raises(ValueError, match="M of at least 2"):
        crps_ensemble([0.0], [[1.0]])
    with pytest.raises(ValueError, match=r"sd is 0.0 in row 0; expected a positive"):
        crps_gaussian([0.0], [1.0], [0.0])
