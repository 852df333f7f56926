"""Copies are found by their beginning, runs of other seeds are not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harness.corpus import Corpus
from tasks.blind.prefixes import NEAR, Beginnings, clusters, nearest

CORPORA = Path(__file__).resolve().parents[3] / "corpora"


def synthetic(families=30, seeds=2, steps=40, seed=0) -> Beginnings:
    """Return runs whose losses fall, with noise of their own."""
    random = np.random.default_rng(seed)
    noise = 0.1 * random.standard_normal((families * seeds, steps))
    loss = 2.3 * (1 + np.arange(steps)) ** -0.3 * np.exp(noise)
    return Beginnings(
        run_ids=tuple(f"r-{seed}-{i}" for i in range(len(loss))),
        families=tuple(f"f-{seed}-{i // seeds}" for i in range(len(loss))),
        num_steps=np.full(len(loss), 2 * steps),
        losses=loss.astype(np.float32),
    )


def with_copy(hidden: Beginnings, public: Beginnings, change) -> Beginnings:
    """Return the hidden runs with the first one a changed copy of a public run."""
    losses = hidden.losses.copy()
    losses[0] = change(public.losses[7].astype(np.float64))
    return dataclasses.replace(hidden, losses=losses)


@pytest.mark.parametrize("steps", [4, 8, 40])
def test_other_seeds_are_not_found(steps):
    hidden, public = synthetic(steps=steps), synthetic(100, steps=steps, seed=1)
    pairs = len(hidden.run_ids) * len(public.run_ids)
    found = nearest(hidden, public, 0.5, pairs=pairs)
    assert not found.found.any()
    assert (found.prefix == 0).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda loss: loss,
        lambda loss: np.round(loss, 4),
        lambda loss: loss * (1 + 1e-3 * np.sin(np.arange(len(loss)))),
        lambda loss: np.where(np.arange(len(loss)) < len(loss) // 2, loss, 9.0),
    ],
    ids=["copy", "rounded", "noise", "half"],
)
def test_a_copy_is_found(change):
    hidden, public = synthetic(), synthetic(100, seed=1)
    planted = with_copy(hidden, public, change)
    found = nearest(planted, public, 0.5, pairs=12_000)
    assert found.found.tolist() == [True] + [False] * 59
    assert found.other[0] == 7
    exact = np.argmin(np.append(planted.losses[0] == public.losses[7], False))
    assert found.prefix[0] == exact / 40


def test_distances_are_those_of_a_naive_loop():
    hidden, public = synthetic(5, steps=10), synthetic(4, seed=1, steps=10)
    found = nearest(hidden, public, 0.5, pairs=80)
    logs = [np.log(x[:5].astype(float)) for x in hidden.losses]
    others = [np.log(x[:5].astype(float)) for x in public.losses]

    def distance(one, two):
        return np.sqrt(np.mean((one - two) ** 2))

    twins = [distance(logs[row], logs[row ^ 1]) for row in range(10)]
    for row in range(10):
        least = min(distance(logs[row], other) for other in others)
        expected = least / min(twins[row], np.median(twins))
        assert found.ratio[row] == pytest.approx(expected)
    assert found.bound == pytest.approx(min(NEAR, (0.001 / 80) ** (1 / 5)))


def test_runs_that_diverge_at_once_are_not_compared():
    hidden, public = synthetic(5), synthetic(5, seed=1)
    losses, others = hidden.losses.copy(), public.losses.copy()
    losses[0, 1:] = others[0, 1:] = np.nan
    found = nearest(
        dataclasses.replace(hidden, losses=losses),
        dataclasses.replace(public, losses=others),
        0.5,
        pairs=100,
    )
    assert np.isnan(found.ratio[0])
    assert not found.found.any()


@pytest.mark.parametrize(
    ("name", "groups", "size"), [("t4", 72, 2), ("t1", 12, 3), ("t8", 8, 3)]
)
def test_schedules_that_share_the_warm_up_belong_together(name, groups, size):
    corpus = Corpus.open(CORPORA / f"{name}-digits")
    found = clusters(Beginnings.of(corpus, 0.04, None), 0.04)
    assert [len(group) for group in found] == [size] * groups
    told = ["optimizer.name", "optimizer.lr", "batch_size", "augmentation.name"]
    runs = corpus.runs(["family_id", "schedule.name", *told]).unique()
    for group in found:
        rows = runs.filter(runs["family_id"].is_in(group))
        assert rows["schedule.name"].n_unique() == size
        assert rows.select(told).n_unique() == 1


def test_more_corpora_are_compared_at_once():
    one, two = synthetic(3, steps=10), synthetic(2, steps=20, seed=1)
    both = Beginnings.joined([one, two])
    assert both.losses.shape == (10, 20)
    np.testing.assert_array_equal(both.losses[6:], two.losses)
    assert np.isnan(both.losses[:6, 10:]).all()
