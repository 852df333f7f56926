"""Early signals of a whole corpus as a table: where studies and models begin.

    early_signals(Corpus.open("runs/t4"), until=0.2)

computes every registered curve signal of every run from its first 20 %.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.corpus import Corpus
from harness.early.curves import EarlyCurves, early_curves
from harness.measure import Estimates
from harness.registry import CURVE_SIGNALS, complete, settable
from harness.spec import Part, canonical_json

COLUMNS: Final = pl.Schema(
    {
        "run_id": pl.String,
        "signal": pl.String,
        "value": pl.Float64,
        "se": pl.Float64,
        "status": pl.String,
        "n": pl.Int64,
        "window_first": pl.Float64,
        "window_last": pl.Float64,
        "unit": pl.String,
        "estimator": pl.String,
        "estimator_version": pl.String,
        "params_json": pl.String,
    }
)
"""Columns of the table, in order."""


class _Call(NamedTuple):
    """A curve signal with its arguments."""

    name: str
    function: Callable[..., Estimates]
    arguments: dict[str, Any]


def early_signals(
    corpus: Corpus,
    until: float = 0.2,
    names: Sequence[str | Part] | None = None,
    run_ids: Collection[str] | None = None,
) -> pl.DataFrame:
    """Compute early signals of runs from the first share of their steps.

    A row is one number of one run:

    run_id, signal: such as "power_law.alpha", `name.quantity`; a quantity that is
        called like its signal has no suffix: "last_loss", "last/val_loss".
    value, se: null unless the status is "ok"; se also where there is none.
    status, n: of `harness.measure`, and how many points were used.
    window_first, window_last: first and last step used (updates completed), at most
        until * num_steps; null where there was no window.
    unit, estimator, estimator_version.
    params_json: arguments, and `until`.

    Rows are sorted by run_id, then in the order of `names`. A row depends on its own
    run up to the window and on nothing else. Failed runs have no rows.

    Args:
        corpus: An open corpus.
        until: Share of each run's steps, in (0, 1].
        names: Registered curve signals or `module:attribute`, as a `Part` where
            arguments are to be set, as "last/val_loss" for one recorded signal; None
            for all registered ones with their defaults. A name whose function
            requires `signal` stands for every signal of the corpus's dictionary.
        run_ids: Runs to compute; None for all.

    Raises:
        KeyError: No curve signal, recorded signal or run is called so.
        TypeError: An argument is unknown, or a function returned something else.
        ValueError: `until` is out of range.

    Cost: 0.1 s for 432 runs of 400 steps up to 20 %, a quarter of it reading. The
    table has some 75 rows a run of 170 bytes each: name the signals for 10^5 runs.
    """
    return signals_of(early_curves(corpus, until, run_ids), until, names)


def signals_of(
    blocks: Iterable[EarlyCurves],
    until: float,
    names: Sequence[str | Part] | None = None,
) -> pl.DataFrame:
    """Compute early signals of blocks of curves that end at `until`.

    See `early_signals`, which reads the blocks from a corpus.

    Args:
        blocks: Curves up to the window.
        until: Share of each run's steps that they hold, which is written down.
        names: As there.
    """
    calls = [
        _call(name) for name in (CURVE_SIGNALS.names() if names is None else names)
    ]
    frames = [pl.DataFrame(schema=COLUMNS)]
    for curves in blocks if calls else ():
        expanded = [each for call in calls for each in _expanded(call, curves)]
        frames.append(_rows(curves, expanded, until))
    return pl.concat(frames).sort("run_id", maintain_order=True)


def wide(signals: pl.DataFrame) -> pl.DataFrame:
    """Return the values of `early_signals` with a row a run and a column a signal.

    Null where the status is not "ok".

    Raises:
        ValueError: A run has a signal twice, such as from two windows.
    """
    twice = signals.filter(signals.select("run_id", "signal").is_duplicated())
    if len(twice):
        raise ValueError(
            f"{twice['signal'][0]!r} stands more than once for the run "
            f"{twice['run_id'][0]}: keep one window and one set of arguments "
            "(params_json) before making it wide"
        )
    return signals.pivot(on="signal", index="run_id", values="value")


def _call(name: str | Part) -> _Call:
    """Return the curve signal that is asked for, its arguments checked."""
    part = name if isinstance(name, Part) else Part(name)
    family, _, signal = part.name.partition("/")
    function = CURVE_SIGNALS.get(family)
    given = part.params | ({"signal": signal} if signal else {})
    label = f"curve signal {part.name!r}"
    if _takes_signal(function) and "signal" not in given:
        filled = complete(label, function, given | {"signal": ""})
        del filled["signal"]
    else:
        filled = complete(label, function, given)
    return _Call(family, function, filled)


def _expanded(call: _Call, curves: EarlyCurves) -> Iterator[_Call]:
    """Yield the call for each recorded signal, where it takes one."""
    if not _takes_signal(call.function):
        yield call
        return
    asked = call.arguments.get("signal")
    if asked is not None and asked not in curves.recorded:
        raise KeyError(
            f"no recorded signal is called {asked!r} (the corpus has: "
            f"{', '.join(curves.recorded)})"
        )
    for signal in curves.recorded if asked is None else [asked]:
        arguments = call.arguments | {"signal": signal}
        yield _Call(f"{call.name}/{signal}", call.function, arguments)


def _takes_signal(function: Callable[..., Any]) -> bool:
    """Tell whether a curve signal is about one recorded signal, to be named."""
    parameter = settable(function).get("signal")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def _rows(curves: EarlyCurves, calls: Sequence[_Call], until: float) -> pl.DataFrame:
    """Return the rows of one block of runs, signal by signal."""
    results = [(call, _computed(curves, call)) for call in calls]
    numbers = [(call, found, name) for call, found in results for name in found.values]
    num, count = len(curves), len(numbers)
    which = np.repeat(np.arange(count), num)
    nothing = np.full(num, np.nan)

    def text(of: Callable[[_Call, Estimates, str], str]) -> pl.Series:
        return pl.Series([of(*number) for number in numbers], dtype=pl.String)[which]

    def runs(of: Callable[[Estimates, str], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        return np.concatenate([of(found, name) for _, found, name in numbers])

    params = {
        id(found): canonical_json({**call.arguments, **found.params, "until": until})
        for call, found in results
    }
    columns = {
        "run_id": pl.Series(curves.run_ids)[np.tile(np.arange(num), count)],
        "signal": text(lambda call, _, name: _signal_name(call, name)),
        "value": runs(lambda found, name: found.values[name]),
        "se": runs(lambda found, name: found.errors.get(name, nothing)),
        "status": pl.Series(runs(lambda found, _: found.status).tolist()),
        "n": runs(lambda found, _: found.n),
        "window_first": runs(lambda found, _: found.window[:, 0]),
        "window_last": runs(lambda found, _: found.window[:, 1]),
        "unit": text(lambda _, found, name: found.units[name]),
        "estimator": text(lambda _, found, __: found.estimator),
        "estimator_version": text(lambda _, found, __: found.estimator_version),
        "params_json": text(lambda _, found, __: params[id(found)]),
    }
    frame = pl.DataFrame(columns, schema=COLUMNS)
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def _computed(curves: EarlyCurves, call: _Call) -> Estimates:
    """Return what a curve signal says, which a user may have written."""
    found = call.function(curves, **call.arguments)
    if not isinstance(found, Estimates) or len(found) != len(curves):
        raise TypeError(
            f"curve signal {call.name!r} returned {type(found).__name__}; expected "
            f"harness.measure.Estimates of {len(curves)} runs"
        )
    return found


def _signal_name(call: _Call, quantity: str) -> str:
    family = call.name.partition("/")[0]
    return call.name if quantity == family else f"{call.name}.{quantity}"
