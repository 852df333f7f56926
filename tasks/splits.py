"""How the runs of a corpus are divided: families stay whole, whatever the task.

Two runs of one family differ in their seed only; one of them in training would all but
tell the other's end. The family is that of the whole corpus, not of a grid.
"""

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

import polars as pl

from harness.registry import Registry

SPLITS: Final[Registry[Callable[..., "Division"]]] = Registry("split", "tasks.splits")

BUCKETS: Final = 1000
"""Shares of a split are multiples of one in this many."""


class Division(NamedTuple):
    """Run ids by part; what is in no part is not used."""

    train: tuple[str, ...]
    """Shown with targets."""
    validation: tuple[str, ...]
    """Shown with targets, for choices that a predictor makes."""
    test: tuple[str, ...]
    """Scored."""


@SPLITS.register("grouped")
def grouped(
    runs: pl.DataFrame,
    *,
    salt: str = "1",
    train: float = 0.6,
    validation: float = 0.2,
) -> Division:
    """Divide families by the hash of their id: 60, 20 and 20 % of them.

    A family's part depends on nothing but its id and the salt, so a larger corpus, or
    another order of rows, leaves it where it is.

    Args:
        runs: Table with the columns run_id and family_id.
        salt: Another one makes another division.
        train: Share of the families.
        validation: Share of the families; the rest is for the test.

    Raises:
        ValueError: The shares are not positive or leave nothing for the test.
    """
    if not (train > 0 and validation >= 0 and train + validation < 1):
        raise ValueError(
            f"train and validation are {train} and {validation}, expected positive "
            "shares that leave some for the test"
        )
    parts: tuple[list[str], list[str], list[str]] = ([], [], [])
    for run_id, family in runs.select("run_id", "family_id").sort("run_id").rows():
        share = bucket(family, salt) / BUCKETS
        parts[(share >= train) + (share >= train + validation)].append(run_id)
    return Division(*map(tuple, parts))


@SPLITS.register("held_out_level")
def held_out_level(
    runs: pl.DataFrame,
    *,
    column: str,
    level: str | float | bool,
    salt: str = "1",
    validation: float = 0.2,
) -> Division:
    """Test on the runs at one level of a factor, train on all others.

    Args:
        runs: Table with the columns run_id, family_id and `column`.
        column: A column of the configuration, such as "optimizer.name".
        level: Its value in the test.
        salt: Another one makes another division of the rest.
        validation: Share of the other families that is kept for choices.

    Raises:
        ValueError: The column is missing, or no run or every run has this level.
    """
    if column not in runs.columns:
        raise ValueError(f"the corpus has no column {column!r} to hold a level out of")
    held = runs.filter(pl.col(column) == level)
    rest = runs.filter(pl.col(column).ne_missing(level))
    if not len(held) or not len(rest):
        raise ValueError(
            f"{len(held)} of {len(runs)} runs have {column} = {level!r}: nothing to "
            f"{'test on' if not len(held) else 'train on'}"
        )
    share = round((1 - validation) * BUCKETS)
    parts: tuple[list[str], list[str]] = ([], [])
    for run_id, family in rest.select("run_id", "family_id").sort("run_id").rows():
        parts[bucket(family, salt) >= share].append(run_id)
    return Division(tuple(parts[0]), tuple(parts[1]), tuple(held["run_id"].sort()))


def bucket(family_id: str, salt: str) -> int:
    """Return the bucket 0 to 999 of a family.

    Example:
        >>> bucket("f-0", "1") == bucket("f-0", "1")
        True
    """
    digest = hashlib.sha256(f"{salt}/{family_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
