"""What a corpus cannot tell: limits computed from its facts, as sentences."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from harness.foreign import UNKNOWN
from harness.release.facts import Facts
from harness.release.recorded import SignalFacts
from harness.release.templates import code, counted, number

FEW_FAMILIES: Final = 30
"""Below so many families a score that holds some of them out is itself noisy."""
_LISTED: Final = 12


def limits(facts: Facts) -> list[str]:
    """Return sentences of Markdown, each about a limit that this corpus has."""
    rules: tuple[Callable[[Facts], Iterator[str]], ...] = (
        _unfinished,
        _unscored,
        _few,
        _one_of_a_kind,
        _noise,
        _missing_signals,
        _missing_values,
        _times,
    )
    return [sentence for rule in rules for sentence in rule(facts)]


def _unfinished(facts: Facts) -> Iterator[str]:
    diverged, failed = (facts.statuses.get(s, 0) for s in ("diverged", "failed"))
    if diverged:
        yield (
            f"{counted(diverged, 'run')} diverged: the curves end at the first bad "
            "update, and the final scores are those of the last finite state. Say "
            "whether an analysis keeps them."
        )
    if failed:
        yield f"{counted(failed, 'run')} failed and left no curve and no score."


def _unscored(facts: Facts) -> Iterator[str]:
    if facts.unscored:
        yield (
            f"{counted(facts.unscored, 'run')} of the {facts.finished:,} that did not "
            "fail have no final test accuracy."
        )


def _few(facts: Facts) -> Iterator[str]:
    if 0 < facts.families < FEW_FAMILIES:
        yield (
            f"Only {counted(facts.families, 'family', 'families')}: a score on some "
            "that were held out depends on which."
        )
    single = facts.replicates.get(1, 0)
    if single:
        yield (
            f"{counted(single, 'family has', 'families have')} a single run, so "
            "nothing is known of how these depend on the seed."
        )


def _one_of_a_kind(facts: Facts) -> Iterator[str]:
    data = {d.name for d in facts.datasets} - {UNKNOWN}
    models = {m for d in facts.datasets for m in d.models} - {UNKNOWN}
    alone = [
        f"one {w}" for w, n in (("data set", data), ("model", models)) if len(n) == 1
    ]
    if alone:
        yield (
            f"All runs use {' and '.join(alone)}; what is found here may be particular "
            "to it."
        )
    if not models and facts.runs:
        yield "The source does not tell which models were trained."


def _noise(facts: Facts) -> Iterator[str]:
    if facts.noise is not None:
        yield (
            "Runs of one family differ: the final test accuracy has a standard "
            f"deviation of {number(facts.noise.within)} between seeds (pooled; "
            f"{number(facts.noise.typical)} in the median family), and of "
            f"{number(facts.noise.between)} between families. The root mean "
            "square error of a predictor that knows the configuration alone cannot "
            "fall below the pooled one."
        )
    if facts.accuracy_error is not None:
        yield (
            "A test accuracy is a share of finitely many images: near the median run "
            f"its standard error is {number(facts.accuracy_error)}."
        )


def _missing_signals(facts: Facts) -> Iterator[str]:
    never = [s for s in facts.signals if not s.runs]
    # the dictionary names the harness's own signals, which an import may lack
    if never and facts.finished and facts.origin is None:
        yield f"In the dictionary but recorded by no run: {_names(never)}."
    some = [s for s in facts.signals if 0 < s.runs < facts.finished]
    if some:
        yield f"Recorded by some of the runs only: {_names(some, with_runs=True)}."


def _names(signals: Iterable[SignalFacts], *, with_runs: bool = False) -> str:
    texts = [
        f"{code(s.name)} ({s.runs:,})" if with_runs else code(s.name) for s in signals
    ]
    more = len(texts) - _LISTED
    return ", ".join(texts[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _missing_values(facts: Facts) -> Iterator[str]:
    if number_lost := facts.events.get("no_value", 0):
        yield (
            f"{number_lost:,} measurements gave no value (the table `events`, kind "
            "`no_value`, says which and why): they are missing from the curves."
        )


def _times(facts: Facts) -> Iterator[str]:
    packing = [f for f in facts.environment if f.column == "environment.packing"]
    if any(level.text != "1" for f in packing for level in f.levels):
        yield (
            "Runs were trained side by side in one process: the seconds of a run are "
            "its share of them, not what it would take alone."
        )
