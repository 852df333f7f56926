"""The table `signals` of a corpus: what every signal means and what it cost."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from harness.schema import SIGNALS, Signal

_ACCOUNT: Final = {"train": "log_s", "evaluate": "eval_s"}
"""Where the time of the signals that need no probe is charged."""

PRICE_COLUMNS: Final = (
    "probe_seconds_per_run",
    "probe_forward_images_per_run",
    "probe_backward_images_per_run",
    "probe_share_of_train_seconds",
    "probe_share_of_train_passes",
)
"""Means over the runs that carry the signal. A probe of several signals is paid once:
each of them shows its whole price. A share of passes weighs a backward pass as two
forward ones; null means not counted."""


class Payer(Protocol):
    """What is asked of a run: a `RunRecord`, or less."""

    @property
    def signals(self) -> Sequence[Signal]:
        """Signals of the probes that it carried."""

    @property
    def costs(self) -> Mapping[str, float]:
        """What it spent, by account."""


class _Price(NamedTuple):
    """Sums over runs."""

    runs: float = 0.0
    seconds: float = 0.0
    forward: float = 0.0
    backward: float = 0.0
    train_seconds: float = 0.0
    train_images: float = 0.0

    def plus(self, other: "_Price") -> "_Price":
        return _Price(*(a + b for a, b in zip(self, other, strict=True)))


class SignalTable:
    """Collects the signals of records, and their prices, as records pass by."""

    def __init__(self) -> None:
        self._signals: dict[Signal, None] = dict.fromkeys(SIGNALS)
        self._prices: defaultdict[tuple[str, str], _Price] = defaultdict(_Price)

    def add(self, records: Iterable[Payer]) -> None:
        """Take note of what these runs recorded and paid."""
        for record in records:
            self._signals |= dict.fromkeys(record.signals)
            for probe, params in {(s.probe, s.params_json) for s in record.signals}:
                price = _price(record.costs, f"probe.{probe}")
                self._prices[probe, params] = self._prices[probe, params].plus(price)
            for probe, account in _ACCOUNT.items():
                if account in record.costs:
                    price = _price(record.costs, account.removesuffix("_s"))
                    self._prices[probe, "{}"] = self._prices[probe, "{}"].plus(price)

    def table(self) -> pa.Table:
        """Return a row a signal; the same signal of other arguments is another row."""
        rows = list(self._rows())
        table = pa.Table.from_pylist([asdict(signal) for signal in self._signals])
        for name in PRICE_COLUMNS:
            column = pa.array([row.get(name) for row in rows], pa.float64())
            table = table.append_column(name, column)
        return table

    def _rows(self) -> Iterator[dict[str, Any]]:
        for signal in self._signals:
            price = self._prices.get((signal.probe, signal.params_json), _Price())
            yield _means(price, counted=signal.probe not in _ACCOUNT)


def _price(costs: Mapping[str, float], account: str) -> _Price:
    return _Price(
        runs=1,
        seconds=costs.get(f"{account}_s", 0.0),
        forward=costs.get(f"{account}_forward_images", 0.0),
        backward=costs.get(f"{account}_backward_images", 0.0),
        train_seconds=costs.get("train_s", 0.0),
        train_images=costs.get("train_images", 0.0),
    )


def _means(price: _Price, *, counted: bool) -> dict[str, float | None]:
    """Return the price columns of a signal whose passes were `counted` or not."""
    row: dict[str, float | None] = {}
    if price.runs:
        row["probe_seconds_per_run"] = price.seconds / price.runs
    if price.train_seconds:
        share = price.seconds / price.train_seconds
        row["probe_share_of_train_seconds"] = share
    if counted and price.runs:
        row["probe_forward_images_per_run"] = price.forward / price.runs
        row["probe_backward_images_per_run"] = price.backward / price.runs
    if counted and price.train_images:
        work = price.forward + 2 * price.backward
        row["probe_share_of_train_passes"] = work / (3 * price.train_images)
    return row
