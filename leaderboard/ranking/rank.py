"""Overall skill, win rate and rank of entries from their errors; arrays in and out.

Errors are `[T, P]`, a row a task and a column an entry, one column the reference; their
samples `[T, P, B]` come from resamples that all tasks and entries share. An entry
without an error (NaN) at a task is counted there as the reference: it neither gains nor
loses skill, and ties with it. A task at which the reference has none, or none above 0,
so that nothing is left to gain, counts for nobody, in that resample or at all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from harness.measure import Floats
from tasks.metrics.inputs import Ints, ratio

CLIP: Final = 100.0
"""Ratios of errors are clipped to [.01, 100] (Shchur et al. 2025, fev-bench): no single
task decides; who is beyond ties in win rates."""
LIMIT: Final = math.log(CLIP)
LEVEL: Final = 0.95
"""Nominal coverage of intervals."""
TAILS: Final = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
CELLS: Final = 2**21
"""Numbers in memory at once (16 MB an array)."""


class Interval(NamedTuple):
    """A statistic and its percentile interval over the resamples in which it exists."""

    value: Floats
    low: Floats
    high: Floats
    """Each of one shape; NaN where undefined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How entries did over all tasks."""

    skill: Interval
    """`[P]`, see `overall_skill`."""
    win_rate: Interval
    """`[P]`, see `win_rate`."""
    mean_rank: Interval
    """`[P]`, mean over the tasks; 1 is best, ties share the mean of their ranks."""
    rank: Ints
    """`[P]`, see `ranks`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Every entry against every other."""

    win: Interval
    """`[P, P]`, share of tasks at which the row's error is less than the column's, and
    half of those at which both are equal."""
    skill: Interval
    """`[P, P]`, 1 - geometric mean of the clipped ratios of the row's errors to the
    column's."""


def ranking(errors: Floats, samples: Floats, *, reference: int) -> Ranking:
    """Return overall skill, win rate, mean rank and rank of every entry.

    Cost: 20 tasks, 200 entries, 1,000 resamples: 3 s on one core, 300 MB.

    Args:
        errors: `[T, P]`, 0 is perfect; NaN: not answered.
        samples: `[T, P, B]`.
        reference: The column with skill 0.

    Example:
        >>> e = np.array([[1.0, 2.0], [4.0, 2.0]])
        >>> found = ranking(e, np.repeat(e[..., None], 5, -1), reference=1)
        >>> found.skill.value.tolist(), found.win_rate.value.tolist()
        ([0.0, 0.0], [0.5, 0.5])
    """
    found = together(errors, samples, reference)
    skill = overall_skill(found, reference)
    ratios = found / found[:, [reference]]
    np.clip(ratios, 1 / CLIP, CLIP, out=ratios)
    return Ranking(
        skill=interval(skill),
        win_rate=interval(win_rate(mean_ranks(ratios, reference))),
        mean_rank=interval(mean_ranks(found, reference)),
        rank=ranks(skill[:, 1:]),
    )


def together(errors: Floats, samples: Floats, reference: int) -> Floats:
    """Return values and samples in one array, without gaps, `[T, P, 1 + B]`.

    Negative errors, better than what is called perfect, are 0. NaN where a task does
    not count.

    Raises:
        ValueError: The shapes do not fit, or there is no such reference.
    """
    if samples.ndim != 3 or samples.shape[:2] != errors.shape:
        raise ValueError(
            f"errors have shape {list(errors.shape)}, samples {list(samples.shape)}; "
            "expected [T, P] and [T, P, B]"
        )
    if not 0 <= reference < errors.shape[1]:
        raise ValueError(
            f"reference is {reference}; expected one of {errors.shape[1]} columns"
        )
    both = np.concatenate([errors[..., None], samples], axis=2)
    own = both[:, [reference]]
    own = np.where(own > 0, own, np.nan)
    both = np.where(np.isnan(both) | np.isnan(own), own, both)
    clipped: Floats = np.clip(both, 0.0, np.finfo(np.float64).max)
    return clipped


def overall_skill(found: Floats, reference: int) -> Floats:
    """Return 1 - geometric mean over tasks of clipped error ratios, `[P, 1 + B]`.

    Formula: 1 - exp(mean_t ln clip(e_tp / e_tr, .01, 100)). Unit: share.
    Range: [-99, .99]; 0 is the reference. NaN without tasks.

    Args:
        found: `together`.
        reference: Column of the reference.
    """
    logs = _logs(found)
    logs -= logs[:, [reference]].copy()
    return 1 - np.exp(_over_tasks(np.clip(logs, -LIMIT, LIMIT, out=logs), found))


