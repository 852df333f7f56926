"""SLURM on this machine: its daemons, nodes in name only, gone with this process.

They run in namespaces of their own (processes, host name): as on a real cluster a login
node cannot see the processes of a job, and killing the first kills all, jobs included.
"""

import contextlib
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "cluster"
CPUS: Final = 4
"""Declared of each node, whatever the machine has."""
DEVICES: Final = ("/dev/zero", "/dev/full")
"""Devices in the place of each node's GPUs."""
READY_S: Final = 60.0
FINAL: Final = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
"""States of a job that do not change any more."""

DAEMONS: Final = """
hostname {host}
munged --foreground --force --key-file={at}/munge.key --socket={at}/munge.socket \
  --pid-file={at}/munged.pid --log-file={at}/munged.log --seed-file={at}/munge.seed &
until [ -S {at}/munge.socket ]; do sleep 0.05; done
slurmctld -D -f {at}/slurm.conf &
for node in {nodes}; do slurmd -D -N "$node" -f {at}/slurm.conf & done
wait
"""

CONFIGURATION: Final = """
ClusterName=scratch
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={at}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={at}/state
SlurmctldPidFile={at}/slurmctld.pid
SlurmctldLogFile={at}/slurmctld.log
SlurmdSpoolDir={at}/spool-%n
SlurmdPidFile={at}/slurmd-%n.pid
SlurmdLogFile={at}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
JobRequeue=1
KillWait=20
ReturnToService=2
GresTypes=gpu
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
# cred_expire is also how long a requeued job waits: 120 s unless it is set.


@dataclass(frozen=True, slots=True)
class Slurm:
    """A running SLURM, spoken to by its own commands."""

    place: Path
    environment: dict[str, str]
    """Of jobs, and of the commands: SLURM hands it on."""

    def command(self, *words: object, cwd: Path | None = None) -> str:
        """Run a command of SLURM; return what it prints.

        Raises:
            AssertionError: It failed.
        """
        done = subprocess.run(
            [str(word) for word in words],
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def submit(self, *words: object, cwd: Path) -> str:
        """Submit a job from a folder; return its number."""
        return self.command("sbatch", "--parsable", *words, cwd=cwd)

    def states(self, job: str) -> list[str]:
        """Return the states of a job's elements, each once."""
        said = self.command("squeue", "-h", "-t", "all", "-r", "-o", "%T", "-j", job)
        return sorted(set(said.split()))

    def wait_for(self, job: str, state: str, limit_s: float = 100.0) -> None:
        """Wait until all elements of a job are in a state.

        Raises:
            AssertionError: They are not, in time.
        """
        deadline = time.monotonic() + limit_s
        while (states := self.states(job)) != [state]:
            late = time.monotonic() > deadline or set(states) <= FINAL
            assert not late, f"job {job} is {states}, not {state}"
            time.sleep(0.2)


@contextlib.contextmanager
def running(
    place: Path, environment: dict[str, str], nodes: int = 2
) -> Iterator[Slurm]:
    """Start SLURM in a folder of its own; yield it once every node is idle."""
    _write_configuration(place, [f"node{i}" for i in range(1, nodes + 1)])
    found = Slurm(place, environment | {"SLURM_CONF": str(place / "slurm.conf")})
    names = " ".join(f"node{i}" for i in range(1, nodes + 1))
    with (place / "daemons.log").open("w") as log:
        daemons = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),  # go when this process goes
                *("unshare", "--pid", "--uts", "--fork", "--kill-child"),
                *("--mount-proc", "bash", "-c"),
                DAEMONS.format(at=place, host=HOST, nodes=names),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_idle(found, nodes)
        yield found
    finally:
        daemons.kill()
        daemons.wait()


def _write_configuration(place: Path, names: list[str]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / "state").mkdir()
    key = place / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    ports = _free_ports(1 + len(names))
    lines, devices = [], []
    for name, port in zip(names, ports[1:], strict=True):
        devices += [f"NodeName={name} Name=gpu File={device}" for device in DEVICES]
        lines.append(
            f"NodeName={name} NodeAddr=127.0.0.1 NodeHostname={HOST} Port={port} "
            f"CPUs={CPUS} RealMemory=1000 Gres=gpu:{len(DEVICES)} State=UNKNOWN"
        )
    (place / "gres.conf").write_text("\n".join(devices) + "\n")
    (place / "slurm.conf").write_text(
        CONFIGURATION.format(
            at=place, host=HOST, controller=ports[0], nodes="\n".join(lines)
        )
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def _wait_until_idle(found: Slurm, nodes: int) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        said = subprocess.run(
            ["sinfo", "-h", "-p", "all", "-N", "-o", "%T"],
            env=found.environment,
            capture_output=True,
            text=True,
        )
        if said.stdout.split() == ["idle"] * nodes:
            return
        log = (found.place / "daemons.log").read_text()[-2000:]
        assert time.monotonic() < deadline, f"{said.stdout}{said.stderr}\n{log}"
        time.sleep(0.2)
