"""Memory of worker processes: modules stay, what cohorts leave is given back."""

import gc
import json
import subprocess
import sys
import weakref

import pytest
import torch

from harness.device import release, settle
from harness.plan import Plan, PlannedRun
from tests.conftest import ROOT
from tests.harness.tiny import profile


class Node:
    """Something that only the collector of cycles can free."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def settled():
    settle()
    yield
    gc.unfreeze()


def test_what_is_made_afterwards_is_freed_and_the_rest_is_not_looked_at(settled):
    kept = gc.get_freeze_count()
    assert kept > 100_000  # torch alone
    node = weakref.ref(Node())
    assert node() is not None
    release(torch.device("cpu"))
    assert node() is None
    assert gc.get_freeze_count() == kept
    assert len(gc.get_objects()) < kept / 10


def test_a_worker_process_has_settled_before_its_first_cohort(tmp_path):
    run = profile().run().resolve()
    Plan((PlannedRun(run, run.run_id, "c-a", ("grid",)),)).save(tmp_path)
    script = (
        "import gc, sys; from harness.executors import process\n"
        "process.serve = lambda worker, driver: print(gc.get_freeze_count())\n"
        "process.main()"
    )
    setting = json.dumps({"device": "cpu"})
    command = [sys.executable, "-c", script, str(tmp_path), setting]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stderr=pipe) as worker:
        said = worker.stderr.read()  # its input stays open: that is its driver's end
    assert int(said) > 100_000
