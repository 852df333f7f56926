"""What is known of a foreign run beside its curves, sorted into its record.

Names as in the table `runs` of a corpus: "final.", "ood.", "cost." and "environment."
begin what came about by training; anything else is configuration, known before it.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.errors import DataError
from harness.importers.long import contradiction
from harness.importers.points import Context, Points, is_nothing

ALIASES: Final = {
    "optimizer": "optimizer.name",
    "lr": "optimizer.lr",
    "learning_rate": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "momentum": "optimizer.momentum",
    "model": "model.name",
    "dataset": "dataset.name",
    "schedule": "schedule.name",
    "augmentation": "augmentation.name",
}
"""Short names of columns of the table `runs`. Besides these, "final_test_accuracy" is
"final.test_accuracy", and "ood_NAME_accuracy" is "ood.NAME_accuracy"."""
COUNTS: Final = ("num_steps", "steps_per_epoch", "diverged_step")
STATUSES: Final = ("completed", "diverged", "failed")
_REFUSED: Final = ("trajectory_id", "grids", "config_json", "foreign", "probes")
_OUTCOME: Final = re.compile(
    r"(?<![a-z])(acc|accuracy|top-?[15]|loss|error|err|score|best|final|auc|f1|ppl"
    r"|perplexity|runtime)(?![a-z])"
)
_RESULTS: Final = ("final", "ood", "cost", "environment")
_KNOWN: Final = (
    "dataset",
    "augmentation",
    "model",
    "objective",
    "optimizer",
    "schedule",
    "regularizer",
    "controller",
)
"""Parts of a configuration: what begins so is taken to be a setting."""
_SPLITS: Final = ("test", "validation", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Facts of one run by where they belong."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Configuration, known before the run."""
    final: dict[str, float | int | None] = field(default_factory=dict)
    """Final scores; those on shifted data begin with "ood."."""
    costs: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    """Those of `COUNTS` that are known."""
    status: str | None = None
    error: str | None = None
    family: str | None = None


class FactTable:
    """Collects facts of runs as files are read."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._facts: dict[str, dict[str, Any]] = {}

    def add(self, points: Points) -> None:
        """Take the facts that stand beside values.

        Raises:
            DataError: A fact of a run has two values.
        """
        for run, facts in points.facts.items():
            known = self._facts.setdefault(run, {})
            for column, value in facts.items():
                if known.setdefault(column, value) != value:
                    raise contradiction(
                        points.source, run, column, known[column], value
                    )

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the runs of which something is known."""
        return iter(self._facts)

    def sorted_out(self) -> dict[str, RunFacts]:
        """Return the facts of each run by where they belong.

        A column of text that is all numbers is numbers.

        Raises:
            DataError: A column is reserved, means two things, or would show an outcome
                as configuration; or a value is out of its range.
        """
        columns = dict.fromkeys(c for facts in self._facts.values() for c in facts)
        names = {column: official_name(column) for column in columns}
        for column, name in names.items():
            double = [c for c, n in names.items() if n == name and c != column]
            if double or name.split(".")[0] in _REFUSED:
                what = f"means the same as {double[0]!r}" if double else "is reserved"
                raise DataError(
                    f"the column {column!r} {what}: --map it to another name, or leave "
                    "it out with --drop"
                )
        table: dict[str, dict[str, Any]] = {run: {} for run in self._facts}
        for column, name in names.items():
            given = {r: f[column] for r, f in self._facts.items() if column in f}
            values = _typed(given)
            _refuse_outcome(column, name, values.values())
            for run, value in values.items():
                if value is not None:
                    table[run][name] = value
        return {run: _sorted_out(run, facts) for run, facts in table.items()}


def official_name(column: str) -> str:
    """Return the name in the table `runs` of a column of a foreign file.

    Example:
        >>> [official_name(c) for c in ("lr", "final_test_accuracy", "depth")]
        ['optimizer.lr', 'final.test_accuracy', 'depth']
    """
    if column in ALIASES:
        return ALIASES[column]
    if match := re.fullmatch(r"ood_(.+)_accuracy", column):
        return f"ood.{match[1]}_accuracy"
    return re.sub(r"^final_", "final.", column)


