"""A Ray cluster that this process has joined, and what it has room for."""

import logging
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.environment import allowed_cores
from harness.errors import RuncastError
from harness.executors.local import cpu_environment
from harness.executors.ray.words import NAMESPACE, Terms

ADDRESS: Final = "RAY_ADDRESS"
KNOCK_S: Final = 5.0
_LAST_PORT: Final = 65535
_VARIABLES: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning from every worker
    "RAY_worker_niceness": "0",  # else other processes of the machine come first
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A joined cluster; `leave` it in the end."""

    ray: Any
    """The library."""
    address: str
    """For people: where it is."""

    @classmethod
    def join(cls, address: str | None, *, cores: int = 0) -> "Cluster":
        """Join a running cluster, or start one on this machine.

        Args:
            address: HOST:PORT, or auto for the one that runs on this machine; None: as
                RAY_ADDRESS says, and without it a cluster that ends with this process.
            cores: Workers and threads asked for: a cluster started here has room.

        Raises:
            ModuleNotFoundError: Ray is not installed.
            RuncastError: There is no such cluster, or it does not let us in.
        """
        for name, value in _VARIABLES.items():
            os.environ.setdefault(name, value)
        where = address or os.environ.get(ADDRESS) or "local"
        if where not in ("local", "auto"):
            _knock(where)
            if _has_token():
                # as `ray start` does; `ray.init` forgets it for an address, and what is
                # set after the import is not heard
                os.environ.setdefault("RAY_AUTH_MODE", "token")
        ray = _import_ray()
        room = {"num_cpus": max(allowed_cores(), cores), "include_dashboard": False}
        try:
            ray.init(
                address=where,
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(room if where == "local" else {}),
            )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise _not_joined(where, _first_line(error)) from error
        return cls(ray, "started on this machine" if where == "local" else where)

    def leave(self) -> None:
        """Part from the cluster; one started by `join` ends."""
        self.ray.shutdown()

    @property
    def nodes(self) -> dict[str, str]:
        """Names of the living nodes by Ray's ids."""
        alive = [node for node in self.ray.nodes() if node["Alive"]]
        return {node["NodeID"]: node["NodeManagerHostname"] for node in alive}

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return int(self.ray.cluster_resources().get("GPU", 0))

    def devices(self, asked: str | None) -> tuple[str, ...]:
        """Return what workers may train on: a CUDA device a GPU, or the processors.

        Args:
            asked: cpu or cuda; None: GPUs if there are any.

        Raises:
            ValueError: Another device, or no GPU.
        """
        if asked not in (None, "cpu", "cuda"):
            raise ValueError(
                f"--device is {asked!r}, expected cpu or cuda: Ray chooses which"
            )
        gpus = 0 if asked == "cpu" else self.gpus
        if asked == "cuda" and not gpus:
            raise ValueError(
                f"no node of the Ray cluster ({', '.join(self.nodes.values())}) has a "
                "GPU: start them with `ray start --num-gpus N`, or train with "
                "--device cpu"
            )
        return ("cuda",) * gpus or ("cpu",)

    def room(self, device: str, threads: int) -> int:
        """Return how many workers the nodes have room for, at least one.

        Args:
            device: cpu, or cuda for one worker a GPU.
            threads: Of each worker.
        """
        if device != "cpu":
            return max(1, self.gpus)
        alive = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        return max(1, sum(int(each.get("CPU", 0)) // threads for each in alive))

    def start(
        self, kind: type, *arguments: Any, name: str | None = None, **room: Any
    ) -> Any:
        """Start an actor, once there is room for it; return its handle.

        Args:
            kind: Its class.
            *arguments: Of its constructor.
            name: By which another driver finds it; it then outlives this process.
            **room: Its `num_cpus`, `num_gpus` and `environment`.
        """
        options = {"name": name, "lifetime": "detached"} if name else {}
        variables = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        variables |= room.pop("environment", {})
        remote = self.ray.remote(
            max_restarts=0,
            runtime_env={"env_vars": variables},
            **options,
            **room,
        )(kind)
        return remote.remote(*arguments)

    def named(self, beginning: str) -> list[str]:
        """Return the names of living actors of this program that begin so."""
        listed = self.ray.util.list_named_actors(all_namespaces=True)
        mine = [each["name"] for each in listed if each["namespace"] == NAMESPACE]
        return sorted(name for name in mine if name.startswith(beginning))

    def kill(self, actor: Any) -> None:
        """End an actor at once, whatever it does."""
        self.ray.kill(actor, no_restart=True)


def share_of_gpu(jobs: int, gpus: int) -> float:
    """Return what a worker takes of a GPU so that all find room.

    Ray gives a share of one GPU, or whole ones: three workers on two GPUs take halves.

    Example:
        >>> share_of_gpu(3, 2), share_of_gpu(2, 4)
        (0.5, 1.0)
    """
    per_gpu = max(1, -(-jobs // gpus))
    return int(10_000 / per_gpu) / 10_000  # Ray counts in ten-thousandths


def worker_room(terms: Terms, jobs: int, gpus: int) -> dict[str, Any]:
    """Return the room and the variables with which a worker must start."""
    threads = terms.setting["threads"]
    if terms.setting["device"] == "cpu":
        environment = cpu_environment(threads)
        return {"num_cpus": threads, "num_gpus": 0, "environment": environment}
    return {"num_cpus": threads, "num_gpus": share_of_gpu(jobs, gpus)}


def _knock(where: str) -> None:
    """Raise RuncastError where nobody listens; Ray would try for minutes."""
    if "://" in where:
        return
    host, _, port = where.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise _not_joined(where, "expected HOST:PORT, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except OSError as error:
        raise _not_joined(where, str(error)) from error


def _not_joined(where: str, why: str) -> RuncastError:
    return RuncastError(
        f"no Ray cluster can be joined at {where} ({why}): start one with `ray start "
        f"--head`, name it with --ray-address HOST:PORT or {ADDRESS}, or leave both "
        "out; this machine and every node need the same Ray and Python, and the same "
        "RAY_AUTH_TOKEN where it asks for one"
    )


def _has_token() -> bool:
    """Tell whether this user has a token of Ray's, which a cluster may ask for."""
    named = any(os.environ.get(f"RAY_AUTH_TOKEN{end}") for end in ("", "_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").exists()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _import_ray() -> Any:
    try:
        import ray
        import ray.util
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "--executor ray needs Ray: pip install 'runcast[ray]'"
        ) from error
    return ray
