"""The permutation null: what a score looks like when the inputs know nothing.

A model that sees only ids, order or other metadata must not beat it; if it does, the
targets leak into the metadata.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from harness.seeds import stream
from tasks.metrics.inputs import Ints, finite
from tasks.statistics.bootstrap import family_index


class PermutationNull(NamedTuple):
    """A score and its distribution under permuted targets."""

    observed: float
    null: Floats
    """`[R]`, scores under permuted targets."""
    p: float
    """Probability under the null of a score at least as good, from 1 / (R + 1)."""


def permutation_null(
    score: Callable[[Floats], float],
    truth: npt.ArrayLike,
    families: npt.ArrayLike,
    *,
    direction: Literal["min", "max"] = "min",
    permutations: int = 199,
    seed: int = 0,
) -> PermutationNull:
    """Return whether a model scores better than on targets that were dealt anew.

    Formula: p = (1 + number of permuted scores at least as good) / (1 + permutations).
    Whole families exchange their targets, so that replicates stay alike and a model
    cannot be told from the null by within-family likeness. Source: Phipson & Smyth 2010
    (the ones). Cost: a call of `score` a permutation.

    Args:
        score: From targets `[N]` to a score: fits the model anew and scores it.
        truth: Targets `[N]`.
        families: Label of each row's family, `[N]`.
        direction: Whether a small or a large score is good.
        permutations: R.
        seed: Names the permutations.

    Example:
        >>> rows = np.arange(8.0)
        >>> result = permutation_null(lambda y: float(abs(y - rows).mean()), rows, rows)
        >>> result.p  # nothing beats the truth itself
        0.005
    """
    if permutations < 1 or direction not in ("min", "max"):
        raise ValueError(
            f"{permutations} permutations for direction {direction!r}; expected at "
            "least 1, and 'min' or 'max'"
        )
    dealt = permuted_targets(truth, families, permutations=permutations, seed=seed)
    observed = float(score(finite("truth", truth)))
    return against(observed, np.array([score(y) for y in dealt]), direction=direction)


def against(
    observed: float, null: Floats, *, direction: Literal["min", "max"] = "min"
) -> PermutationNull:
    """Return where a score stands among scores `[R]` under permuted targets."""
    sign = 1.0 if direction == "min" else -1.0
    beaten = int((sign * null <= sign * observed).sum())
    return PermutationNull(observed, null, (1 + beaten) / (1 + len(null)))


def permuted_targets(
    truth: npt.ArrayLike,
    families: npt.ArrayLike,
    *,
    permutations: int = 199,
    seed: int = 0,
) -> Floats:
    """Return targets `[R, N]`, each row dealt anew as by `permute_families`.

    Args:
        truth: Targets `[N]`.
        families: Label of each row's family, `[N]`.
        permutations: R.
        seed: Names the permutations.

    Raises:
        ValueError: As `permute_families`.
    """
    y = finite("truth", truth)
    alike = _alike(y, families)
    return np.array(
        [
            _dealt(y, alike, stream(seed, "permutation-null", i))
            for i in range(permutations)
        ]
    )


def permute_families(
    truth: npt.ArrayLike, families: npt.ArrayLike, random: np.random.Generator
) -> Floats:
    """Return targets `[N]` dealt anew between families of the same size.

    The runs of a family receive the targets of one other family, in an order of their
    own, so that every family keeps replicates of one configuration.

    Args:
        truth: Targets `[N]`.
        families: Label of each row's family, `[N]`.
        random: Draws the permutation.

    Raises:
        ValueError: All families differ in size, so that none can be exchanged.
    """
    y = finite("truth", truth)
    return _dealt(y, _alike(y, families), random)


def _alike(y: Floats, families: npt.ArrayLike) -> list[Ints]:
    """Return the rows of the families of each size m, `[F, m]`."""
    index, num_families = family_index(families)
    if y.shape != index.shape:
        raise ValueError(f"{list(y.shape)} targets for {list(index.shape)} families")
    sizes = np.bincount(index)
    distinct = np.unique(sizes)
    if len(distinct) == num_families:
        raise ValueError(
            "no two families have the same number of runs, so that none can exchange "
            "their targets; permute within a corpus of equal replicates"
        )
    order = np.argsort(index, kind="stable")
    first = np.cumsum(sizes) - sizes
    return [order[first[sizes == m][:, None] + np.arange(m)] for m in distinct]


def _dealt(y: Floats, alike: list[Ints], random: np.random.Generator) -> Floats:
    """Return the targets of each size of families exchanged among them."""
    result = np.empty_like(y)
    for rows in alike:
        result[rows] = random.permuted(y[random.permutation(rows)], axis=1)
    return result
