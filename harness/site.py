"""Where a grid is trained: this machine, or a Ray cluster."""

import sys
from typing import TYPE_CHECKING, Protocol

from harness.datasets import Source
from harness.device import Setting, device_names
from harness.environment import allowed_cores
from harness.executors.crew import Crew
from harness.generate import Executor
from harness.scout import Looks, Scout

if TYPE_CHECKING:
    from harness.executors.ray.cluster import Cluster
    from harness.executors.ray.scout import RayScout


class Site(Protocol):
    """Devices, workers on them, and who lets them train."""

    devices: tuple[str, ...]
    """Devices for the workers, by type alone where the site chooses which."""
    jobs: int
    """Workers."""

    def scout(self, setting: Setting, source: Source) -> Looks:
        """Return who times work there."""
        ...

    def executor(self, crew: Crew) -> Executor:
        """Return who trains."""
        ...

    def close(self) -> None:
        """Part from the site, where no executor has done so."""
        ...


def find_site(
    executor: str,
    *,
    device: str | None,
    jobs: int | None,
    threads: int,
    address: str | None = None,
) -> Site:
    """Return where to train.

    Args:
        executor: local or ray.
        device: Devices asked for; None: the best.
        jobs: Workers asked for; None: as many as there is room for.
        threads: Of each worker.
        address: Of the Ray cluster, see `Cluster.join`.

    Raises:
        ValueError: Another executor, a device that is not there, or an address
            without Ray.
        RuncastError: There is no such cluster.
    """
    if executor == "ray":
        from harness.executors.ray.cluster import Cluster

        cluster = Cluster.join(address, cores=(jobs or 0) * threads)
        return RaySite(cluster, device=device, jobs=jobs, threads=threads)
    if executor != "local":
        raise ValueError(f"no executor is called {executor!r} (known: local, ray)")
    if address is not None:
        raise ValueError("--ray-address names a Ray cluster: add --executor ray")
    return LocalSite(device=device, jobs=jobs, threads=threads)


class LocalSite:
    """This machine."""

    def __init__(self, *, device: str | None, jobs: int | None, threads: int) -> None:
        self.devices = device_names(device)
        cores = max(1, allowed_cores() // threads)
        self.jobs = jobs or (cores if self.devices == ("cpu",) else len(self.devices))

    def scout(self, setting: Setting, source: Source) -> Scout:
        """Return who times work on the first device."""
        return Scout(setting, source, _tell)

    def executor(self, crew: Crew) -> Executor:
        """Return worker processes."""
        from harness.executors.local import LocalExecutor

        return LocalExecutor(crew)

    def close(self) -> None:
        """Do nothing: nobody has been met."""


class RaySite:
    """A Ray cluster, joined.

    Raises:
        ValueError: A device that is not there; the cluster is left.
    """

    def __init__(
        self, cluster: "Cluster", *, device: str | None, jobs: int | None, threads: int
    ) -> None:
        self._cluster = cluster
        self._scout: RayScout | None = None
        self._elastic = jobs is None
        try:
            self.devices = self._cluster.devices(device)
        except ValueError:
            self.close()
            raise
        self.jobs = jobs or self._cluster.room(self.devices[0], threads)
        names = ", ".join(self._cluster.nodes.values())
        _tell(f"ray: {self._cluster.address}: {names}")

    def scout(self, setting: Setting, source: Source) -> Looks:
        """Return who times work on a GPU there, or on the processor here."""
        if self.devices == ("cpu",):
            return Scout(setting, source, _tell)
        from harness.executors.ray.scout import RayScout

        self._scout = RayScout(self._cluster, setting, source)
        return self._scout

    def executor(self, crew: Crew) -> Executor:
        """Return actors."""
        from harness.executors.ray.executor import RayExecutor

        tuned = self._scout.leave() if self._scout else {}
        return RayExecutor(crew, self._cluster, elastic=self._elastic, tuned=tuned)

    def close(self) -> None:
        """Part from the cluster; one that was started for this grid ends."""
        try:
            if self._scout is not None:
                self._scout.close()
        finally:
            self._cluster.leave()


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
