"""Seconds by purpose, without stalling a GPU."""

import time
from collections import defaultdict
from collections.abc import Mapping

import torch


class Clock:
    """A stopwatch with one account running at a time, such as "train" or "eval".

    On a CPU it reads the monotonic clock. On CUDA it records one event a change of
    account and reads the events in `seconds`, so that timing never waits for the
    device in between.

    What no account is charged with, from the clock's making on, is waiting: for data,
    for the device, for a file.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._account: str | None = None
        self._since = 0.0
        self._start = time.perf_counter()
        self._before = 0.0
        self._marks: list[tuple[str | None, torch.cuda.Event]] = []

    def charge(self, account: str | None) -> None:
        """Charge the time from now on to `account`; None charges nobody."""
        if account == self._account:
            return
        if self._cuda:
            mark = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            mark.record()
            self._marks.append((account, mark))
        else:
            now = time.perf_counter()
            if self._account is not None:
                self._seconds[self._account] += now - self._since
            self._since = now
        self._account = account

    def seconds(self) -> dict[str, float]:
        """Return the closed accounts' totals; on CUDA waits for the last event."""
        for (account, start), (_, end) in zip(
            self._marks, self._marks[1:], strict=False
        ):
            if account is not None:
                end.synchronize()
                self._seconds[account] += start.elapsed_time(end) / 1000.0
        del self._marks[:-1]
        return dict(self._seconds)

    def waited(self) -> float:
        """Return the seconds since the start that are charged to no account."""
        passed = self._before + time.perf_counter() - self._start
        return max(0.0, passed - sum(self.seconds().values()))

    def load(self, totals: Mapping[str, float]) -> None:
        """Add the totals of an interrupted part of the same run."""
        for account, value in totals.items():
            self._seconds[account] += value
            self._before += value
