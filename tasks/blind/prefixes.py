"""Whether the beginning of a hidden run is found in runs whose end is known.

Runs of equal seed, data and settings are the same run until something tells them
apart: two schedules that share the warm-up, a copy under another name. Whoever finds
the beginning of a hidden run in the public part reads its end there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.spatial.distance import cdist

from harness.corpus import Corpus
from harness.early.curves import LOSS, last_step
from harness.measure import Floats

NEAR: Final = 0.05
"""Distances below this share of that between seed twins are no chance. Measured on the
reference corpora over half a window, of 8 steps or more: another seed .07 and more,
another rate or optimizer of the same seed .06 and more, another schedule of the same
seed, before it differs, 0."""
CHANCE: Final = 0.001
"""Expected number of pairs in a corpus that are nearer by chance."""
NO_LOSS: Final = 50.0
"""ln loss that stands for no finite positive loss; two of them are alike."""
FEWEST: Final = 2
"""Losses that are compared, at least: the first is that of the untrained network."""
BLOCK: Final = 1 << 24
"""Distances held at a time (128 MB)."""


class Nearest(NamedTuple):
    """Of each asked run, the other run whose beginning is most like its own."""

    ratio: Floats
    """`[n]`, RMS distance of ln loss over the first half of the window, in units of
    that to the nearest seed twin; 0 is a copy, NaN cannot be compared."""
    bound: Floats
    """`[n]`, ratios below this (or equal distances of 0) are found."""
    prefix: Floats
    """`[n]`, losses from the first on that are equal bit by bit, share of the
    window."""
    other: npt.NDArray[np.int64]
    """`[n]`, row of the other run."""

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Which runs are found, `[n]`."""
        return _near(self.ratio, self.bound)


