"""Accounts of a run add up to the time that passed."""

import ast
import time

import pytest
import torch

from harness.clock import Clock
from harness.train import train
from tests.conftest import ROOT
from tests.harness.toy import toy_data, toy_run

CPU = torch.device("cpu")


@pytest.fixture
def ticking(monkeypatch):
    """A clock that is moved by hand."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def forward(seconds):
        now[0] += seconds

    return forward


def test_what_no_account_is_charged_with_is_waiting(ticking):
    clock = Clock(CPU)
    ticking(3.0)
    clock.charge("train")
    ticking(2.0)
    clock.charge("log")
    ticking(0.5)
    clock.charge(None)
    ticking(1.0)
    assert clock.seconds() == {"train": 2.0, "log": 0.5}
    assert clock.waited() == pytest.approx(4.0)


def test_the_part_before_an_interruption_counts_once(ticking):
    clock = Clock(CPU)
    clock.load({"train": 7.0, "save": 1.0})
    clock.charge("train")
    ticking(2.0)
    clock.charge(None)
    assert clock.seconds() == {"train": 9.0, "save": 1.0}
    assert clock.waited() == 0.0


def test_the_accounts_of_a_cohort_are_its_wall_time():
    cohort = [toy_run(seed=s) for s in range(2)]
    began = time.perf_counter()
    records = train(cohort, toy_data(), loaded_s=5.0)
    passed = time.perf_counter() - began
    seconds = [v for k, v in records[0].costs.items() if k.endswith("_s")]
    total = len(cohort) * sum(seconds)
    assert total - 5.0 <= passed
    assert total - 5.0 >= 0.5 * passed  # the rest made the networks and the records
    assert records[0].costs["load_s"] * 2 == pytest.approx(5.0)
    assert set(records[0].costs) == {
        "train_s",
        "eval_s",
        "log_s",
        "load_s",
        "wait_s",
        "train_images",
        "train_flops",
    }
    assert records[0].costs["train_images"] == 24 * 8
    # a perceptron 64-16-16-4 (depth 1): forward, and backward but for the first inputs
    products = 64 * 16 + 16 * 16 + 16 * 4
    assert records[0].costs["train_flops"] == pytest.approx(
        24 * 8 * 2 * (3 * products - 64 * 16), rel=0.4
    )


def test_spans_are_taken_from_clocks_that_no_one_sets():
    """`time.time` jumps with the wall clock; it may be compared with times of files."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "harness").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("time.time", "datetime.now", "datetime.utcnow")
    }
    ages_of_files = {"status/crews", "executors/ray/sent_back"}
    shown = {"attempts", "status/text", "status/rate", "status/watch"}
    assert readers == {f"harness/{name}.py" for name in ages_of_files | shown}
