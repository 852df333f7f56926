"""Sums of losses: known answers, naive loops, and that nothing looks ahead."""

import numpy as np
import pytest

from harness.fits.sotl import moving_average_of_losses, sum_of_losses
from harness.measure import DIVERGED, NO_WINDOW, TOO_SHORT
from harness.seeds import stream

HARMONIC = np.repeat(1 / np.arange(1, 11), 4)[None]  # 1/epoch, 10 epochs of 4 steps


def noisy(num: int = 6, steps: int = 40) -> np.ndarray:
    return stream(0, "sotl").gamma(2.0, 0.5, (num, steps))


def naive_average(means: list[float], mu: float, summed: bool) -> float:
    history = [means[0]]
    for mean in means[1:]:
        history.append(history[-1] * (1 - mu) + mu * mean)
    return sum(history) if summed else history[-1]


def test_a_constant_loss_sums_to_the_loss_times_the_epochs() -> None:
    found = sum_of_losses(np.full((2, 70), 0.7), 7)
    assert found["tse"] == pytest.approx([7.0, 7.0], rel=1e-14)
    assert (found["predictor"] == -found["tse"]).all()
    assert found.units["tse"] == "nats"
    assert found.at(0, "tse").se is None


def test_one_over_t_gives_the_harmonic_number_and_its_last_term() -> None:
    assert sum_of_losses(HARMONIC, 4)["tse"][0] == pytest.approx(2.928968, abs=5e-7)
    assert sum_of_losses(HARMONIC, 4, last_epochs=1)["tse"][0] == pytest.approx(0.1)
    two = sum_of_losses(HARMONIC, 4, last_epochs=2)
    assert two["tse"][0] == pytest.approx(1 / 9 + 1 / 10)
    assert two.window.tolist() == [[33.0, 40.0]]


@pytest.mark.parametrize(("mu", "summed"), [(0.9, False), (0.99, True), (1.0, False)])
def test_the_moving_average_is_the_recursion_over_epoch_means(
    mu: float, summed: bool
) -> None:
    loss = noisy()
    found = moving_average_of_losses(loss, 8, mu=mu, summed=summed)
    for row, value in zip(loss, found["tse"], strict=True):
        means = [row[i : i + 8].mean() for i in range(0, 40, 8)]
        assert value == pytest.approx(naive_average(means, mu, summed), rel=1e-13)


def test_the_moving_average_of_two_epochs_is_as_its_example_says() -> None:
    loss = [[1.0, 1.0, 0.5, 0.5]]
    assert moving_average_of_losses(loss, 2)["tse"] == pytest.approx([0.55])
    assert moving_average_of_losses(loss, 2, summed=True)["tse"] == pytest.approx(1.55)


def test_truncating_then_computing_equals_computing_then_truncating() -> None:
    loss = noisy()
    for end in (8, 13, 32, 40):
        for estimate in (
            lambda x, e: sum_of_losses(x, 8, end=e),
            lambda x, e: sum_of_losses(x, 8, end=e, last_epochs=1),
            lambda x, e: moving_average_of_losses(x, 8, end=e),
            lambda x, e: moving_average_of_losses(x, 8, mu=0.99, summed=True, end=e),
        ):
            whole, cut = estimate(loss, end), estimate(loss[:, :end].copy(), None)
            assert whole.ok.all()
            np.testing.assert_array_equal(whole["tse"], cut["tse"])


def test_what_comes_after_the_end_does_not_matter_even_if_it_diverges() -> None:
    loss = noisy()
    spoiled = loss.copy()
    spoiled[:, 20:] = np.nan
    np.testing.assert_array_equal(
        sum_of_losses(spoiled, 8, end=20)["tse"], sum_of_losses(loss, 8, end=20)["tse"]
    )
    # The unfinished third epoch (steps 17 to 24) is no part of the average.
    late = moving_average_of_losses(spoiled, 8, end=23)
    np.testing.assert_array_equal(
        late["tse"], moving_average_of_losses(loss, 8, end=16)["tse"]
    )
    assert late.window[0].tolist() == [1.0, 16.0]
    assert set(sum_of_losses(spoiled, 8, end=21).status) == {DIVERGED}


def test_every_curve_may_have_its_own_end_and_no_row_depends_on_its_peers() -> None:
    loss = noisy()
    ends = np.array([8, 9, 16, 40, 0, 41])
    together = sum_of_losses(loss, 8, end=ends)
    assert together.status.tolist() == ["ok"] * 4 + [NO_WINDOW] * 2
    for i in range(4):
        alone = sum_of_losses(loss[[i]], 8, end=int(ends[i]))
        assert together["tse"][i] == alone["tse"][0]
        expected = loss[i, : ends[i]].sum() / 8
        assert together["tse"][i] == pytest.approx(expected, rel=1e-13)


def test_a_window_shorter_than_the_epochs_asked_for_is_too_short() -> None:
    loss = noisy()
    assert set(sum_of_losses(loss, 8, end=15, last_epochs=2).status) == {TOO_SHORT}
    ends = [7, 8, 15, 40, 0, 41]
    status = moving_average_of_losses(loss, 8, end=ends).status.tolist()
    assert status == [TOO_SHORT, "ok", "ok", "ok", NO_WINDOW, NO_WINDOW]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="steps_per_epoch is 0"):
        sum_of_losses(noisy(), 0)
    with pytest.raises(ValueError, match="last_epochs is 0"):
        sum_of_losses(noisy(), 8, last_epochs=0)
    with pytest.raises(ValueError, match="mu is 0"):
        moving_average_of_losses(noisy(), 8, mu=0)
    with pytest.raises(ValueError, match=r"expected \[N, T\]"):
        sum_of_losses([1.0, 2.0], 1)
    with pytest.raises(ValueError, match=r"end must be a step or steps \[6\]"):
        sum_of_losses(noisy(), 8, end=8.5)
