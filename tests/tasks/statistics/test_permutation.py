import numpy as np
import pytest

from harness.seeds import stream
from tasks.metrics.point import mae
from tasks.statistics.permutation import permutation_null, permute_families

FAMILIES = np.repeat(np.arange(20), 3)


def test_families_exchange_their_targets_whole():
    sizes = [2, 3, 2, 3, 2]
    families = np.repeat([f"f{i}" for i in range(5)], sizes)
    truth = np.arange(12.0) + 100 * np.repeat(np.arange(5), sizes)
    moved = permute_families(truth, families, stream(0, "test"))
    assert sorted(moved) == sorted(truth)
    given = [set(truth[families == f]) for f in np.unique(families)]
    received = [set(moved[families == f]) for f in np.unique(families)]
    assert all(r in given for r in received)
    assert moved.tolist() != truth.tolist()


def test_all_permutations_of_families_are_equally_likely():
    truth, families = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0]), [0, 0, 1, 1, 2, 2]
    dealt = [
        tuple(permute_families(truth, families, stream(0, "test", i))[::2])
        for i in range(1200)
    ]
    _, how_often = np.unique(dealt, axis=0, return_counts=True)
    assert len(how_often) == 6
    assert how_often == pytest.approx(200, abs=55)  # four standard deviations


def test_a_model_that_knows_the_targets_beats_the_null():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20)[FAMILIES] + 0.1 * rng.normal(size=60)
    leak = truth + 0.5 * rng.normal(size=60)
    found = permutation_null(lambda y: float(mae(y, leak)), truth, FAMILIES)
    assert found.p == pytest.approx(1 / 200)
    assert found.observed < found.null.min()
    largest = permutation_null(
        lambda y: -float(mae(y, leak)), truth, FAMILIES, direction="max"
    )
    assert largest.p == found.p
    np.testing.assert_array_equal(largest.null, -found.null)


def test_p_values_of_ignorant_models_are_uniform():
    p_values = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=20)[FAMILIES] + 0.1 * rng.normal(size=60)
        # A guess a family: alike within families, as metadata are.
        guess = rng.normal(size=20)[FAMILIES]
        found = permutation_null(
            lambda y, guess=guess: float(mae(y, guess)),
            truth,
            FAMILIES,
            permutations=19,
            seed=seed,
        )
        p_values.append(found.p)
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.05)
    assert np.mean(p_values) == pytest.approx(0.525, abs=0.09)


def test_what_cannot_be_exchanged_is_refused():
    with pytest.raises(ValueError, match="no two families have the same number"):
        permute_families([1.0, 2.0, 3.0], [0, 0, 1], stream(0, "test"))
    with pytest.raises(ValueError, match="'min' or 'max'"):
        permutation_null(lambda y: 0.0, [1.0, 2.0], [0, 1], direction="up")
