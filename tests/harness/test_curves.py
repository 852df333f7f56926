"""Evaluation times, curve buffers, calibration."""

import math

import numpy as np
import pytest
import torch

from harness.curves import CurveBuffer, evaluation_steps
from harness.evaluate import calibration_gaps


@pytest.mark.parametrize(
    ("spe", "per_epoch", "num_steps", "expected"),
    [
        (8, 4, 16, [0, 2, 4, 6, 8, 10, 12, 14, 16]),
        (2, 4, 4, [0, 1, 2, 3, 4]),
        (10, 1, 20, [0, 10, 20]),
    ],
)
def test_evaluations_are_spread_over_an_epoch(spe, per_epoch, num_steps, expected):
    assert evaluation_steps(spe, per_epoch, num_steps) == expected


def test_every_epochs_end_is_evaluated():
    steps = evaluation_steps(7, 3, 35)
    assert set(range(0, 36, 7)) <= set(steps)


def test_curves_end_with_the_last_step_of_their_run():
    buffer = CurveBuffer(["loss"], [0, 3, 6], 2, torch.device("cpu"))
    for i in range(3):
        buffer.write(i, {"loss": torch.tensor([float(i), math.nan])})
    one, two = buffer.curves([6, 4])
    np.testing.assert_array_equal(one["loss"].steps, [0, 3, 6])
    np.testing.assert_array_equal(one["loss"].values, [0, 1, 2])
    np.testing.assert_array_equal(two["loss"].steps, [0, 3])
    assert np.isnan(two["loss"].values).all()


def _ece(confidence: torch.Tensor, correct: torch.Tensor) -> list[float]:
    gaps = calibration_gaps(confidence, correct)
    return (gaps.abs().sum(1) / confidence.shape[1]).tolist()


def test_constant_confidence_gives_the_known_calibration_error():
    correct = torch.arange(10)[None] < 6
    assert _ece(torch.full((1, 10), 0.8), correct) == pytest.approx([0.2])


def test_calibration_error_agrees_with_a_naive_loop():
    numbers = np.random.default_rng(0)
    confidence = numbers.uniform(0.05, 1.0, (3, 200))
    confidence[0, :5] = [1 / 15, 2 / 15, 1.0, 0.2, 0.4]  # right-closed edges
    correct = numbers.random((3, 200)) < confidence
    expected = []
    for s in range(3):
        total = 0.0
        for b in range(15):
            inside = (confidence[s] > b / 15) & (confidence[s] <= (b + 1) / 15)
            if inside.any():
                gap = correct[s][inside].mean() - confidence[s][inside].mean()
                total += inside.sum() / 200 * abs(gap)
        expected.append(total)
    got = _ece(torch.from_numpy(confidence), torch.from_numpy(correct))
    assert got == pytest.approx(expected, abs=1e-12)


def test_a_perfectly_calibrated_model_has_the_known_small_error():
    numbers = np.random.default_rng(1)
    confidence = torch.from_numpy(numbers.uniform(0.1, 1.0, (200, 1000)))
    correct = torch.from_numpy(numbers.random((200, 1000))) < confidence
    assert np.mean(_ece(confidence, correct)) == pytest.approx(0.04, abs=0.02)