@dataclass(frozen=True, kw_only=True)
class Beginnings:
    """Training losses of n runs from the first update on."""

    run_ids: tuple[str, ...]
    """Names."""
    families: tuple[str, ...]
    """Family of each."""
    num_steps: npt.NDArray[np.int64]
    """`[n]`, planned updates."""
    losses: npt.NDArray[np.float32]
    """`[n, T]`, column i is step i + 1; NaN where none is known."""

    @classmethod
    def of(cls, corpus: Corpus, until: float, run_ids: Sequence[str] | None) -> Self:
        """Read the losses of a corpus up to a share of each run's steps.

        Args:
            corpus: An open corpus.
            until: Share in (0, 1].
            run_ids: Runs to read; None for all that did not fail.
        """
        runs = corpus.runs(["run_id", "family_id", "num_steps"]).sort("run_id")
        runs = runs.filter(pl.col("num_steps") > 0)
        if run_ids is not None:
            runs = runs.filter(pl.col("run_id").is_in(list(run_ids)))
        lengths = runs["num_steps"].to_numpy().astype(np.int64)
        width = int(last_step(until, lengths).max(initial=1))
        losses = np.full((len(runs), max(width, 1)), np.nan, np.float32)
        row = {run: i for i, run in enumerate(runs["run_id"])}
        frame = corpus.curves([LOSS], until=until, run_ids=list(row))
        for run, steps, values in frame.select("run_id", "steps", "values").rows():
            losses[row[run], np.asarray(steps, np.int64) - 1] = values
        return cls(
            run_ids=tuple(row),
            families=tuple(runs["family_id"]),
            num_steps=lengths,
            losses=losses,
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the runs of several; what one does not know is NaN.

        Args:
            parts: At least one.
        """
        width = max(part.losses.shape[1] for part in parts)
        wide = [
            np.pad(
                part.losses,
                ((0, 0), (0, width - part.losses.shape[1])),
                constant_values=np.nan,
            )
            for part in parts
        ]
        return cls(
            run_ids=tuple(run for part in parts for run in part.run_ids),
            families=tuple(name for part in parts for name in part.families),
            num_steps=np.concatenate([part.num_steps for part in parts]),
            losses=np.concatenate(wide),
        )


def nearest(
    asked: Beginnings,
    others: Beginnings,
    until: float,
    *,
    pairs: int,
    twins: Beginnings | None = None,
) -> Nearest:
    """Return how near the beginning of each run is to another family's.

    Formula: over the first k losses, k half of the window's steps rounded up and at
    least 2 where there are so many, d = root mean square of ln loss - ln loss'. The
    ratio is min d / d of the run's nearest seed twin, or the median of these over the
    runs of its length where that is less: a twin may have diverged at once. Bound:
    min(.05, (.001 / pairs)^(1 / m)) with m of the k losses finite: the share of the
    twins' distance within which less than one pair in a thousand corpora would lie by
    chance, were losses independent. Runs of other lengths may begin alike, so all
    lengths are compared.

    Args:
        asked: Hidden runs.
        others: Runs whose later losses are known; those of the same family are passed
            over.
        until: Share of the steps that is shown of the asked runs.
        pairs: Comparisons in all, asked times others.
        twins: Runs whose twins tell the median, the asked ones among them; None: these
            alone.

    Cost: n times the number of others times k; 108 x 324 x 400: .1 s.
    """
    n = len(asked.run_ids)
    ratio, bound, prefix = np.full(n, np.nan), np.zeros(n), np.zeros(n)
    other = np.zeros(n, np.int64)
    shown = _shown(asked, until)
    for part in _parts(asked, others, until, pairs, twins or asked):
        rows, best = part.rows, part.ratio.argmin(axis=1)
        ratio[rows] = part.ratio[np.arange(len(rows)), best]
        bound[rows], other[rows] = part.bound, best
        for row, its in zip(rows.tolist(), best.tolist(), strict=True):
            width = min(shown[row], others.losses.shape[1])
            same = asked.losses[row, :width] == others.losses[its, :width]
            prefix[row] = (same.argmin() if not same.all() else width) / shown[row]
    ratio[np.isinf(ratio)] = np.nan
    return Nearest(ratio, bound, prefix, other)


def clusters(found: Beginnings, until: float) -> list[tuple[str, ...]]:
    """Return families that must be hidden together, as sorted tuples, sorted.

    Two families belong together if a run of one is found in the other (`nearest`), or
    both do with a third.

    Args:
        found: All runs that may be hidden.
        until: Share of the steps of the smallest window.
    """
    parent = {name: name for name in sorted(set(found.families))}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    pairs = len(found.run_ids) ** 2
    for part in _parts(found, found, until, pairs, found):
        rows, others = np.nonzero(_near(part.ratio, part.bound[:, None]))
        for row, other in zip(part.rows[rows].tolist(), others.tolist(), strict=True):
            one, two = root(found.families[row]), root(found.families[other])
            parent[max(one, two)] = min(one, two)
    groups: dict[str, list[str]] = {}
    for name in parent:
        groups.setdefault(root(name), []).append(name)
    return sorted(tuple(group) for group in groups.values())


class _Part(NamedTuple):
    """Some asked runs, compared with all others."""

    rows: npt.NDArray[np.int64]
    """`[b]`, which of the asked."""
    ratio: Floats
    """`[b, m]`, inf where they are not compared."""
    bound: Floats
    """`[b]`."""


def _near(ratio: Floats, bound: Floats) -> npt.NDArray[np.bool_]:
    """Return where a ratio is that of a run found; NaN is not."""
    return np.asarray((ratio == 0) | (ratio < bound))


def _shown(asked: Beginnings, until: float) -> npt.NDArray[np.int64]:
    """Return the number of steps that is shown of each run, `[n]`."""
    return last_step(until, asked.num_steps)


def _parts(
    asked: Beginnings, others: Beginnings, until: float, pairs: int, twins: Beginnings
) -> Iterator[_Part]:
    """Yield the comparisons, blocks of asked runs of one number of losses."""
    labels = {name: i for i, name in enumerate(dict.fromkeys(asked.families))}
    own = np.array([labels[name] for name in asked.families])
    their = np.array([labels.get(name, -1) for name in others.families])
    half, every = _half(asked, until), _half(twins, until)
    for k in np.unique(half[half >= FEWEST]).tolist():
        mine, other = _logs(asked.losses, k), _logs(others.losses, k)
        finite = (mine != NO_LOSS).sum(axis=1)
        twin = dict(_twins(twins, np.flatnonzero(every == k), k))
        scale = np.array([twin.get(run, 0.0) for run in asked.run_ids])
        alike = np.flatnonzero(half == k)
        size = max(1, BLOCK // max(1, len(other)))
        for rows in np.split(alike, range(size, len(alike), size)):
            distance = cdist(mine[rows], other) / np.sqrt(k)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(distance == 0, 0.0, distance / scale[rows][:, None])
            apart = own[rows][:, None] != their
            ratio = np.where(apart & (finite[rows] >= FEWEST)[:, None], ratio, np.inf)
            chance = (CHANCE / max(pairs, 1)) ** (1 / np.maximum(finite[rows], 1))
            yield _Part(rows, ratio, np.minimum(NEAR, chance))


def _half(asked: Beginnings, until: float) -> npt.NDArray[np.int64]:
    """Return the number of losses of each run that are compared, `[n]`."""
    shown = _shown(asked, until)
    return np.minimum(np.maximum(-(-shown // 2), FEWEST), shown)


def _logs(losses: npt.NDArray[np.float32], k: int) -> Floats:
    """Return ln of the first k losses, `[n, k]`."""
    found = np.full((len(losses), k), NO_LOSS)
    part = losses[:, :k].astype(np.float64)
    usable = np.isfinite(part) & (part > 0)
    found[:, : part.shape[1]][usable] = np.log(part[usable])
    return found


def _twins(
    runs: Beginnings, rows: npt.NDArray[np.int64], k: int
) -> Iterable[tuple[str, float]]:
    """Return runs and their distances to seed twins; 0 where there are none."""
    logs = _logs(runs.losses[rows], k)
    members: dict[str, list[int]] = {}
    for at, row in enumerate(rows.tolist()):
        members.setdefault(runs.families[row], []).append(at)
    found = np.full(len(rows), np.nan)
    for family in members.values():
        if len(family) > 1:
            between = cdist(logs[family], logs[family]) / np.sqrt(k)
            np.fill_diagonal(between, np.inf)
            found[family] = between.min(axis=1)
    num_steps = runs.num_steps[rows]
    for steps in np.unique(num_steps).tolist():
        alike = np.flatnonzero(num_steps == steps)
        known = found[alike][np.isfinite(found[alike])]
        typical = np.median(known) if len(known) else 0.0
        found[alike] = np.fmin(found[alike], typical)
    return zip(
        (runs.run_ids[row] for row in rows.tolist()), found.tolist(), strict=True
    )
