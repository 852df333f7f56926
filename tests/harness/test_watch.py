"""`harness status --watch`: what it shows, when it ends, and with which code."""

import contextlib
import dataclasses
import fcntl
import io
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from rich.console import Console

from harness.attempts import Attempt
from harness.errors import CorpusError
from harness.lease import Lease
from harness.plan import PLAN, Plan, PlannedRun
from harness.publish import build
from harness.status import STATES, status
from harness.status.watch import Picture, watch

ROOT = Path(__file__).resolve().parents[2]
WATCH = "import sys; from pathlib import Path; from harness.status.watch import watch\n"
WATCH += (
    "sys.exit(watch(Path(sys.argv[1]), every_s=0.1, patience_s=float(sys.argv[2])))"
)


@pytest.fixture
def folder(tmp_path, make_record):
    """Two cohorts of two runs, planned; nothing is trained."""
    configs = [make_record(seed).config for seed in range(4)]
    runs = (
        PlannedRun(config, config.run_id, f"c-{i // 2}", ("g/x",))
        for i, config in enumerate(configs)
    )
    Plan(tuple(runs)).save(tmp_path / "grid")
    return tmp_path / "grid"


def finish(folder, make_record, *, failed=False):
    for seed in range(4):
        state = "failed" if failed and seed == 3 else "completed"
        make_record(seed, status=state).save(folder / "shards")
    build(folder, name="x", grids=Plan.load(folder).grids)


def started(folder, patience_s=60.0, **options):
    arguments = [sys.executable, "-c", WATCH, str(folder), str(patience_s)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        arguments,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"},
        **(pipes | options),
    )


def picture(folder, width, height):
    screen = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True
    )
    options = screen.options.update(width=width, height=height)
    drawn = screen.render_lines(
        Picture(folder, status(folder), "the note"), options, pad=False
    )
    lines = ["".join(segment.text for segment in line).rstrip() for line in drawn]
    while not lines[-1]:  # the rest of the screen
        lines.pop()
    return lines


def busy(folder, workers):
    """Let workers of other machines hold cohorts, each tried twice before."""
    (folder / "leases").mkdir()
    (folder / "attempts").mkdir()
    for i in range(workers):
        one = Attempt(
            host=f"node{i:02}.cluster.example.org",
            pid=10_000 + i,
            device=f"cuda:{i % 8}",
            started="",
            phase="training",
            step=100 * i,
            num_steps=10_000,
            seconds=60.0 * i,
        )
        died = dataclasses.replace(one, ending="died", error="exit status -9")
        entries = [dataclasses.asdict(each) for each in (died, died, one)]
        (folder / "attempts" / f"c-{i}.json").write_text(json.dumps(entries))
        owner = {"host": one.host, "pid": one.pid, "start": "1"}
        (folder / "leases" / f"c-{i}.lease").write_text(json.dumps(owner))


def test_a_finished_folder_ends_the_watch_at_once(folder, make_record, capsys):
    finish(folder, make_record)
    assert watch(folder, every_s=0.1) == 0
    out = capsys.readouterr().out
    assert out.startswith("4/4 runs, 100.0 %")
    assert out.endswith("done: all 4 runs finished\n")


def test_failed_runs_are_its_exit_code(folder, make_record, capsys):
    finish(folder, make_record, failed=True)
    assert watch(folder, every_s=0.1) == 1
    assert "ended: 1 of 4 runs failed" in capsys.readouterr().out


def test_failed_runs_of_a_downloaded_corpus_are_its_exit_code(
    folder, make_record, command_line
):
    finish(folder, make_record, failed=True)
    shutil.rmtree(folder / "shards")
    (folder / PLAN).unlink()
    code, out, _ = command_line("status", str(folder), "--watch")
    assert code == 1
    assert out.endswith("ended: 1 of 4 runs failed\n")
    assert command_line("status", str(folder))[0] == 1


def test_it_ends_when_nobody_works_any_more(folder, capsys):
    assert watch(folder, every_s=0.05, patience_s=0.2) == 1
    out = capsys.readouterr().out
    assert "python -m harness.work" in out
    assert out.endswith("ended: nobody works any more\n")


