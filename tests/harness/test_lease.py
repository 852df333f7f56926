"""Claims: one holder, taken over only from the dead."""

import json
import os
import socket
import subprocess
import sys
import time

from harness.lease import STALE_S, Lease


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


def test_of_many_claimants_one_wins(tmp_path):
    code = (
        "import sys, pathlib, time\n"
        "from harness.lease import Lease\n"
        "while time.time() < float(sys.argv[2]): pass\n"
        "got = Lease.acquire(pathlib.Path(sys.argv[1]), 'c-1')\n"
        "print(int(got is not None), flush=True); time.sleep(1)\n"
    )
    (tmp_path / "c-1.lease").write_text(
        json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1, "start": "1"})
    )
    start = str(time.time() + 1.5)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), start], stdout=subprocess.PIPE
        )
        for _ in range(6)
    ]
    wins = [int(worker.communicate()[0]) for worker in workers]
    assert sum(wins) == 1
