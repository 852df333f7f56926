"""Faults that a test plans for the loopback Hub, by the number of the request.

| kind | what the client sees | processed |
|---|---|---|
| refused | the connection closes before any answer | no |
| 503, 401 | that status | no |
| 429 | that status with `Retry-After` | no |
| 412 | a commit's parent is stale: somebody else has committed | no |
| dropped | the connection closes before any answer | yes |
| half | the answer breaks off | yes |
"""

import re
import threading
from dataclasses import dataclass

KINDS = ("refused", "503", "dropped", "half", "412", "401", "429")
COMMIT = re.compile(r"POST /api/\w+/[^/]+/[^/]+/commit/")


@dataclass
class Fault:
    """A planned fault."""

    at: int
    "matching requests until it strikes; 1 is the next"
    kind: str
    "one of KINDS"
    times: int
    "requests in a row that suffer it"
    match: re.Pattern[str]
    "counts only requests whose 'METHOD /path' this finds"
    struck: int = 0
    "requests that have suffered it"


class Faults:
    """All planned faults."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self._lock = threading.Lock()

    def plan(self, at: int, kind: str, times: int, match: str) -> Fault:
        if kind not in KINDS:
            raise ValueError(f"fault {kind!r}: expected one of {', '.join(KINDS)}")
        if at < 1 or times < 1:
            raise ValueError(f"at={at}, times={times}: both count from 1")
        fault = Fault(at, kind, times, re.compile(match))
        with self._lock:
            self._planned.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    def next(self, method: str, path: str) -> str | None:
        """Return what the request suffers and count it."""
        called = f"{method} {path}"
        hit = None
        with self._lock:
            for fault in self._planned:
                if not fault.match.search(called):
                    continue
                fault.at -= 1
                if hit is None and self._strikes(fault, called):
                    fault.struck += 1
                    hit = fault.kind
        return hit

    @staticmethod
    def _strikes(fault: Fault, called: str) -> bool:
        if fault.at > 0 or fault.struck >= fault.times:
            return False
        # Only a commit can have a stale parent: the fault waits for one.
        return fault.kind != "412" or COMMIT.match(called) is not None
