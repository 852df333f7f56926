"""What an importer hands over: values of curves, and facts about runs.

An importer is a generator `(paths, context) -> Iterator[Points]`, registered under the
name of its format.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import polars as pl

POINTS: Final = pl.Schema(
    {"run": pl.String, "signal": pl.String, "step": pl.Float64, "value": pl.Float64}
)
"""Columns of `Points.values`: run id as given, name of the signal, position as given,
and what was measured there; NaN and infinities are measured and not finite."""

Facts = Mapping[str, Mapping[str, Any]]
"""For each run, what is known beside its curves, by column name."""


NOTHING: Final = ("", "nan", "null", "none", "na", "n/a", "<na>")


class Points(NamedTuple):
    """Some values of some curves, in the order in which the files have them."""

    values: pl.DataFrame
    """Rows of the schema `POINTS`, without nulls."""
    source: str
    """File that they are from, for messages."""
    facts: Facts
    """Facts of the runs that stand here; empty where there are none."""


def is_nothing(value: Any) -> bool:
    """Tell whether a fact says nothing: null, NaN, or a word for it."""
    if isinstance(value, str):
        return value.strip().lower() in NOTHING
    return value is None or (isinstance(value, float) and math.isnan(value))


@dataclass(slots=True)
class Context:
    """What the user asked for, and what happened on the way."""

    renamed: Mapping[str, str] = field(default_factory=dict)
    """New names of signals and columns by their names in the files."""
    left_out: Collection[str] = ()
    """Signals and columns that are not to be read, by their names in the files."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason, and how many values were left out for it."""
    notes: dict[str, None] = field(default_factory=dict)
    """Remarks for the report, in order."""
    _sources: dict[tuple[str, str], str] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count values that are left out."""
        if count:
            self.dropped[reason] += count

    def note(self, text: str) -> None:
        """Remember a remark for the report, once."""
        self.notes[text] = None

    def signal(self, name: str) -> str | None:
        """Return what a signal is to be called; None where it is left out.

        Raises:
            ValueError: Two signals would be called alike.
        """
        return self._name(name, "signal")

    def column(self, name: str) -> str | None:
        """Return what a column is to be called; None where it is left out.

        Raises:
            ValueError: Two columns would be called alike.
        """
        return self._name(name, "column")

    def check_all_used(self) -> None:
        """Check that every name the user gave was met.

        Raises:
            ValueError: One was not.
        """
        given = {"--map": self.renamed, "--drop": self.left_out}
        for option, names in given.items():
            for name in names:
                if name not in self._seen:
                    raise ValueError(
                        f"{option} names {name!r}, but no signal or column of the "
                        "files is called so: names are compared letter by letter"
                    )

    def _name(self, name: str, kind: str) -> str | None:
        self._seen.add(name)
        if name in self.left_out:
            return None
        new = self.renamed.get(name, name)
        other = self._sources.setdefault((kind, new), name)
        if other != name:
            raise ValueError(
                f"the {kind}s {other!r} and {name!r} would both be called {new!r}: "
                f"leave one out with --drop, or --map it to another name"
            )
        return new