def mean_ranks(found: Floats, reference: int) -> Floats:
    """Return the mean over tasks of the ranks of errors, `[P, 1 + B]`, 1 is best.

    Args:
        found: `together`.
        reference: Any column: of tasks that do not count all are NaN.
    """
    tasks, entries, width = found.shape
    step = max(1, CELLS // max(1, tasks * entries))
    parts = [
        _over_tasks(average_ranks(part), part)
        for part in (found[..., at : at + step] for at in range(0, width, step))
    ]
    return np.concatenate(parts, axis=1)


def win_rate(places: Floats) -> Floats:
    """Return how often an entry beats another one at a task, `[P, 1 + B]`.

    Formula: mean over the other entries and tasks of P(a < b) + P(a = b) / 2, which is
    (P - mean rank) / (P - 1). Unit: share. Range: [0, 1]; the mean over entries is .5.
    NaN for a single entry.

    Args:
        places: `mean_ranks`, of clipped ratios to the reference's errors.
    """
    entries = len(places)
    return ratio(entries - places, np.full_like(places, entries - 1))


def average_ranks(values: Floats) -> Floats:
    """Return ranks along the second axis of `[T, P, B]`; ties share their mean.

    Example:
        >>> average_ranks(np.array([3.0, 1.0, 3.0]).reshape(1, 3, 1)).ravel().tolist()
        [2.5, 1.0, 2.5]
    """
    rows = np.moveaxis(values, 1, -1)  # [T, B, P]
    order = np.argsort(rows, axis=-1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=-1)
    entries = rows.shape[-1]
    place = np.arange(entries)
    starts = np.ones(rows.shape, dtype=bool)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=-1)
    ends = np.ones(rows.shape, dtype=bool)
    ends[..., :-1] = starts[..., 1:]
    last = np.where(ends, place, entries - 1)[..., ::-1]
    last = np.minimum.accumulate(last, axis=-1)[..., ::-1]
    result = np.empty(rows.shape)
    np.put_along_axis(result, order, (first + last) / 2 + 1, axis=-1)
    return np.moveaxis(result, -1, 1)


def ranks(samples: Floats) -> Ints:
    """Return 1 + the number of entries that are better beyond doubt, `[P]`.

    Better beyond doubt: the paired difference of skill has an interval above 0. Entries
    that no interval separates share a rank, so that ranks can repeat and skip.

    Args:
        samples: `[P, B]` of a skill, larger is better; a resample in which one is NaN
            is left out.

    Example:
        >>> ranks(np.array([[0.1, 0.2], [0.3, 0.4], [0.3, 0.3]])).tolist()
        [3, 1, 1]
    """
    known = samples[:, np.isfinite(samples).all(axis=0)]
    result = np.ones(len(samples), dtype=np.intp)
    if known.shape[1]:
        for at, own in enumerate(known):
            low = np.quantile(known - own, TAILS[0], axis=1)
            result[at] += int((low > 0).sum())
    return result


def display_order(
    rank: Ints, skill: Floats, submitted: Sequence[str | None], names: Sequence[str]
) -> list[int]:
    """Return the order of rows: rank, skill (descending), time, name.

    A total order: NaN comes last, -0.0 is 0.0, and who gives no time after who does.
    """

    def key(at: int) -> tuple[int, bool, float, bool, str, str]:
        value, when = float(skill[at]), submitted[at]
        known = math.isfinite(value)
        less = -value if known and value else 0.0
        return int(rank[at]), not known, less, when is None, when or "", names[at]

    return sorted(range(len(names)), key=key)


def pairwise(errors: Floats, samples: Floats, *, reference: int) -> Pairs:
    """Return win probabilities and skills of every entry against every other.

    Cost: 20 tasks, 200 entries, 1,000 resamples: 10 s on one core, 350 MB.

    Args:
        errors: As of `ranking`.
        samples: As of `ranking`.
        reference: Stands in where an entry has no error.
    """
    found = together(errors, samples, reference)
    logs, entries = _logs(found), found.shape[1]
    win = np.full((3, entries, entries), 0.5)
    skill = np.zeros((3, entries, entries))
    if entries and np.isnan(found[:, reference, 0]).all():
        win[:], skill[:] = np.nan, np.nan
    for at in range(entries - 1):
        rest = slice(at + 1, None)
        less = np.sign(found[:, rest] - found[:, [at]])
        wins = _over_tasks(0.5 + 0.5 * less, found[:, rest])
        gap = np.clip(logs[:, [at]] - logs[:, rest], -LIMIT, LIMIT)
        mean = _over_tasks(gap, found[:, rest])
        win[:, at, rest], win[:, rest, at] = interval(wins), interval(1 - wins)
        skill[:, at, rest] = interval(1 - np.exp(mean))
        skill[:, rest, at] = interval(1 - np.exp(-mean))
    return Pairs(win=Interval(*win), skill=Interval(*skill))


def interval(statistic: Floats) -> Interval:
    """Return value and interval of `[P, 1 + B]`, the first column being the value."""
    value, samples = statistic[:, 0], statistic[:, 1:]
    ends = np.full((2, len(value)), np.nan)
    known = np.isfinite(samples)
    alike = bool((known == known[:1]).all())
    groups = [np.arange(len(value))] if alike else np.arange(len(value))[:, None]
    for rows in groups:
        defined = samples[np.ix_(rows, known[rows[0]])] if len(rows) else samples
        if defined.size:
            ends[:, rows] = np.quantile(defined, TAILS, axis=1)
    return Interval(value, *np.where(np.isfinite(value), ends, np.nan))


def _logs(found: Floats) -> Floats:
    """Return logarithms; of a perfect 0 one that no clipped ratio tells from it."""
    return np.log(np.maximum(found, np.finfo(np.float64).tiny))


def _over_tasks(values: Floats, found: Floats) -> Floats:
    """Return the mean over the tasks that count, `[P, b]`."""
    counts = ~np.isnan(found)
    total = np.where(counts, values, 0.0).sum(axis=0)
    return ratio(total, counts.sum(axis=0).astype(np.float64))
