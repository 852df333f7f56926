from pathlib import Path

import numpy as np
import pytest

from harness.fits.multi_power import (
    MultiPower,
    curve_errors,
    loss_drop,
    multi_power_law,
)
from tests.harness.fits.published_curves import (
    HELD_OUT,
    LAWS,
    TRAINING,
    published_curve,
)

LAW = MultiPower(0.3, 4.0, 0.5, 1.5, 2.0, 0.6, 0.65)


def naive_drop(law: MultiPower, rates: np.ndarray, t: int) -> float:
    drop = 0.0
    for k in range(2, t + 1):
        tail = sum(rates[j - 1] for j in range(k, t + 1))
        if rates[k - 1] > 0:
            kernel = 1 - (1 + law.c * rates[k - 1] ** -law.gamma * tail) ** -law.beta
        else:  # the limit of small rates
            kernel = float(tail > 0)
        drop += (rates[k - 2] - rates[k - 1]) * kernel
    return law.b * drop


SCHEDULES = {
    "cosine": 0.1 + np.cos(np.linspace(0, np.pi / 2, 80)),
    "two stages": np.repeat([1.0, 0.2], 40),
    "a new warm-up": np.r_[np.linspace(0.1, 1, 20), np.linspace(1, 0, 40), np.ones(20)],
    "noise": np.random.default_rng(0).uniform(0.1, 1, 80),
    "ends at 0": np.linspace(1, 0, 80),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_drop_is_the_double_sum_of_the_paper(name: str) -> None:
    rates = SCHEDULES[name]
    at = np.array([80, 1, 2, 40, 41, 60, 79])
    expected = [naive_drop(LAW, rates, int(t)) for t in at]
    np.testing.assert_allclose(loss_drop(LAW, rates, at), expected, atol=1e-10)
    if rates.min() > 0:
        np.testing.assert_allclose(loss_drop(LAW, rates, at), expected, rtol=1e-12)


def test_constant_rate_gives_the_plain_power_law() -> None:
    at = np.array([1, 10, 1000, 20000])
    got = multi_power_law(LAW, np.full(20000, 2.0**-10), at)
    expected = LAW.l0 + LAW.a * (at * 2.0**-10) ** -LAW.alpha
    np.testing.assert_allclose(got, expected, rtol=1e-15)
    assert not loss_drop(LAW, np.full(20000, 2.0**-10), at).any()


def test_two_stages_agree_with_the_closed_form() -> None:
    high, low, switch = 3e-4, 9e-5, 8000
    law = LAWS["25"]
    at = np.r_[switch, switch + 1, switch + 2, switch + np.arange(100, 8001, 500)]
    tail = (at - switch) * low
    drop = law.b * (high - low)
    drop = drop * -np.expm1(-law.beta * np.log1p(law.c * low**-law.gamma * tail))
    expected = law.l0 + law.a * (switch * high + tail) ** -law.alpha - drop
    rates = np.repeat([high, low], switch)
    assert np.abs(multi_power_law(law, rates, at) - expected).max() < 1e-13


def test_a_rise_of_the_rate_adds_to_the_loss() -> None:
    rates = np.repeat([0.1, 1.0], 50)
    drop = loss_drop(LAW, rates, [50, 51, 100])
    assert drop[0] == 0
    assert 0 > drop[1] > drop[2] > -LAW.b * 0.9


def test_a_schedule_may_touch_zero() -> None:
    rates = np.r_[np.linspace(1, 0, 50), np.linspace(0, 1, 50), 0.0]
    loss = multi_power_law(LAW, rates, np.arange(1, 102))
    assert np.isfinite(loss).all()
    steep = LAW._replace(gamma=40.0)
    assert np.isfinite(multi_power_law(steep, rates, np.arange(1, 102))).all()


def test_a_point_does_not_depend_on_its_neighbours() -> None:
    rates = SCHEDULES["noise"]
    all_points = multi_power_law(LAW, rates, np.arange(1, 81))
    assert multi_power_law(LAW, rates, [37])[0] == all_points[36]
    assert multi_power_law(LAW, rates[:37], [37])[0] == all_points[36]


@pytest.mark.parametrize(
    ("rates", "at", "message"),
    [
        (np.ones((2, 3)), [1], r"rates must be \[T\]"),
        ([1.0, np.nan], [1], "finite and >= 0"),
        ([1.0, -1.0], [1], "finite and >= 0"),
        ([1.0, 1.0], [3], r"points must lie in 1 \.\. 2"),
        ([1.0, 1.0], [0], r"points must lie in 1 \.\. 2"),
        ([1.0, 1.0], [1.5], "whole numbers of updates"),
        ([0.0, 1.0], [1], "before the first rate above 0"),
    ],
)
def test_unusable_schedules_are_refused(rates, at, message) -> None:
    with pytest.raises(ValueError, match=message):
        multi_power_law(LAW, rates, at)


def test_curve_errors_by_hand() -> None:
    # errors 0, 1, 2 about losses 1, 2, 4 with mean 7 / 3
    got = curve_errors(np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0]))
    spread = (16 + 1 + 25) / 9
    np.testing.assert_allclose(
        got, [1 - 5 / spread, 1.0, (5 / 3) ** 0.5, 1 / 3, 0.5], rtol=1e-14
    )
    with pytest.raises(ValueError, match="loss and prediction must be"):
        curve_errors(np.ones(2), np.ones(3))


@pytest.mark.parametrize(
    ("size", "printed", "r2", "mae_apart", "share"),
    [
        ("25", "0.9988 0.00376 0.00465 0.00110 0.00409", 0.9988020611, 0.00435, 0.28),
        ("100", "0.9983 0.00435 0.00592 0.00142 0.00583", 0.9983008217, 0.00748, 0.42),
    ],
)
def test_published_parameters_give_the_published_rows(
    shared_data: Path, size, printed, r2, mae_apart, share
) -> None:
    trained = [published_curve(shared_data, size, name) for name in TRAINING]
    seen = {row for c in trained for row in zip(c.at, c.loss, strict=True)}
    rows, apart, shares = [], [], []
    for name in HELD_OUT:
        curve = published_curve(shared_data, size, name)
        predicted = multi_power_law(LAWS[size], curve.rates, curve.at)
        rows.append(curve_errors(curve.loss, predicted))
        # Curves that branch off a training curve repeat its (step, loss).
        new = [row not in seen for row in zip(curve.at, curve.loss, strict=True)]
        apart.append(curve_errors(curve.loss[new], predicted[new]).mae)
        shares.append(1 - np.mean(new))
    mean = np.mean(rows, axis=0)
    assert " ".join([f"{mean[0]:.4f}", *(f"{v:.5f}" for v in mean[1:])]) == printed
    assert abs(mean[0] - r2) < 1e-9
    assert round(float(np.mean(apart)), 5) == mae_apart
    assert round(float(np.mean(shares)), 2) == share
