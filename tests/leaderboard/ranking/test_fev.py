"""Skill, win rate and pairs are those of fev (its printed table, and fev itself)."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from leaderboard.ranking.rank import pairwise, ranking

HERE = Path(__file__).parent
PRINTED = HERE / "fev_0_10_0.json"
"""What fev 0.10.0 printed of the table in it."""


def ours(asked):
    """Return our numbers in fev's form; its resamples are tasks drawn anew."""
    errors = np.array(asked["errors"])
    random = np.random.default_rng(asked["seed"])
    drawn = random.integers(0, len(errors), size=(asked["resamples"], len(errors)))
    samples = errors[drawn].transpose(1, 2, 0)
    models = asked["models"]
    base = models.index(asked["baseline"])
    overall = ranking(errors, samples, reference=base)
    pairs = pairwise(errors, samples, reference=base)
    return (
        {
            name: [float(end[at]) for end in (*overall.skill, *overall.win_rate)]
            for at, name in enumerate(models)
        },
        [
            [float(end[i, j]) for end in (*pairs.skill, *pairs.win)]
            for i in range(len(models))
            for j in range(len(models))
        ],
    )


def test_values_and_intervals_are_those_that_fev_printed():
    printed = json.loads(PRINTED.read_text())
    overall, pairs = ours(printed)
    for name, row in printed["overall"].items():
        np.testing.assert_allclose(overall[name], row, rtol=1e-12, atol=1e-12)
    told = [row[2:] for row in printed["pairs"]]
    np.testing.assert_allclose(pairs, told, rtol=1e-12, atol=1e-12)
    names = [[a, b] for a in printed["models"] for b in printed["models"]]
    assert [row[:2] for row in printed["pairs"]] == names


@pytest.mark.long
def test_fev_says_the_same_of_a_large_table(old_python):
    random = np.random.default_rng(0)
    errors = np.round(10.0 ** random.normal(0, 1.2, size=(30, 8)), 2) + 0.01
    asked = {
        "models": [f"model {at}" for at in range(8)],
        "baseline": "model 3",
        "resamples": 300,
        "seed": 7,
        "errors": errors.tolist(),
    }
    done = subprocess.run(
        [old_python, HERE / "fev_reader.py"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout)
    overall, pairs = ours(asked)
    assert theirs["version"] == "0.10.0"
    for name, row in theirs["overall"].items():
        np.testing.assert_allclose(overall[name], row, rtol=1e-12, atol=1e-12)
    told = [row[2:] for row in theirs["pairs"]]
    np.testing.assert_allclose(pairs, told, rtol=1e-12, atol=1e-12)
