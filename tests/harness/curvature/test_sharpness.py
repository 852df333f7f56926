import numpy as np
import pytest
import torch
from torch import Tensor

from harness.curvature.sharpness import Sharpness, sharpness
from harness.measure import DIVERGED
from tests.harness.curvature.matrices import probes

SPECTRUM = (10.0, 1.0, 0.1)
SLOPE = (0.05, 0.2, -0.1)


def of_quadratics(
    curvatures: list[tuple[float, ...]], slopes: list[tuple[float, ...]], radius: float
) -> Sharpness:
    """Sharpness of g x + sum lambda x^2 / 2, one such loss a run."""
    bend = torch.tensor(curvatures, dtype=torch.float64)
    slope = torch.tensor(slopes, dtype=torch.float64)

    def loss_at(x: Tensor) -> Tensor:
        return 7 + (slope * x + bend * x**2 / 2).sum(1)

    def gradient_at(x: Tensor) -> Tensor:
        return slope + bend * x

    return sharpness(loss_at, gradient_at, probes(*bend.shape), radius)


def exact_rise(
    curvature: tuple[float, ...], slope: tuple[float, ...], radius: float
) -> float:
    """max of g x + sum lambda x^2 / 2 on the sphere, by its secular equation.

    The maximum has x_i = g_i / (mu - lambda_i) with mu > lambda_1 and |x| = radius.
    """
    bend, g = np.array(curvature), np.array(slope)
    low, high = bend.max() + 1e-12, bend.max() + 1e3
    for _ in range(200):
        mu = (low + high) / 2
        too_long = np.linalg.norm(g / (mu - bend)) > radius
        low, high = (mu, high) if too_long else (low, mu)
    x = g / (mu - bend)
    return float(g @ x + bend @ x**2 / 2)


def test_at_a_minimum_it_is_half_the_largest_eigenvalue_times_the_radius_squared():
    found = of_quadratics([SPECTRUM], [(0.0, 0.0, 0.0)], 0.1)
    assert found.rise.value == pytest.approx(0.05, rel=1e-6)
    assert found.one_step.value == 0


def test_with_a_gradient_it_is_the_exact_maximum_and_one_step_finds_half():
    found = of_quadratics([SPECTRUM], [SLOPE], 0.1)
    assert exact_rise(SPECTRUM, SLOPE, 0.1) == pytest.approx(0.057584, abs=5e-7)
    assert found.rise.value == pytest.approx(0.057584, abs=5e-7)
    assert found.one_step.value == pytest.approx(0.029199, abs=5e-7)


@pytest.mark.parametrize("radius", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("bend", [(3.0, 2, -5), (-1.0, -2, -4), (5.0, 4.5, -5)])
def test_it_finds_the_best_of_many_points_of_the_ball(bend, radius):
    found = of_quadratics([bend], [SLOPE], radius)
    numbers = np.random.default_rng(0)
    points = numbers.normal(size=(3, 100_000))
    points *= radius * numbers.random(100_000) / np.linalg.norm(points, axis=0)
    rises = np.array(SLOPE) @ points + np.array(bend) @ points**2 / 2
    assert found.rise.value[0] >= 0.98 * rises.max()


def test_a_run_does_not_depend_on_its_neighbours():
    alone = of_quadratics([SPECTRUM], [SLOPE], 0.1)
    among = of_quadratics(
        [SPECTRUM, (1.0, 2.0, 3.0), (float("nan"), 1.0, 1.0)], [SLOPE] * 3, 0.1
    )
    assert among.rise.value[0] == alone.rise.value[0]
    assert among.rise.status[2] == DIVERGED


def test_a_radius_of_zero_is_refused():
    with pytest.raises(ValueError, match="radius must be positive"):
        of_quadratics([SPECTRUM], [SLOPE], 0.0)
