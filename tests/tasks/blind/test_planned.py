"""The plan of a run is known, however it ended."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from harness.corpus import Corpus
from harness.errors import DataError
from harness.publish import build
from harness.spec import Part
from tasks.blind.planned import planned_rates
from tests.harness.conftest import record

CORPORA = Path(__file__).resolve().parents[3] / "corpora"


class Cut(Corpus):
    """A corpus whose learning rates end after half of each run."""

    def curves(self, signals=None, *, until=1.0, run_ids=None):
        return super().curves(signals, until=0.5, run_ids=run_ids)


def test_worked_out_rates_are_those_recorded_bit_by_bit():
    corpus = Corpus.open(CORPORA / "t1-digits")
    runs = corpus.runs().unique("family_id").sort("run_id")["run_id"].to_list()
    recorded = planned_rates(corpus, runs)
    worked_out = planned_rates(Cut(corpus.folder, corpus.manifest), runs)
    rows = corpus.curves(["lr"], run_ids=runs).sort("run_id", "segment")
    for run in runs:
        values = rows.filter(pl.col("run_id") == run)["values"].explode().to_numpy()
        np.testing.assert_array_equal(recorded[run], values)
        np.testing.assert_array_equal(worked_out[run], values)


def test_a_plan_that_nobody_knows_is_refused(tmp_path):
    one = record(0, status="diverged")
    unknown = Part("of_my_own", resolved=True)
    config = dataclasses.replace(one.config, schedule=unknown)
    dataclasses.replace(one, config=config).save(tmp_path / "shards")
    build(tmp_path, name="lonely", grids={})
    with pytest.raises(DataError, match=r"recorded its learning rates to the end"):
        planned_rates(Corpus.open(tmp_path), [config.run_id])
