"""Claims: one holder, taken over only from the dead."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import storage
from harness.errors import StorageError
from harness.lease import STALE_S, Claim, Lease
from harness.storage import ABANDONED_S, TEMPORARY_PREFIX, sweep


def test_a_claim_has_one_holder_until_it_is_given_back(tmp_path):
    lease = Lease.acquire(tmp_path, "c-1")
    assert lease is not None
    with lease:
        assert Lease.acquire(tmp_path, "c-1") is None
        other = Lease.acquire(tmp_path, "c-2")
        assert other is not None
    assert Lease.acquire(tmp_path, "c-1") is not None


def test_the_claim_of_a_dead_process_is_taken_over_at_once(tmp_path):
    code = (
        "import sys, pathlib, os\n"
        "from harness.lease import Lease\n"
        "Lease.acquire(pathlib.Path(sys.argv[1]), 'c-1'); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / "c-1.lease").exists()
    assert Lease.acquire(tmp_path, "c-1") is not None


def test_a_claim_of_another_host_is_taken_over_only_after_silence(tmp_path):
    path = tmp_path / "c-1.lease"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "start": "1"}))
    assert Lease.acquire(tmp_path, "c-1") is None
    long_ago = time.time() - STALE_S - 60
    os.utime(path, (long_ago, long_ago))
    assert Lease.acquire(tmp_path, "c-1") is not None


def test_a_reused_process_number_does_not_keep_a_claim_alive(tmp_path):
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "start": "1"}
    (tmp_path / "c-1.lease").write_text(json.dumps(owner))
    assert Lease.acquire(tmp_path, "c-1") is not None


@pytest.mark.parametrize("attempt", range(3))
def test_of_many_claimants_of_a_dead_holders_work_one_wins(tmp_path, attempt):
    code = (
        "import sys, pathlib, time\n"
        "from harness.lease import Lease\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "got = Lease.acquire(pathlib.Path(sys.argv[1]), 'c-1')\n"
        "print(int(got is not None), flush=True); sys.stdin.readline()\n"
    )
    (tmp_path / "c-1.lease").write_text(
        json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1, "start": "1"})
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], **pipes)
        for _ in range(8)
    ]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 8
    for worker in workers:  # all wait: now they run for it
        worker.stdin.write("go\n")
        worker.stdin.flush()
    wins = [int(worker.stdout.readline()) for worker in workers]
    for worker in workers:  # nobody ends before all have tried
        worker.communicate("end\n")
    assert sum(wins) == 1
    assert Lease.acquire(tmp_path, "c-1") is not None  # the winner has ended


def test_threads_racing_for_a_dead_holders_work_never_both_win(tmp_path):
    dead = json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1, "start": "1"})
    for attempt in range(100):
        (tmp_path / f"c-{attempt}.lease").write_text(dead)
        with ThreadPoolExecutor(8) as pool:
            tries = [
                pool.submit(Lease.acquire, tmp_path, f"c-{attempt}") for _ in range(8)
            ]
            assert sum(one.result() is not None for one in tries) == 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".lease"}


def test_a_claim_tells_who_holds_it_and_an_unreadable_one_belongs_to_nobody(tmp_path):
    with Lease.acquire(tmp_path, "c-1"):
        claim = Claim.read(tmp_path / "c-1.lease")
        assert (claim.name, claim.host, claim.pid) == (
            "c-1",
            socket.gethostname(),
            os.getpid(),
        )
        assert not claim.is_gone(claim.heard + 1e9)  # its process lives
    assert Claim.read(tmp_path / "c-1.lease") is None
    for text in ("", "[]", "{", "null", '{"host": 1}', '{"host": "a", "pid": "x"}'):
        odd = Claim.parse("c-1", text, 0.0)
        assert (odd.host, odd.pid) == ("", 0)
        assert (odd.is_gone(STALE_S), odd.is_gone(STALE_S + 1)) == (False, True)


@pytest.mark.parametrize("skew_s", [-3600.0, 3600.0])
def test_whether_a_claim_is_silent_the_clock_of_the_files_tells(
    tmp_path, monkeypatch, skew_s
):
    owner = {"host": "elsewhere", "pid": 1, "start": "1"}
    (tmp_path / "living.lease").write_text(json.dumps(owner))
    (tmp_path / "silent.lease").write_text(json.dumps(owner))
    long_ago = time.time() - STALE_S - 60
    os.utime(tmp_path / "silent.lease", (long_ago, long_ago))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + skew_s)
    assert Lease.acquire(tmp_path, "living") is None
    assert Lease.acquire(tmp_path, "silent") is not None


def test_a_process_of_another_container_with_the_same_name_is_not_taken_for_dead(
    tmp_path,
):
    place = "another start of a machine, or another container"
    owner = {"host": socket.gethostname(), "pid": 1, "start": "1", "place": place}
    (tmp_path / "x.lease").write_text(json.dumps(owner))
    assert Lease.acquire(tmp_path, "x") is None
    (tmp_path / "y.lease").write_text(json.dumps({**owner, "place": ""}))
    assert Lease.acquire(tmp_path, "y") is not None


def test_what_is_no_file_in_the_place_of_a_claim_is_told(tmp_path):
    (tmp_path / "x.lease").mkdir()
    os.mkfifo(tmp_path / "y.lease")
    (tmp_path / "z.lease").symlink_to("nowhere")
    (tmp_path / "file").touch()
    (tmp_path / "w.lease").symlink_to("file")
    for name in ("x", "y", "z", "w"):
        told = rf"{name}\.lease.*is no file; move it away"
        with pytest.raises(StorageError, match=told):
            Lease.acquire(tmp_path, name)


def test_a_claim_that_cannot_be_given_back_does_not_hide_what_went_wrong(tmp_path):
    folder = tmp_path / "leases"

    def work() -> None:
        folder.rename(tmp_path / "away")
        folder.symlink_to(folder)  # from here on every call fails, removal too
        raise StorageError("no space")

    lease = Lease.acquire(folder, "c-1")
    with pytest.raises(StorageError, match=r"^no space$"), lease:
        work()


def test_a_claim_that_cannot_be_written_leaves_no_trace(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(StorageError, match=r"c-1\.lease: File too large"):
            Lease.acquire(tmp_path, "c-1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_of_a_claim_is_swept(tmp_path, monkeypatch):
    folder = tmp_path / "leases"
    code = (
        "import sys, os, pathlib\n"
        "from harness.lease import Lease\n"
        "def die(event, details):\n"
        "    if event == moment: os._exit(9)\n"
        "sys.addaudithook(die)\n"
        "for moment in ('os.link', 'os.rename'):\n"
        "    child = os.fork()\n"
        "    if child == 0: Lease.acquire(pathlib.Path(sys.argv[1]), moment)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9\n"
    )
    folder.mkdir()
    dead = {"host": socket.gethostname(), "pid": 2**22 + 1, "start": "1"}
    (folder / "os.rename.lease").write_text(json.dumps(dead))
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    left = sorted(path.name for path in folder.iterdir())
    assert left.pop() == "os.rename.lease"
    assert len(left) == 3  # two that were written, and the marker of who takes over
    assert all(name.startswith(TEMPORARY_PREFIX) for name in left)
    later = time.time() + 2 * ABANDONED_S
    monkeypatch.setattr(storage, "time_in", lambda folder: later)
    sweep(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["os.rename.lease"]
