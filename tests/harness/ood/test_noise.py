import numpy as np
import pytest
import torch

from harness.ood import noise
from harness.ood.draws import Draws

CPU = torch.device("cpu")
GREY = torch.full((200, 3, 32, 32), 0.4, dtype=torch.float64)
NUM = GREY.numel()


def test_gaussian_noise_has_the_given_variance_and_no_mean() -> None:
    added = noise.gaussian_noise(GREY, (0.08,), Draws("a", 1, CPU)) - GREY
    assert abs(added.mean()) < 4 * 0.08 / NUM**0.5
    # The sample variance of normal numbers has relative standard error sqrt(2 / n).
    assert added.var() == pytest.approx(0.08**2, rel=4 * (2 / NUM) ** 0.5)


def test_shot_noise_counts_photons() -> None:
    noisy = noise.shot_noise(GREY, (50,), Draws("a", 1, CPU))
    counts = noisy * 50
    assert torch.allclose(counts, counts.round())
    assert noisy.mean() == pytest.approx(0.4, abs=4 * (0.4 / 50 / NUM) ** 0.5)
    assert noisy.var() == pytest.approx(0.4 / 50, rel=0.01)
    assert noise.shot_noise(0 * GREY, (50,), Draws("a", 1, CPU)).max() == 0


def test_impulse_noise_hits_channels_independently() -> None:
    noisy = noise.impulse_noise(GREY, (0.05,), Draws("a", 1, CPU))
    hit = noisy != GREY
    spread = 4 * (0.025 / NUM) ** 0.5
    assert (noisy == 0).double().mean() == pytest.approx(0.025, abs=spread)
    assert (noisy == 1).double().mean() == pytest.approx(0.025, abs=spread)
    assert hit.sum() == (noisy == 0).sum() + (noisy == 1).sum()
    both = (hit[:, 0] & hit[:, 1]).double().mean()
    assert both == pytest.approx(0.05**2, rel=0.2)


def test_speckle_noise_is_proportional_to_the_value() -> None:
    bright = noise.speckle_noise(GREY, (0.2,), Draws("a", 1, CPU)) - GREY
    dark = noise.speckle_noise(GREY / 4, (0.2,), Draws("a", 1, CPU)) - GREY / 4
    assert bright.std() == pytest.approx(0.2 * 0.4, rel=0.01)
    assert torch.allclose(dark, bright / 4)


def test_draws_do_not_depend_on_how_they_are_cut_up() -> None:
    whole, parts = Draws("a", 3, CPU), Draws("a", 3, CPU)
    for kind in ("normal", "uniform"):
        numbers = getattr(whole, kind)(kind, 7, 5, 3)
        pieces = [getattr(parts, kind)(kind, n, 5, 3) for n in (1, 4, 2)]
        assert torch.equal(numbers, torch.cat(pieces))
    pieces = [parts.integers("i", -2, 2, n, 9) for n in (3, 97)]
    numbers = whole.integers("i", -2, 2, 100, 9)
    assert torch.equal(numbers, torch.cat(pieces))
    assert sorted(np.unique(numbers)) == [-2, -1, 0, 1]
    rate = torch.linspace(0, 500, 100, dtype=torch.float64).reshape(10, 10)
    pieces = [parts.poisson("p", rate[:3]), parts.poisson("p", rate[3:])]
    assert torch.equal(whole.poisson("p", rate), torch.cat(pieces))


def test_corruptions_severities_and_kinds_draw_differently() -> None:
    first = Draws("a", 1, CPU).normal("x", 4)
    for other in (Draws("b", 1, CPU), Draws("a", 2, CPU)):
        assert not torch.equal(first, other.normal("x", 4))
    assert not torch.equal(first, Draws("a", 1, CPU).normal("y", 4))