def test_a_plan_that_stays_damaged_is_an_error_after_a_while(folder):
    (folder / PLAN).write_bytes(b"nonsense")
    with pytest.raises(CorpusError, match=r"plan\.parquet is damaged"):
        watch(folder, every_s=0.05, patience_s=0.1)


def test_every_look_is_a_document_if_json_is_asked_for(folder, capsys):
    assert watch(folder, every_s=0.05, patience_s=0.2, as_json=True) == 1
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(looks) > 1
    assert {look["planned"] for look in looks} == {4}


def test_it_waits_for_a_folder_and_follows_it_to_the_end(folder, tmp_path, make_record):
    hidden = folder.rename(tmp_path / "hidden")
    with started(folder) as watching:
        assert "waiting for" in watching.stderr.readline()
        lease = Lease.acquire(hidden / "leases", "c-0")
        with lease:
            hidden.rename(folder)
            assert "2 running" in watching.stdout.readline()
            finish(folder, make_record)
            (folder / "leases" / "c-0.lease").unlink()
        out, err = watching.communicate(timeout=60)
    assert (watching.returncode, "Traceback" in err) == (0, False)
    assert "done: all 4 runs finished" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_a_terminal_it_gives_the_screen_back_when_it_is_stopped(folder, number):
    busy(folder, 2)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with started(folder, stdout=theirs, stderr=theirs) as watching:
        os.close(theirs)
        shown = b""
        while b"Ctrl-C ends" not in shown:
            shown += os.read(ours, 65536)
        watching.send_signal(number)
        with contextlib.suppress(OSError):  # the end of a terminal
            while more := os.read(ours, 65536):
                shown += more
        assert watching.wait(timeout=60) == 0
    os.close(ours)
    assert b"node00" in shown
    assert b"Traceback" not in shown
    enter, leave = b"\x1b[?1049h", b"\x1b[?1049l"
    assert shown.count(enter) == shown.count(leave) == 1
    assert shown.index(enter) < shown.index(b"node00") < shown.index(leave)


@pytest.mark.parametrize("height", [3, 10, 24, 60])
@pytest.mark.parametrize("width", [30, 80, 200])
def test_one_screen_holds_it_whatever_its_size(folder, width, height):
    busy(folder, 40)
    lines = picture(folder, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[-1] == "the note"
    text = "\n".join(lines)
    if height >= 24 and width >= 80:
        assert "more lines" in text
        assert lines[2].split() == ["planned", *STATES]
        assert "cuda:0" in text
        assert "died twice on" in text


GENERATE = "from harness.cli import main; main()"
SLOW = ["--grid", "tests.harness.tiny:slow_grid"]
SLOW += ["--profile", "tests.harness.tiny:profile", "--jobs", "2"]


@pytest.mark.slow
def test_a_real_grid_is_watched_to_its_end_and_a_killed_worker_is_told(tmp_path):
    grid = tmp_path / "grid"
    place = {"PYTHONPATH": str(ROOT), "RUNCAST_CACHE_DIR": str(tmp_path / "cache")}
    with (
        started(grid) as watching,
        subprocess.Popen(
            [sys.executable, "-c", GENERATE, "generate", *SLOW, "--out", str(grid)],
            env=os.environ | place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as generating,
    ):
        deadline, trained = time.monotonic() + 120, []
        while not trained:
            assert time.monotonic() < deadline, "no worker began to train"
            time.sleep(0.05)
            with contextlib.suppress(CorpusError):
                workers = status(grid).workers
                trained = [w for w in workers if w.phase == "training"]
        os.kill(trained[0].pid, signal.SIGKILL)
        _, told = generating.communicate(timeout=120)
        out, err = watching.communicate(timeout=120)
    assert (generating.returncode, watching.returncode) == (0, 0), told + err
    assert "Traceback" not in err
    assert "retried: " in out
    assert f"died on {trained[0].host} cpu" in out
    assert out.endswith("done: all 6 runs finished\n")
    found = status(grid)
    (one,) = found.retried
    assert (one.cohort, one.attempts) == (trained[0].cohort, 2)
    assert (found.workers, found.gone, found.is_done) == ((), (), True)
