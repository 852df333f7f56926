"""The command line, used as a user uses it.

Where signals or several drivers are the point it has processes of its own; elsewhere
`command_line` runs it here, with workers in processes of their own.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from harness.corpus import Corpus
from harness.record import RunRecord, same_outcome

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--profile", "tests.harness.tiny:profile"]
GRID = ["--grid", "tests.harness.tiny:grid"]
SLOW = ["--grid", "tests.harness.tiny:slow_grid"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    cache = tmp_path_factory.mktemp("cache")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNCAST", "HF_"))}
    return kept | {"RUNCAST_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}


def start(environment: dict[str, str], *arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", "from harness.cli import main; main()", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def harness(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = start(environment, *arguments)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def outcomes(folder: Path) -> dict[str, RunRecord]:
    shards = sorted((folder / "shards").glob("r-*.parquet"))
    return {path.name: RunRecord.load(path) for path in shards}


def assert_same(one: Path, other: Path) -> None:
    a, b = outcomes(one), outcomes(other)
    assert a.keys() == b.keys()
    assert all(same_outcome(a[name], b[name]) for name in a)


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """The tiny corpus, trained in one go by two workers, once for all tests."""
    base = tmp_path_factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = place / "whole" / "corpus"
    folder.parent.mkdir(exist_ok=True)
    cache = {"RUNCAST_CACHE_DIR": str(folder.parent / "cache"), "PYTHONPATH": str(ROOT)}
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "corpus.json").exists():
            code, out, err = harness(
                {k: v for k, v in os.environ.items() if k[:3] != "HF_"} | cache,
                *("generate", *GRID, *TINY, "--out", str(folder), "--jobs", "2"),
            )
            assert code == 0, err
            assert "12 of 12 runs finished" in out
    return folder


def test_help_and_version_do_not_import_torch(environment):
    code = (
        "import sys; sys.argv = ['harness', '--help']\n"
        "from harness.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'datasets', 'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for command in ("generate", "status", "verify", "show", "doctor"):
        assert command in done.stdout
    assert harness(environment, "--version")[1].startswith("runcast 0.")


def test_the_corpus_holds_every_run_with_finite_scores(whole):
    corpus = Corpus.open(whole)
    runs = corpus.runs()
    assert runs.height == 12
    assert runs["run_id"].n_unique() == 12
    assert runs["family_id"].n_unique() == 6
    assert set(runs["status"]) == {"completed"}
    assert runs["final.test_n"].unique().to_list() == [1797 - 128 - 64]
    assert runs["final.test_accuracy"].is_between(0, 1).all()
    train = corpus.curves(["train_loss"])
    steps = train.group_by("run_id").agg(pl.col("steps").list.len().sum())
    lengths = dict(steps.rows())
    assert all(lengths[i] == n for i, n in runs["run_id", "num_steps"].rows())
    assert corpus.ood().group_by("run_id").len()["len"].n_unique() == 1


def test_the_number_of_workers_does_not_show(whole, command_line, tmp_path):
    code, _, err = command_line(
        "generate", *GRID, *TINY, "--out", str(tmp_path), "--jobs", "1"
    )
    assert code == 0, err
    assert_same(whole, tmp_path)


def test_the_same_command_again_trains_nothing(whole, command_line):
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*.parquet")}
    code, out, err = command_line(
        "generate", *GRID, *TINY, "--out", str(whole), "--json"
    )
    assert code == 0
    assert "12 finished before" in err
    assert json.loads(out)["rows"]["runs"] == 12
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*.parquet")} == before


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3])
def test_killed_at_any_moment_and_started_again_it_ends_the_same(
    whole, environment, command_line, tmp_path, kills
):
    for i in range(kills):
        process = start(
            environment, "generate", *GRID, *TINY, "--out", str(tmp_path), "--jobs", "2"
        )
        time.sleep(4.0 + 1.5 * i)
        _kill_tree(process)
    code, _, err = command_line(
        "generate", *GRID, *TINY, "--out", str(tmp_path), "--jobs", "2"
    )
    assert code == 0, err
    assert_same(whole, tmp_path)
    assert not list((tmp_path / "shards").glob(".tmp-*"))


def _kill_tree(process: subprocess.Popen) -> None:
    """SIGKILL a driver and its workers, which have sessions of their own."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split() if children.exists() else []
    process.kill()
    for worker in workers:
        try:
            os.kill(int(worker), signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_no_run_is_lost(environment, tmp_path):
    process = start(
        environment, "generate", *SLOW, *TINY, "--out", str(tmp_path), "--jobs", "1"
    )
    leases = tmp_path / "leases"
    _wait_for(lambda: any(leases.glob("c-*.lease")))
    owner = json.loads(next(leases.glob("c-*.lease")).read_text())
    os.kill(owner["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "worker process died (exit status -9)" in err
    assert Corpus.open(tmp_path).runs().height == 6


@pytest.mark.slow
def test_the_t4_grid_is_done_exactly_once_under_25_kills_and_two_drivers(
    environment, tmp_path
):
    arguments = ["generate", "--grid", "t4", "--out", str(tmp_path), "--jobs", "1"]
    arguments += ["--profile", "tests.harness.tiny:shortest_profile"]
    leases, killed, codes = tmp_path / "leases", set(), [1]
    while any(codes):  # a cohort killed three times over fails its driver
        drivers = [start(environment, *arguments) for _ in range(2)]
        while any(driver.poll() is None for driver in drivers):
            time.sleep(0.05)
            for lease in leases.glob("c-*.lease"):
                with contextlib.suppress(OSError, ValueError):
                    worker = json.loads(lease.read_text())["pid"]
                    if len(killed) < 25 and worker not in killed:
                        os.kill(worker, signal.SIGKILL)
                        killed.add(worker)
        codes = [driver.wait() for driver in drivers]
        for driver in drivers:
            driver.communicate()
    assert len(killed) == 25
    runs = Corpus.open(tmp_path).runs()
    assert runs.height == runs["run_id"].n_unique() == 432
    assert set(runs["status"]) == {"completed"}


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_an_interrupt_keeps_the_work_and_the_same_command_resumes(
    environment, command_line, tmp_path, number
):
    arguments = ["generate", *SLOW, *TINY, "--out", str(tmp_path), "--jobs", "1"]
    process = start(environment, *arguments)
    _wait_for(lambda: any((tmp_path / "leases").glob("c-*.lease")))
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "interrupted: this goes on: harness generate --grid" in out
    assert list((tmp_path / "checkpoints").glob("c-*.pt"))
    code, _, err = command_line(*arguments)
    assert code == 0, err
    assert not list((tmp_path / "checkpoints").glob("c-*.pt"))
    assert Corpus.open(tmp_path).runs().height == 6


def _wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_drivers_share_a_folder_and_both_succeed(whole, environment, tmp_path):
    arguments = ["generate", *GRID, *TINY, "--out", str(tmp_path), "--jobs", "1"]
    drivers = [start(environment, *arguments) for _ in range(2)]
    for driver in drivers:
        _, err = driver.communicate(timeout=240)
        assert driver.returncode == 0, err
    assert_same(whole, tmp_path)


def test_a_failing_model_is_recorded_and_the_other_runs_finish(command_line, tmp_path):
    grid = ["--grid", "tests.harness.tiny:broken_grid"]
    code, out, err = command_line(
        "generate", *grid, *TINY, "--out", str(tmp_path), "--jobs", "1"
    )
    assert code == 1
    assert "1 of 2 runs finished" in out
    assert "this model cannot be built" in err
    (failed,) = (tmp_path / "shards").glob("*.failed.parquet")
    assert "this model cannot be built" in RunRecord.load(failed).error
    runs = Corpus.open(tmp_path).runs().sort("status")
    assert runs["status"].to_list() == ["completed", "failed"]
    assert runs["final.test_accuracy"].is_null().to_list() == [False, True]
    code, out, _ = command_line("status", str(tmp_path))
    assert code == 1
    assert "this model cannot be built" in out
    assert command_line("verify", str(tmp_path))[0] == 0


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed_after_the_timeout(environment, tmp_path):
    grid = ["--grid", "tests.harness.tiny:hanging_grid", "--timeout", "6"]
    code, _, err = harness(
        environment, "generate", *grid, *TINY, "--out", str(tmp_path), "--jobs", "1"
    )
    assert code == 1
    assert "worker process died (exit status -9), last heard of 6 s before" in err
    assert "built after all" in err  # it was tried again


def test_a_diverged_run_is_data_and_no_failure(command_line, tmp_path):
    grid = ["--grid", "tests.harness.tiny:wild_grid"]
    code, _, err = command_line(
        "generate", *grid, *TINY, "--out", str(tmp_path), "--jobs", "1"
    )
    assert code == 0, err
    assert "1 diverged" in err
    corpus = Corpus.open(tmp_path)
    assert sorted(corpus.runs()["status"]) == ["completed", "diverged"]
    assert corpus.events()["kind"].to_list() == ["diverged"]


@pytest.mark.slow
def test_a_full_disk_stops_the_grid_and_keeps_finished_runs(
    environment, command_line, tmp_path
):
    import resource

    arguments = ["generate", *GRID, *TINY, "--out", str(tmp_path), "--jobs", "1"]

    def limit() -> None:  # files may hold 12 kB: shards of this grid take more
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))

    code, _, err = command_line(*arguments, "--limit", "2")
    assert code == 0, err
    before = {p.name: p.read_bytes() for p in (tmp_path / "shards").iterdir()}
    process = start(environment, *arguments, preexec_fn=limit)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 1, err
    assert "cannot write" in err + out
    for name, data in before.items():
        assert (tmp_path / "shards" / name).read_bytes() == data
    assert command_line(*arguments)[0] == 0
    assert Corpus.open(tmp_path).runs().height == 12


def test_a_dry_run_trains_and_writes_nothing(command_line, tmp_path):
    folder = tmp_path / "new"
    code, out, err = command_line(
        "generate", *GRID, *TINY, "--out", str(folder), "--dry-run"
    )
    assert code == 0, err
    assert "12 runs, 0 of them finished" in out
    assert "6 cohorts" in out
    assert " hours of cpu" in out
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--execution", "graph"], "CUDA graphs need a GPU; use auto, eager or"),
        (["--execution", "quick"], "execution is 'quick', expected one of auto, eager"),
        (
            ["--execution", "compiled", "--deterministic"],
            "use --deterministic with --execution graph or eager",
        ),
        (["--device", "cuda:0"], "torch sees no CUDA device"),
        (["--pack", "0"], "--pack"),
    ],
)
def test_ways_to_run_that_cannot_be_are_told_before_anything_is_written(
    command_line, tmp_path, options, text
):
    where = ["--device", "cpu"] if "--device" not in options else []
    code, _, err = command_line(
        "generate", *GRID, *TINY, "--out", tmp_path / "c", *where, *options
    )
    assert code == 2
    assert text in err
    assert not (tmp_path / "c").exists()


