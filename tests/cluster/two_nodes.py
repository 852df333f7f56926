"""Two machines for Ray on this one: namespaces joined by a pair of virtual cables.

Each has its network, host name, processes and mounts. Killing the first process of a
machine kills all of its processes, and nothing outside of it.
"""

import contextlib
import dataclasses
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.profiles import Profile
from harness.spec import Part, RunConfig

PORT: Final = 6379
READY_S: Final = 120.0
RAY: Final = str(Path(sys.executable).with_name("ray"))
BRIDGE_ADDRESSES: Final = "10.67.88.{}"


def grid(base: Profile) -> list[RunConfig]:
    """Return 12 runs in 6 cohorts, slow while there is a brake (see `paced`)."""
    runs = [
        base.run(optimizer=optimizer, batch_size=batch_size, seed=seed)
        for optimizer in ("sgd", "adamw", "lion")
        for batch_size in (64, 128)
        for seed in range(2)
    ]
    slow = Part("tests.cluster.paced:model")
    return [dataclasses.replace(run, model=slow, epochs=60) for run in runs]


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that runs Ray."""

    name: str
    first: subprocess.Popen
    """Its first process, whose end is that of all others."""
    pid: int
    """The same inside its namespaces, as this machine counts."""
    cable: str

    def start(self, command: list[str], **options: Any) -> subprocess.Popen:
        """Start a process on it."""
        enter = ["nsenter", "--target", str(self.pid), "--all", "--wd=/"]
        return subprocess.Popen([*enter, *command], **options)

    def kill(self) -> None:
        """Pull its plug: no process of it lives on, and nobody can reach it."""
        ip("link", "set", self.cable, "down")
        os.kill(self.pid, 9)
        self.first.wait()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two nodes of one cluster."""

    head: Node
    other: Node
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """The cluster's."""
        return f"{BRIDGE_ADDRESSES.format(1)}:{PORT}"


@contextlib.contextmanager
def joined(
    place: Path, environment: dict[str, str], *, hidden: Path | None = None
) -> Iterator[Pair]:
    """Start two nodes of one Ray cluster and yield them once both are there.

    Args:
        place: Folder for logs, and for what Ray writes (its path must be short).
        environment: Of all processes.
        hidden: A folder that the second node does not see.
    """
    tag = secrets.token_hex(2)
    variables = environment | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    bridge = f"rb{tag}"
    nodes: list[Node] = []
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("link", "set", bridge, "up")
        for number in (1, 2):
            nodes.append(_node(place, variables, tag, number, hidden))
        _wait_until_joined(nodes[0], variables)
        yield Pair(nodes[0], nodes[1], variables)
    finally:
        for node in nodes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(node.pid, 9)
            node.first.wait()
        for number in (1, 2):
            with contextlib.suppress(AssertionError):
                ip("netns", "delete", f"ray{tag}{number}")
        with contextlib.suppress(AssertionError):
            ip("link", "delete", bridge)


def _node(
    place: Path, variables: dict[str, str], tag: str, number: int, hidden: Path | None
) -> Node:
    name, space, cable = f"node{number}", f"ray{tag}{number}", f"rc{tag}{number}"
    address = BRIDGE_ADDRESSES.format(number)
    ip("netns", "add", space)
    ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
    ip("link", "set", cable, "master", f"rb{tag}", "up")
    ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        ip("-n", space, "link", "set", device, "up")
    role = ["--head", f"--port={PORT}", "--include-dashboard=false"]
    role.append(f"--temp-dir={place / 'r'}")
    if number > 1:
        role = [f"--address={BRIDGE_ADDRESSES.format(1)}:{PORT}"]
    veil = f"mount -t tmpfs none {hidden};" if hidden and number > 1 else ""
    start = [RAY, "start", "--block", f"--node-ip-address={address}", "--num-cpus=1"]
    script = f"hostname {name}; {veil} exec {' '.join([*start, *role])}"
    with (place / f"{name}.log").open("w") as log:
        first = subprocess.Popen(
            [
                *("ip", "netns", "exec", space, "setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--pid", "--uts", "--mount", "--fork", "--kill-child"),
                *("--mount-proc", "bash", "-c", script),
            ],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return Node(name, first, _child(first), cable)


def _child(first: subprocess.Popen) -> int:
    """Return the process that `unshare` has made, which is the first of its machine."""
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    deadline = time.monotonic() + READY_S
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(found[0])


def _wait_until_joined(head: Node, variables: dict[str, str]) -> None:
    script = (
        "import ray, time\n"
        f"ray.init('{BRIDGE_ADDRESSES.format(1)}:{PORT}', log_to_driver=False)\n"
        "while sum(n['Alive'] for n in ray.nodes()) < 2: time.sleep(0.2)\n"
    )
    deadline = time.monotonic() + READY_S
    while True:
        asking = head.start(
            [sys.executable, "-c", script],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            said, _ = asking.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            asking.kill()
            said, _ = asking.communicate()
        if asking.returncode == 0:
            return
        assert time.monotonic() < deadline, said
        time.sleep(1.0)


def ip(*words: str) -> None:
    """Run a command of iproute2."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
