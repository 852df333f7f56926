"""docs/cluster/ray.sbatch with commands of paper: when it begins, and when it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.test_cli import ROOT

COMMANDS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "sleep": "exec /bin/sleep 0.05",  # a second is for people
    "hostname": "echo 10.0.0.1 10.0.0.2",
    "scontrol": """
        if [ "$1" = show ]; then printf 'node1\\nnode2\\n'; else echo "$*" >requeued; fi
        """,
    "ray": """
        case "$*" in
        status*) [ -e head ] ;;
        *--head*)
            if [ -e broken ]; then echo "this port is taken"; exit 1; fi
            touch head
            exec /bin/sleep 60 ;;
        *)
            until [ -e late ]; do sleep 0.05; done
            touch other
            exec /bin/sleep 60 ;;
        esac
        """,
    "harness": 'echo "$RAY_ADDRESS $*" >ran',
}
LIBRARY = """
from pathlib import Path
def init(address, **_):
    assert address == "10.0.0.1:20017", address
def nodes():
    Path("asked").touch()
    return [{"Alive": Path(name).exists()} for name in ("head", "other", "lost")]
"""


@dataclass(frozen=True, slots=True)
class Job:
    """The script at work, and the folder in which its commands leave signs."""

    process: subprocess.Popen
    place: Path

    def wait_for(self, sign: str) -> None:
        deadline = time.monotonic() + 60
        while not (self.place / sign).exists():
            assert time.monotonic() < deadline
            assert self.process.poll() is None, (self.place / "log").read_text()
            time.sleep(0.02)


def end(process: subprocess.Popen) -> None:
    """End a job with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Job]]:
    for name, text in COMMANDS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "bin" / "ray.py").write_text(LIBRARY)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((tmp_path / "log").open("w"))

        def started() -> Job:
            process = subprocess.Popen(
                ["bash", ROOT / "docs/cluster/ray.sbatch", "--grid", "t4"],
                cwd=tmp_path,
                env=os.environ
                | {
                    "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                    "PYTHONPATH": str(tmp_path / "bin"),
                    "SLURM_JOB_ID": "4710017",
                    "SLURM_JOB_NODELIST": "node[1-2]",
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            stack.callback(end, process)
            return Job(process, tmp_path)

        yield started


def test_the_driver_begins_when_ray_lists_every_node(start):
    job = start()
    job.wait_for("asked")
    assert not (job.place / "ran").exists()
    (job.place / "late").touch()
    assert job.process.wait(timeout=60) == 0
    ran = (job.place / "ran").read_text()
    assert ran == "10.0.0.1:20017 generate --executor ray --grid t4\n"


def test_a_head_that_cannot_start_ends_the_job_with_a_line(start, tmp_path):
    (tmp_path / "broken").touch()
    job = start()
    assert job.process.wait(timeout=60) == 1
    said = (tmp_path / "log").read_text().splitlines()
    assert said[0] == "this port is taken"
    assert said[1].startswith("Ray's head did not start on node1 at 10.0.0.1:20017")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("number", "code", "put_back"),
    [(signal.SIGUSR1, 75, True), (signal.SIGTERM, 143, False)],
)
def test_a_signal_before_the_grid_has_begun_is_heeded(start, number, code, put_back):
    job = start()
    job.wait_for("asked")
    job.process.send_signal(number)
    assert job.process.wait(timeout=60) == code
    assert (job.place / "requeued").exists() == put_back
    assert not (job.place / "ran").exists()