def test_a_wrong_name_is_bad_usage_with_a_hint_and_no_traceback(command_line, tmp_path):
    code, out, err = command_line(
        "generate", "--grid", "t44", "--out", str(tmp_path / "x")
    )
    assert code == 2
    assert out == ""
    assert "harness: no grid is called 't44'; did you mean 't4'?" in err
    assert "Traceback" not in err
    assert not (tmp_path / "x").exists()


def test_a_folder_without_a_corpus_is_told_with_what_to_do(command_line, tmp_path):
    for command in ("show", "verify", "status"):
        code, out, err = command_line(command, str(tmp_path))
        assert code == 1
        assert "harness generate" in out + err
        assert "Traceback" not in err


def test_show_prints_a_run_and_draws_it(whole, command_line, tmp_path):
    run_id = Corpus.open(whole).runs()["run_id"][0]
    figure = tmp_path / "run.png"
    code, out, err = command_line(
        "show", str(whole), run_id[:12], "--figure", str(figure)
    )
    assert code == 0, err
    assert run_id in out
    assert figure.read_bytes().startswith(b"\x89PNG")
    code, out, _ = command_line("show", str(whole), run_id, "--json")
    assert json.loads(out)["run_id"] == run_id
    code, _, err = command_line("show", str(whole), "r-zzzz")
    assert code == 2
    assert "no run of corpus starts with r-zzzz" in err
