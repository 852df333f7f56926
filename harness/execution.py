"""How a cohort's functions are run on a device: directly, compiled, or as CUDA graphs.

A small batch leaves a fast GPU idle while the host starts one kernel after another. A
graph starts them all at once; compilation joins elementwise kernels, which halves the
bytes that move. Both need functions that work on tensors at fixed addresses and never
ask the device for a value.
"""

import importlib
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar, cast

import torch

Body = Callable[[], None]
F = TypeVar("F", bound=Callable[..., Any])

NAMES: Final = ("auto", "eager", "graph", "compiled")
"""Ways to run, as users name them; see `execution_for`."""

WARM_UP: Final = 3
"""Calls of a body before it is recorded: libraries choose kernels and workspaces."""


TRANSLATIONS: Final = 64
"""Shapes for which a worker may compile a function: batch sizes, packs, networks."""


class Recorder(Protocol):
    """Records what a body does and does it again."""

    def warm_up(self, body: Body) -> None:
        """Run `body` as it will be recorded."""
        ...

    def record(self, body: Body) -> Body:
        """Record `body` without running it; return what repeats it."""
        ...


class CudaRecorder:
    """Records bodies as CUDA graphs that share one pool of memory.

    What a body leaves behind for a later call must lie in tensors that were there
    before it was recorded: the pool is overwritten by whichever graph runs next.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, body: Body) -> None:
        """Run `body` on the stream on which it will be recorded."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            body()
        current.wait_stream(self._stream)

    def record(self, body: Body) -> Body:
        """Record `body`; the graph runs on whichever stream is current."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            body()
        return graph.replay


class Memory:
    """Which recording the memory that all recordings share was last filled by."""

    def __init__(self) -> None:
        self.holder: Fixed | None = None


class Fixed:
    """A body that is called over and over, recorded after some direct calls.

    A body may read what another one, `after`, left behind in the shared memory: that
    one is repeated first if a third has run since.

    Attributes:
        settled: Whether calls are cheap from now on: the next one compiles, chooses or
            records nothing.
    """

    def __init__(
        self,
        body: Body,
        recorder: Recorder,
        memory: Memory,
        *,
        warm_up: int = WARM_UP,
        after: "Fixed | None" = None,
    ) -> None:
        self._body, self._recorder, self._memory = body, recorder, memory
        self._warm_up, self._after = warm_up, after
        self._repeat: Body | None = None
        self._calls = 0

    @property
    def settled(self) -> bool:
        """Whether the body has been recorded."""
        return self._repeat is not None

    def __call__(self) -> None:
        """Do what the body does."""
        direct = self._repeat is None and self._calls < self._warm_up
        if self._after is not None and (self._after.settled or not direct):
            self._after._hold()
        if direct:
            self._calls += 1
            self._recorder.warm_up(self._body)
            return
        if self._repeat is None:
            self._repeat = self._recorder.record(self._body)
        if self._after is None:
            self._memory.holder = self
        self._repeat()

    def _hold(self) -> None:
        """Be recorded, and the last to have filled the shared memory."""
        while self._memory.holder is not self:
            self()


class Direct:
    """A body that is called as it is.

    Attributes:
        settled: As of `Fixed`; a compiled function is translated at its first call.
    """

    def __init__(self, body: Body, warm_up: int) -> None:
        self._body, self._left = body, warm_up

    @property
    def settled(self) -> bool:
        """Whether the first calls, in which functions are compiled, are over."""
        return self._left == 0

    def __call__(self) -> None:
        """Do what the body does."""
        self._left = max(0, self._left - 1)
        self._body()


class Execution:
    """A way to run a cohort's functions; the numbers agree within rounding.

    Attributes:
        name: "eager", "graph" or "compiled", as recorded with a run.
        static: Whether bodies must not ask the device for a value.
        records: Whether fixed bodies are recorded.
    """

    def __init__(
        self, name: str, recorder: Recorder | None = None, *, compiled: bool = False
    ) -> None:
        self.name = name
        self.static = compiled or recorder is not None
        self.records = recorder is not None
        self._recorder = recorder
        self._memory = Memory()
        self._compiled = compiled

    def fixed(
        self, body: Body, *, warm_up: int = WARM_UP, after: Fixed | None = None
    ) -> Fixed | Direct:
        """Return `body` for many calls: a function of tensors at fixed addresses.

        Args:
            body: It may be recorded and repeated.
            warm_up: Direct calls before it is recorded.
            after: A recorded body whose results it reads where they were left.
        """
        if self._recorder is not None:
            return Fixed(
                body, self._recorder, self._memory, warm_up=warm_up, after=after
            )
        return Direct(body, warm_up=int(self._compiled))

    def compiled(self, function: F) -> F:
        """Return `function`, translated at its first call where that is asked for.

        Shapes are taken as fixed: another shape is another translation.
        """
        if not self._compiled:
            return function
        dynamo: Any = importlib.import_module("torch._dynamo.config")
        dynamo.recompile_limit = TRANSLATIONS
        dynamo.fail_on_recompile_limit_hit = True  # by default it gives up in silence
        return cast(F, torch.compile(function, dynamic=False))


def execution_for(
    name: str, device: torch.device, *, recordable: bool = True
) -> Execution:
    """Return the way to run called `name` on a device.

    Args:
        name: "eager": kernel by kernel; "graph": CUDA graphs; "compiled":
            torch.compile, on a GPU in CUDA graphs; "auto": eager on a CPU, graphs on a
            GPU.
        device: Where the cohort trains.
        recordable: False for networks that draw random numbers in every step, which a
            graph would repeat: they are run without.

    Raises:
        ValueError: The name is unknown, or graphs are asked for on a CPU.
    """
    if name not in NAMES:
        raise ValueError(f"execution is {name!r}, expected one of {', '.join(NAMES)}")
    cuda = device.type == "cuda"
    if name == "auto":
        name = "graph" if cuda else "eager"
    if name == "graph" and not cuda:
        raise ValueError(
            f"execution is 'graph' on the device {device.type}: CUDA graphs need a "
            "GPU; use auto, eager or compiled"
        )
    if not recordable:
        name = "eager" if name == "graph" else name
        return Execution(name, compiled=name == "compiled")
    recorder = CudaRecorder(device) if cuda and name != "eager" else None
    return Execution(name, recorder, compiled=name == "compiled")
