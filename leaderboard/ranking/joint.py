"""Errors at every task of a board over the same draws of its families.

`tasks.evaluate` draws from a task's own families; here all tasks share one draw from
the families of the whole board, so that what is averaged over tasks has an interval.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from leaderboard.ranking.rank import Interval, interval
from tasks.base import Task
from tasks.checked import Given
from tasks.question import Answers
from tasks.scores import Scores, scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What all tasks of a board share."""

    families: tuple[str, ...]
    """Of the whole board, sorted."""
    resamples: int
    """B."""
    seed: int
    """Names the draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """The main metric of a task: how far from its optimum each entry is."""

    names: tuple[str, ...]
    """`[P]`, the reference first."""
    score: Floats
    """`[P]`, the metric itself."""
    value: Floats
    """`[P]`, distance from the optimum; NaN: undefined."""
    samples: Floats
    """`[P, B]`; NaN where undefined, such as in a resample without the task's runs."""

    def skill(self) -> Interval:
        """Return the skill of every entry, `[P]`, see `skills`.

        Without intervals where the samples are empty, `[P, 0]`.
        """
        both = np.concatenate([self.value[:, None], self.samples], axis=1)
        return interval(skills(both))

    def of(self, names: Sequence[str]) -> tuple[Floats, Floats]:
        """Return values and samples of some entries, NaN of who is not there."""
        place = {name: at for at, name in enumerate(self.names)}
        rows = np.array([place.get(name, -1) for name in names], dtype=np.intp)
        value = np.where(rows < 0, np.nan, self.value[rows])
        return value, np.where((rows < 0)[:, None], np.nan, self.samples[rows])


def errors(
    task: Task, answers: Answers, given: Mapping[str, Given], draws: Draws
) -> Errors:
    """Return the errors of entries at the task's main metric.

    Formula: score - optimum of what should be small, optimum - score of what should be
    large, their absolute difference of what should be near; the optimum is the truth's
    own score in the resample where the metric has no other. So 1 - error / error of the
    reference is the skill of `tasks.evaluate`. Unit: the metric's. Range: 0 is perfect.
    Equal answers have equal errors, bit by bit. Cost: that of `tasks.scores` of one
    metric for the answers that differ.

    Args:
        task: Names metric and reference.
        answers: The truth.
        given: Answers without gaps (`Given.filled`), by entry; the reference's among
            them, under its name. Those that the metric does not apply to are left out.
        draws: Shared by all tasks.
    """
    alone = replace(task, metrics=task.metrics[:1])
    same = _same(task.reference, given)
    different = {first: given[first] for first in sorted(set(same.values()))}
    (one,) = scores(
        alone,
        answers,
        different,
        resamples=draws.resamples,
        seed=draws.seed,
        among=draws.families,
    )
    value, samples = distance(one)
    place = {name: at for at, name in enumerate(one.names)}
    others = sorted(name for name in given if name != task.reference)
    names = [n for n in (task.reference, *others) if same[n] in place]
    rows = [place[same[name]] for name in names]
    return Errors(
        names=tuple(names),
        score=one.score.value[rows],
        value=value[rows],
        samples=samples[rows],
    )


def skills(found: Floats) -> Floats:
    """Return the skills of errors `[P, b]`, the reference first, as `tasks.evaluate`.

    Formula: 1 - error / error of the reference. Unit: share. Range: up to 1. NaN where
    the reference's error is not above 0, such as of a metric whose optimum, the truth's
    own score, chance can beat: nothing is left to gain.
    """
    reference = np.where(found[:1] > 0, found[:1], np.nan)
    return 1 - found / reference


def distance(one: Scores) -> tuple[Floats, Floats]:
    """Return how far scores are from their optimum, `[P]`, and their samples `[P, B]`.

    See `errors`.
    """
    score, direction = one.score, one.metric.direction
    if direction == "near":
        return np.abs(score.value - one.optimum), np.abs(score.samples - one.optimum)
    sign = -1.0 if direction == "max" else 1.0
    if one.truth is None:
        return sign * (score.value - one.optimum), sign * (score.samples - one.optimum)
    truth = one.truth
    return sign * (score.value - truth.value), sign * (score.samples - truth.samples)


def rows_of(answers: Answers, rows: npt.NDArray[np.bool_]) -> Answers:
    """Return the truth about some of the runs."""
    kept = np.flatnonzero(rows).tolist()
    return Answers(
        ids=tuple(answers.ids[at] for at in kept),
        run_ids=tuple(answers.run_ids[at] for at in kept),
        families=tuple(answers.families[at] for at in kept),
        values=answers.values[kept] if len(answers.values) else answers.values,
        curves=tuple(answers.curves[at] for at in kept) if answers.curves else (),
        context={
            name: [column[at] for at in kept]
            if isinstance(column, list)
            else column[kept]
            for name, column in answers.context.items()
        },
        runs=answers.runs[kept],
        replicated=answers.replicated,
    )


def given_of(given: Given, rows: npt.NDArray[np.bool_], width: int | None) -> Given:
    """Return what was said of some of the runs.

    Args:
        given: Without gaps.
        rows: `[n]`.
        width: Of curves, the epochs that the longest of these runs has.
    """
    mean = given.mean[rows]
    return replace(
        given,
        mean=mean if width is None else mean[:, :width],
        quantiles=None if given.quantiles is None else given.quantiles[rows],
        reasons=tuple(
            reason for reason, kept in zip(given.reasons, rows, strict=True) if kept
        ),
    )


def _same(reference: str, given: Mapping[str, Given]) -> dict[str, str]:
    """Return the first entry that says the same, the reference or else by name."""
    first: dict[bytes, str] = {}
    same = {}
    for name in sorted(given, key=lambda name: (name != reference, name)):
        one = given[name]
        sha = hashlib.sha256(np.ascontiguousarray(one.mean).tobytes())
        if one.quantiles is not None:
            sha.update(b"quantiles" + np.ascontiguousarray(one.quantiles).tobytes())
        same[name] = first.setdefault(sha.digest(), name)
    return same
