"""The Ray executor trains the same bits as the local one."""

import json

import pytest

from harness.corpus import Corpus
from tests.harness.test_cli import GRID, TINY, assert_same, environment, harness, whole

__all__ = ["environment", "whole"]  # fixtures


@pytest.mark.slow
def test_ray_actors_train_the_same_runs_as_local_workers(whole, environment, tmp_path):
    pytest.importorskip("ray")
    code, out, err = harness(
        environment | {"RAY_USAGE_STATS_ENABLED": "0"},
        *("generate", *GRID, *TINY, "--out", str(tmp_path)),
        *("--executor", "ray", "--jobs", "2", "--json"),
    )
    assert code == 0, err
    assert json.loads(out)["ending"] == "done"
    assert_same(whole, tmp_path)
    assert Corpus.open(tmp_path).runs().height == 12
