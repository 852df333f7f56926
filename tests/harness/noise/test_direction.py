"""Direction variance and cosines of updates, against exact and naive values."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from harness.noise.direction import MAX_WINDOW, Directions, random_floor
from harness.reading import Reading

CPU = torch.device("cpu")


def read(updates: torch.Tensor) -> dict[str, Reading]:
    """Return the readings of updates `[S, n, P]`."""
    directions = Directions(updates.shape[0], updates.shape[2], CPU)
    for update in updates.unbind(1):
        directions.add(update)
    assert len(directions) == updates.shape[1]
    return directions.read()


def random(runs: int, count: int, dim: int) -> torch.Tensor:
    values = np.random.default_rng(0).normal(size=(runs, count, dim))
    return torch.from_numpy(values).float()


def test_parallel_updates_of_any_length_have_no_variance() -> None:
    lengths = torch.logspace(-30, 3, 20)[:, None]
    found = read((lengths * random(1, 1, 100))[:, :].reshape(1, 20, 100))
    assert found["dirvar"].value[0] == pytest.approx(0.0, abs=1e-6)
    assert found["update_cosine"].value[0] == pytest.approx(1.0, abs=1e-6)
    same = read(random(1, 1, 100).expand(1, 20, 100))
    assert same["dirvar"].value[0] == pytest.approx(0.0, abs=1e-12)


def test_independent_updates_reach_the_floor() -> None:
    found = read(random(3, 50, 10_000))
    assert random_floor(50) == pytest.approx(0.858579, abs=1e-6)
    np.testing.assert_allclose(found["dirvar"].value, 0.858, atol=0.002)
    np.testing.assert_allclose(found["update_cosine"].value, 0.0, atol=0.01)


def test_values_equal_a_naive_loop() -> None:
    updates = random(2, 7, 12).cumsum(1)
    found = read(updates)
    for s in range(2):
        units = [u / np.linalg.norm(u) for u in updates[s].double().numpy()]
        variance = 1 - np.linalg.norm(np.mean(units, 0))
        cosine = np.mean([a @ b for a, b in pairwise(units)])
        assert found["dirvar"].value[s] == pytest.approx(variance, abs=1e-12)
        assert found["update_cosine"].value[s] == pytest.approx(cosine, abs=1e-12)


def test_updates_that_undo_each_other_reach_one() -> None:
    step = random(1, 1, 9)
    found = read(torch.cat([step, -step, step, -step], 1))
    assert found["dirvar"].value[0] == pytest.approx(1.0)
    assert found["update_cosine"].value[0] == pytest.approx(-1.0)


@pytest.mark.usefixtures("one_thread")
def test_a_run_alone_has_the_same_bits_as_among_others() -> None:
    updates = random(3, 6, 999)
    together = read(updates)
    for s in range(3):
        for name, one in read(updates[s : s + 1]).items():
            assert one.value[0] == together[name].value[s]


def test_a_restored_window_goes_on_bit_for_bit() -> None:
    updates = random(3, 9, 40)
    whole = Directions(3, 40, CPU)
    for update in updates[:, :5].unbind(1):
        whole.add(update)
    kept = {name: value.clone() for name, value in whole.state().items()}
    assert all(len(value) == 3 for value in kept.values())
    # Runs 2 and 0 go on in another cohort.
    part = Directions(2, 40, CPU)
    part.load_state({name: value[[2, 0]] for name, value in kept.items()})
    for update in updates[:, 5:].unbind(1):
        whole.add(update)
        part.add(update[[2, 0]])
    for name, one in part.read().items():
        assert np.array_equal(one.value, whole.read()[name].value[[2, 0]])
    for name, value in part.state().items():
        assert torch.equal(value, whole.state()[name][[2, 0]])


def test_a_cleared_window_is_as_new() -> None:
    updates = random(2, 8, 40)
    used = Directions(2, 40, CPU)
    for update in updates[:, :3].unbind(1):
        used.add(update)
    used.clear()
    for update in updates[:, 3:].unbind(1):
        used.add(update)
    for name, one in read(updates[:, 3:]).items():
        assert np.array_equal(one.value, used.read()[name].value)


def test_runs_without_a_value_say_why() -> None:
    updates = random(4, 5, 30)
    healthy = read(updates)
    updates[1, 3] = 0.0
    updates[2, 2, 7] = torch.nan
    for name, one in read(updates).items():
        assert one.status.tolist() == ["ok", "not_applicable", "diverged", "ok"]
        assert np.array_equal(one.value[[0, 3]], healthy[name].value[[0, 3]])
    for one in read(updates[:, :1]).values():
        assert one.status.tolist() == ["too_short"] * 4


def test_wrong_arguments_are_refused() -> None:
    directions = Directions(2, 3, CPU)
    with pytest.raises(ValueError, match=r"has shape \(2, 4\), expected \(2, 3\)"):
        directions.add(torch.ones(2, 4))
    for _ in range(MAX_WINDOW):
        directions.add(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"the window has 64 updates.*clear\(\) it"):
        directions.add(torch.ones(2, 3))
    with pytest.raises(ValueError, match="the state of directions is"):
        directions.load_state({"sum": torch.ones(2, 3)})
    with pytest.raises(ValueError, match="num_updates is 0"):
        random_floor(0)
