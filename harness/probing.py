"""A cohort's probes as the training loop sees them: called, timed, kept and recorded.

Without probes every method does nothing.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.clock import Clock
from harness.measure import OK, STATUSES
from harness.passes import Passes
from harness.probes.base import Probe, Scene
from harness.reading import Reading
from harness.record import Curve, Event
from harness.registry import PROBES
from harness.schema import Signal
from harness.spec import Part, canonical_json

NO_VALUE: Final = "no_value"
"""Kind of the event that says why a probe's value is missing from its curve."""

_NOT_DUE: Final = -1
"""Code of a signal that was not measured at a step at all."""


def account(probe: str) -> str:
    """Return the name under which a probe's time and passes stand among the costs."""
    return f"probe.{probe}"


class ProbeSet:
    """Every probe of a cohort, with what it has measured so far."""

    def __init__(self, scene: Scene, clock: Clock) -> None:
        parts = scene.cohort[0].probes
        names = [part.name for part in parts]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"probe {doubles[0]!r} is given twice: keep one of them")
        self._clock = clock
        self._net = scene.net
        self._probes = {
            part.name: _Measured(_made(part, scene), part, len(scene.cohort))
            for part in parts
        }
        self._watching: list[str] = []
        self._before = torch.empty(0)

    def measure(self, step: int) -> None:
        """Measure what is due after `step` updates."""
        for name, measured in self._probes.items():
            if step in measured.index:
                self._clock.charge(account(name))
                measured.write(step, measured.probe.measure(step))

    def before_update(self, step: int) -> None:
        """Keep the parameters if some probe watches update number `step` (1-based)."""
        self._watching = [
            k for k, each in self._probes.items() if each.probe.watches(step)
        ]
        if self._watching:
            self._clock.charge(account(self._watching[0]))
            self._before = self._net.params.clone()

    def after_update(self, step: int) -> None:
        """Show update number `step` to the probes that watch it."""
        if not self._watching:
            return
        self._clock.charge(account(self._watching[0]))
        update = self._net.params - self._before
        for name in self._watching:
            self._clock.charge(account(name))
            self._probes[name].probe.observe(step, update)

    def state(self) -> dict[str, Tensor]:
        """Return everything a resumed run needs, tensors with runs as rows."""
        return {
            f"{name}/{key}": value
            for name, measured in self._probes.items()
            for key, value in measured.state().items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        for name, measured in self._probes.items():
            lead = f"{name}/"
            own = _below(lead, state)
            measured.load_state(own)

    def signals(self) -> tuple[Signal, ...]:
        """Return the dictionary entries of everything measured."""
        return tuple(s for each in self._probes.values() for s in each.entries())

    def curves(self, run: int, last: int) -> dict[str, Curve]:
        """Return one run's curves up to step `last`; steps without a value lack."""
        found: dict[str, Curve] = {}
        for measured in self._probes.values():
            found |= measured.curves(run, last)
        return found

    def events(self, run: int, last: int) -> list[Event]:
        """Return why values are missing: one event a step and probe."""
        lists = (each.events(run, last) for each in self._probes.values())
        return sorted((e for events in lists for e in events), key=lambda e: e.step)

    def rehearsals(self) -> list[tuple[Callable[[int], object], int]]:
        """Return for every probe its first measurement and how many a run has.

        For timing alone: it sees the present parameters in place of updates.
        """
        return [
            (partial(each.rehearse, self._net.params), len(each.index))
            for each in self._probes.values()
        ]

    @property
    def planned(self) -> dict[str, Passes]:
        """Return the work of each probe over the whole run, for one run."""
        return {name: each.probe.planned for name, each in self._probes.items()}

    @property
    def num_values(self) -> int:
        """Return how many values a run records at most, standard errors included."""
        probes = (each.probe for each in self._probes.values())
        return sum(2 * len(probe.steps) * len(probe.signals) for probe in probes)

    def costs(self) -> dict[str, float]:
        """Return the images each probe has passed forward and backward, a run."""
        costs = {}
        for name, measured in self._probes.items():
            costs[f"{account(name)}_forward_images"] = measured.probe.spent.forward
            costs[f"{account(name)}_backward_images"] = measured.probe.spent.backward
        return costs


class _Measured:
    """One probe with its readings, `[times, S]` a signal."""

    def __init__(self, probe: Probe, part: Part, num_runs: int) -> None:
        self.probe = probe
        self._part = part
        self._num_runs = num_runs
        self.index = {step: i for i, step in enumerate(probe.steps)}
        self._values: dict[str, npt.NDArray[np.float64]] = {}
        self._errors: dict[str, npt.NDArray[np.float64]] = {}
        self._codes: dict[str, npt.NDArray[np.int8]] = {}

    def write(self, step: int, readings: Mapping[str, Reading]) -> None:
        known = {signal.name for signal in self.probe.signals}
        assert set(readings) <= known, f"{self._part.name} measures what it did not say"
        for name, reading in readings.items():
            shape = (len(self.index), self._num_runs)
            if name not in self._values:
                self._values[name] = np.full(shape, np.nan)
                self._codes[name] = np.full(shape, _NOT_DUE, np.int8)
            if reading.se is not None:
                errors = self._errors.setdefault(name, np.full(shape, np.nan))
                errors[self.index[step]] = reading.se
            self._values[name][self.index[step]] = reading.value
            codes = [STATUSES.index(status) for status in reading.status.tolist()]
            self._codes[name][self.index[step]] = codes

    def rehearse(self, update: Tensor, number: int) -> None:
        """Show `update` in place of all that come before the first time; measure.

        Args:
            update: `[S, P]`.
            number: Of the call; each does the same.
        """
        first = self.probe.steps[0]
        for step in range(1, first + 1):
            if self.probe.watches(step):
                self.probe.observe(step, update)
        self.probe.measure(first)

    def curves(self, run: int, last: int) -> dict[str, Curve]:
        steps = np.asarray(self.probe.steps, np.int32)
        found = {}
        for name, codes in self._codes.items():
            good = (codes[:, run] == STATUSES.index(OK)) & (steps <= last)
            columns = {name: self._values[name]}
            if name in self._errors:
                columns[f"{name}_se"] = self._errors[name]
            for label, values in columns.items():
                if good.any():
                    with np.errstate(over="ignore"):  # beyond float32 is infinite
                        kept = values[good, run].astype(np.float32)
                    found[label] = Curve(steps[good], kept)
        return found

    def events(self, run: int, last: int) -> list[Event]:
        events = []
        for step, i in self.index.items():
            reasons = {
                name: STATUSES[code]
                for name, codes in self._codes.items()
                if (code := codes[i, run]) not in (_NOT_DUE, STATUSES.index(OK))
            }
            if reasons and step <= last:
                detail = {"probe": self._part.name, "signals": reasons}
                events.append(Event(step, NO_VALUE, detail))
        return events

    def entries(self) -> list[Signal]:
        """Return the signals with the probe's arguments, and their standard errors."""
        entries = []
        for signal in self.probe.signals:
            full = dataclasses.replace(
                signal,
                probe=self._part.name,
                params_json=canonical_json(self._part.params),
            )
            entries.append(full)
            if signal.name in self._errors:
                error = dataclasses.replace(
                    full,
                    name=f"{signal.name}_se",
                    meaning=f"standard error of {signal.name}",
                    range="[0, inf)",
                    forward_passes=0.0,
                    backward_passes=0.0,
                )
                entries.append(error)
        return entries

    def state(self) -> dict[str, Tensor]:
        spent = torch.tensor(self.probe.spent, dtype=torch.float64)
        kept = {"spent": spent.repeat(self._num_runs, 1)}
        for group, arrays in self._groups().items():
            for name, array in arrays.items():
                kept[f"{group}/{name}"] = torch.from_numpy(array.T.copy())
        kept |= {f"own/{k}": v for k, v in self.probe.state().items()}
        return kept

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        groups = self._groups()
        for key, value in state.items():
            group, _, name = key.partition("/")
            if group in groups:
                groups[group][name] = value.cpu().numpy().T.copy()
        self.probe.spent = Passes(*state["spent"][0].tolist())
        self.probe.load_state(_below("own/", state))

    def _groups(self) -> dict[str, dict[str, Any]]:
        return {
            "values": self._values,
            "errors": self._errors,
            "codes": self._codes,
        }


def _below(lead: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries whose key begins with `lead`, without it."""
    return {k.removeprefix(lead): v for k, v in state.items() if k.startswith(lead)}


def _made(part: Part, scene: Scene) -> Probe:
    probe: Probe = PROBES.get(part.name)(scene, **part.params)
    return probe
