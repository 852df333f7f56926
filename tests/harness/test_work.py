"""Training without the command line's dependencies: `python -m harness.work`.

Where side-by-side processes are the point they are real; elsewhere `work` runs it here.
"""

import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import console
from harness import work as working
from harness.datasets import Source
from harness.device import Setting
from harness.executors.crew import Crew
from harness.executors.here import HereExecutor
from harness.manifest import read_manifest
from harness.plan import PLAN, Plan, PlannedRun
from harness.profiles import Profile
from harness.record import RunRecord, same_outcome
from harness.sealed import read_sealed, write_sealed
from harness.spec import RunConfig
from harness.verify import verify
from tests.harness.tiny import profile

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--profile", "tests.harness.tiny:profile", "--device", "cpu"]
GRID = ["--grid", "tests.harness.tiny:grid", *TINY]
LONG = ["--grid", f"{__name__}:long_grid", *TINY]


def long_grid(base: Profile) -> list[RunConfig]:
    """Return two runs of one cohort, long enough to be interrupted."""
    return [dataclasses.replace(base.run(seed=s), epochs=60) for s in range(2)]


@pytest.fixture(autouse=True)
def environment(tmp_path_factory, monkeypatch) -> None:
    cache = tmp_path_factory.getbasetemp() / "work-cache"
    monkeypatch.setenv("RUNCAST_CACHE_DIR", str(cache))
    monkeypatch.delenv("RUNCAST_DATA_DIR", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def work(capfd):
    """Run `harness.work` with some arguments here; return code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = None
        try:
            working.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        return code, *capfd.readouterr()

    return run


def outcomes(folder: Path) -> dict[str, RunRecord]:
    shards = (folder / "shards").glob("r-*.parquet")
    return {path.name: RunRecord.load(path) for path in shards}


def all_same(one: Path, other: Path) -> bool:
    a, b = outcomes(one), outcomes(other)
    return a.keys() == b.keys() and all(same_outcome(a[name], b[name]) for name in a)


def start(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.work", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_claim(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob("leases/c-*.lease")):
        assert time.monotonic() < deadline, "no cohort was ever begun"
        time.sleep(0.005)


def test_the_smoke_profile_is_trained_and_the_named_command_builds_its_tables(
    work, command_line, tmp_path
):
    folder = tmp_path / "corpus"
    asked = ["--grid", "pilot", "--profile", "smoke", "--probes", "none"]
    code, out, err = work(folder, *asked, "--device", "cpu")
    assert code == 0, err
    assert "2 runs, 0 finished before; in this process on cpu" in err
    assert "2/2 runs, 100%" in err
    assert "2 of 2 runs finished" in out
    assert not (folder / "manifest.json").exists()
    command = shlex.split(re.search(r"built by `(.*)`", out)[1])
    assert command[:2] == ["harness", "tables"]
    assert command_line(*command[1:])[0] == 0
    assert verify(folder) == []
    assert read_manifest(folder)["grids"] == ["pilot/smoke"]
    code, out, err = work(folder)
    assert code == 0, err
    assert "2 runs, 2 finished before" in err


def test_interrupted_and_gone_on_with_the_shards_are_the_same(work, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert work(whole, *LONG)[0] == 0

    def interrupt() -> None:
        wait_for_claim(parts)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, out, _ = work(parts, *LONG)
    thread.join()
    assert code == 75
    assert "0 of 2 runs finished" in out
    assert len(list((parts / "checkpoints").iterdir())) == 1
    again = shlex.split(re.search(r"interrupted: this goes on: (.*)", out)[1])
    assert again[:3] == ["python", "-m", "harness.work"]
    code, out, err = work(*again[3:])
    assert code == 0, err
    assert "2 of 2 runs finished" in out
    assert list((parts / "checkpoints").iterdir()) == []
    assert all_same(whole, parts)


def test_the_parts_of_a_grid_are_disjoint_and_together_the_whole(work, tmp_path):
    trained: list[set[str]] = []
    for part in ("1/3", "2/3", "3/3"):
        code, out, err = work(tmp_path, *GRID, "--shard", part)
        assert code == 0, err
        before = set().union(*trained)
        trained.append(set(outcomes(tmp_path)) - before)
        assert f"{len(trained[-1])} of {len(trained[-1])} runs finished" in out
        left = 12 - len(before) - len(trained[-1])
        assert (f"{left} of the folder's 12 runs are left" in out) == (left > 0)
    assert [len(part) for part in trained] == [4, 4, 4]
    assert {f"{run.run_id}.parquet" for run in Plan.load(tmp_path).runs} == set().union(
        *trained
    )


def test_an_orphan_is_not_left_to_others(work, tmp_path):
    configs = [profile().run(seed=seed).resolve() for seed in range(2)]
    grids: list[tuple[str, ...]] = [("t4/digits",), ()]
    runs = zip(configs, grids, strict=True)
    Plan(tuple(PlannedRun(c, c.run_id, f"c-{c.seed}", g) for c, g in runs)).save(
        tmp_path
    )
    code, out, err = work(tmp_path, "--device", "cpu")
    assert code == 0, err
    assert "1 of 1 runs finished" in out
    assert "left to others" not in out


def test_a_run_that_fails_is_counted_and_the_others_are_trained(work, tmp_path):
    broken = ["--grid", "tests.harness.tiny:broken_grid", *TINY]
    code, out, err = work(tmp_path, *broken)
    assert code == 1
    assert "1 of 2 runs finished" in out
    assert "1 failed" in out
    assert "this model cannot be built" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "holds no plan: name a grid"),
        (["--profile", "digits"], "--profile says how a grid is planned"),
        (["--limit", "3"], "--limit says how a grid is planned"),
        (["--grid", "t5", "--profile", "smoke"], "no grid is called 't5'"),
        (["--grid", "t4", "--profile", "digit"], "did you mean 'digits'"),
        ([*GRID, "--limit", "0"], "limit is 0"),
        ([*GRID, "--probes", "hessain"], "did you mean 'hessian'"),
        ([*GRID, "--probes", ","], "say 'none' for none"),
        ([*GRID, "--shard", "3/2"], "expected I/N with I from 1 to N"),
        ([*GRID, "--shard", "half"], "expected I/N with I from 1 to N"),
        ([*GRID, "--device", "cpu,cuda"], "start a process for each, with --shard"),
        (
            [*GRID, "--device", "abacus"],
            "not known to torch: expected cpu, cuda or cuda:1",
        ),
        ([*GRID, "--threads", "0"], "--threads is 0"),
        ([*GRID, "--execution", "graph"], "CUDA graphs need a GPU"),
        ([*GRID, "--execution", "fast"], "invalid choice: 'fast'"),
        ([*GRID, "--jobs", "4"], "unrecognized arguments: --jobs"),
    ],
)
def test_wrong_options_are_told_and_nothing_is_written(work, tmp_path, arguments, text):
    folder = tmp_path / "corpus"
    code, _, err = work(folder, *arguments)
    assert code == 2
    assert text in err
    assert "Traceback" not in err
    assert not folder.exists()


def test_a_missing_mirror_is_no_mistake_of_usage(work, tmp_path):
    code, _, err = work(tmp_path, *GRID, "--data-dir", tmp_path / "nowhere")
    assert code == 1
    assert "is not a folder" in err


def test_a_folder_of_another_version_is_refused_unless_it_is_allowed(work, tmp_path):
    Plan(()).save(tmp_path)
    old = read_sealed(tmp_path / PLAN).replace_schema_metadata({"runcast": "0.0.1"})
    write_sealed(tmp_path / PLAN, old)
    code, _, err = work(tmp_path)
    assert code == 1
    assert "was begun by runcast 0.0.1" in err
    code, _, err = work(tmp_path, "--allow-version")
    assert code == 2
    assert "holds no plan" in err


def test_the_exit_codes_are_those_of_the_command_line():
    codes = (console.EXIT_FAILED, console.EXIT_USAGE, console.EXIT_INTERRUPTED)
    assert codes == (working.EXIT_FAILED, working.EXIT_USAGE, working.EXIT_INTERRUPTED)


def test_one_process_is_no_crew(tmp_path):
    source = Source(data_dir=None, cache_dir=tmp_path)
    crew = Crew(
        folder=tmp_path,
        source=source,
        devices=("cpu", "cuda"),
        jobs=2,
        setting=Setting(device="cpu"),
    )
    with pytest.raises(ValueError, match=r"start a process for each device"):
        HereExecutor(crew)


@pytest.mark.slow
def test_processes_side_by_side_train_every_run_once_and_as_workers_do(
    command_line, tmp_path
):
    parts, shared, usual = (tmp_path / name for name in ("parts", "shared", "usual"))
    running = [start(parts, *GRID, "--shard", part) for part in ("1/2", "2/2")]
    running += [start(shared, *GRID) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    assert [out.split(" in ")[0] for out, _ in said] == [
        "6 of 6 runs finished",
        "6 of 6 runs finished",
        "12 of 12 runs finished",
        "12 of 12 runs finished",
    ]
    code, _, err = command_line("generate", *GRID, "--out", str(usual), "--jobs", "1")
    assert code == 0, err
    assert len(outcomes(usual)) == 12
    assert all_same(usual, parts)
    assert all_same(usual, shared)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_the_process_keeps_its_state(work, tmp_path, number):
    process = start(tmp_path, *LONG)
    wait_for_claim(tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "interrupted: this goes on: python -m harness.work" in out
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    assert list(tmp_path.glob("leases/c-*.lease")) == []