def _typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of one type: text that is all of whole numbers, numbers, bools."""
    values = {r: v for r, v in given.items() if not is_nothing(v)}
    if values and all(isinstance(v, str) for v in values.values()):
        for parse in (_whole, _number, _truth):
            try:
                return {r: parse(v.strip()) for r, v in values.items()}
            except ValueError:
                continue
    return {r: v if _is_plain(v) else str(v) for r, v in values.items()}


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (bool, int, str))


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    value = float(text) if "_" not in text else math.nan
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _refuse_outcome(column: str, name: str, values: Iterable[Any]) -> None:
    """Refuse a number that came about by training in the place of a setting."""
    is_known = name.split(".")[0] in (*_KNOWN, *_RESULTS) and "." in name
    numeric = any(isinstance(v, (int, float)) for v in values)
    if not is_known and name != "error" and numeric and _OUTCOME.search(name.lower()):
        raise DataError(
            f"the column {column!r} is called like an outcome, and as a setting every "
            f"predictor would see it: name it as a result (--map {column}=final."
            f"{column}), or leave it out (--drop {column}), or say that it was chosen "
            f"before training (--map {column}=objective.{column})"
        )


def _sorted_out(run: str, facts: Mapping[str, Any]) -> RunFacts:
    """Return the facts of one run by where they belong."""
    found = RunFacts(
        status=_status(run, facts.get("status")),
        error=None if "error" not in facts else str(facts["error"]),
        family=None if "family_id" not in facts else str(facts["family_id"]),
    )
    for name, value in facts.items():
        kind, _, rest = name.partition(".")
        if kind == "final" and rest:
            found.final[rest] = _score(run, name, value)
        elif kind == "ood" and rest:
            found.final[name] = _score(run, name, value)
        elif kind == "cost" and rest:
            found.costs[rest] = _float(run, name, value)
        elif kind == "environment" and rest:
            found.environment[rest] = value
        elif name in COUNTS:
            found.counts[name] = _count(run, name, value)
        elif name not in ("status", "error", "family_id"):
            found.settings[name] = value
    _check_counts(run, found.final)
    return found


def _status(run: str, value: Any) -> str | None:
    if value is not None and value not in STATUSES:
        raise _out_of_range(run, "status", value, f"one of {', '.join(STATUSES)}")
    return None if value is None else str(value)


def _score(run: str, name: str, value: Any) -> float | int:
    if name.endswith(("_correct", "_n")):
        return _count(run, name, value)
    number = _float(run, name, value)
    if name.endswith("accuracy") and not 0 <= number <= 1:
        expected = "a share from 0 to 1 (divide percentages by 100)"
        raise _out_of_range(run, name, value, expected)
    return number


def _count(run: str, name: str, value: Any) -> int:
    number = _float(run, name, value)
    least = 1 if name in ("num_steps", "steps_per_epoch") else 0
    if number != int(number) or not least <= number < 2**31:
        raise _out_of_range(run, name, value, f"a whole number, {least} or more")
    return int(number)


def _float(run: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _out_of_range(run, name, value, "a number in every run that has it")
    if not math.isfinite(value):
        raise _out_of_range(run, name, value, "a finite number, or an empty cell")
    return float(value)


def _check_counts(run: str, final: Mapping[str, Any]) -> None:
    """Check that a count of correct answers comes with its n, and is not above it."""
    for split in _SPLITS:
        correct, n = final.get(f"{split}_correct"), final.get(f"{split}_n")
        if correct is not None and (n is None or correct > n):
            expected = f"at most final.{split}_n, which has to be given"
            raise _out_of_range(run, f"final.{split}_correct", correct, expected)


def _out_of_range(run: str, column: str, value: Any, expected: str) -> DataError:
    return DataError(
        f"run {run!r}, column {column!r}: got {value!r}, expected {expected}"
    )
