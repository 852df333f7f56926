"""How the runs of a corpus are divided: families stay whole, whatever the task.

Two runs of one family differ in their seed only; one of them in training would all but
tell the other's end. The family is that of the whole corpus, not of a grid.
"""

import hashlib
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

import polars as pl

from harness.registry import Registry
from harness.spec import Part

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


SPLITS: Final[Registry[Callable[..., tuple[Division, ...]]]] = Registry(
    "split", "tasks.splits"
)
"""Functions of the whole table `runs` that return divisions, one a fold; over all of
them a run is tested at most once."""


def divide(split: Part, runs: pl.DataFrame, asked: Collection[str]) -> list[Division]:
    """Divide a whole corpus, then keep the runs that a task asks about.

    So a family is on the same side in all tasks that are split alike, whatever targets
    its runs have.

    Args:
        split: Registered split and its arguments.
        runs: The corpus's table of runs, all of them.
        asked: Ids of the runs that have the target.

    Raises:
        ValueError: The runs cannot be divided so.
    """
    found = SPLITS.get(split.name)(runs, **split.params)
    chosen = set(asked)
    return [
        Division(*(tuple(run for run in part if run in chosen) for part in division))
        for division in found
    ]


@SPLITS.register("grouped")
def grouped(
    runs: pl.DataFrame,
    *,
    salt: str = "1",
    train: float = 0.6,
    validation: float = 0.2,
) -> tuple[Division, ...]:
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
    return (Division(*map(tuple, parts)),)


@SPLITS.register("grouped_folds")
def grouped_folds(
    runs: pl.DataFrame, *, folds: int = 5, salt: str = "1"
) -> tuple[Division, ...]:
    """Deal the families to folds; each fold is the test of a model of all others.

    Families are ranked by the hash of their id and dealt out in turn, so that the
    folds' numbers of families differ by one at most, however few there are (hashing
    24 families into 5 folds leaves a fold with one family or none in 15 % of
    corpora). The price: another family in the corpus may move families to another
    fold, so scores belong to one corpus.

    Args:
        runs: Table with the columns run_id and family_id.
        folds: Number of folds, at least 2.
        salt: Another one makes another division.

    Raises:
        ValueError: There are fewer families than folds, or fewer than two folds.
    """
    families = sorted(
        runs["family_id"].unique(), key=lambda family: (_digest(family, salt), family)
    )
    if not 2 <= folds <= len(families):
        raise ValueError(
            f"{len(families)} families of runs cannot be dealt to {folds} folds; "
            "expected 2 folds or more and a family for each: record runs of more "
            "configurations"
        )
    fold_of = {family: rank % folds for rank, family in enumerate(families)}
    table = runs.select(
        "run_id", fold=pl.col("family_id").replace_strict(fold_of)
    ).sort("run_id")
    return tuple(
        Division(
            tuple(table.filter(pl.col("fold") != fold)["run_id"]),
            (),
            tuple(table.filter(pl.col("fold") == fold)["run_id"]),
        )
        for fold in range(folds)
    )


@SPLITS.register("held_out_level")
def held_out_level(
    runs: pl.DataFrame, *, column: str, level: str | float | bool
) -> tuple[Division, ...]:
    """Test on the runs at one level of a factor, train on all others.

    Args:
        runs: Table with the columns run_id, family_id and `column`.
        column: A column of the configuration, such as "optimizer.name".
        level: Its value in the test; "max" is the largest of a column of numbers.

    Raises:
        ValueError: The column is missing, or no run or every run has this level.
    """
    values = _column(runs, column)
    if level == "max" and values.dtype.is_numeric():
        level = values.max()  # type: ignore[assignment]
    if isinstance(level, str):
        held = values.cast(pl.String) == level
    else:
        held = values.cast(pl.Float64, strict=False) == float(level)
    return _held_out(runs, held, f"{column} = {level!r}")


@SPLITS.register("held_out_top")
def held_out_top(
    runs: pl.DataFrame, *, column: str, within: tuple[str, ...] = ()
) -> tuple[Division, ...]:
    """Test on the largest value of a column in each group of runs, train on the rest.

    "The largest learning rate" means little across optimizers or batch sizes, which
    scale it. A group with one value only has no largest; it is trained on.

    Args:
        runs: Table with the columns run_id, family_id, `column` and `within`.
        column: A column of numbers, such as "optimizer.lr".
        within: Columns that make the groups; none for one group of all runs.

    Raises:
        ValueError: A column is missing or has no numbers, or no group has two values.
    """
    for name in within:
        _column(runs, name)
    if not _column(runs, column).dtype.is_numeric():
        raise ValueError(f"column {column!r} holds no numbers to hold the top out")
    group = [pl.col(name) for name in within] or [pl.lit(0)]
    value = pl.col(column)
    top = (value == value.max().over(group)) & (value.min() < value.max()).over(group)
    return _held_out(runs, runs.select(top).to_series(), f"the largest {column}")


@SPLITS.register("lowest")
def lowest(
    runs: pl.DataFrame, *, column: str = "final.train_loss", share: float = 0.2
) -> tuple[Division, ...]:
    """Test on the families that end lowest in a column, train on the others.

    A law that was fitted to larger values must extrapolate. A family counts by the
    mean over its runs; one without any finite value is in no part.

    Args:
        runs: Table with the columns run_id, family_id and `column`.
        column: A column of numbers, such as a loss at the end.
        share: Share of the families that is tested, at least one of them.

    Raises:
        ValueError: The column is missing, fewer than two families have a value, or
            the share is not between 0 and 1.
    """
    values = _column(runs, column).cast(pl.Float64, strict=False)
    table = runs.select("family_id", "run_id").with_columns(value=values)
    means = (
        table.filter(pl.col("value").is_finite())
        .group_by("family_id")
        .agg(pl.col("value").mean())
        .sort("value", "family_id")
    )
    if len(means) < 2 or not 0 < share < 1:
        raise ValueError(
            f"{len(means)} families have a {column} and a share of {share} of them is "
            "to be tested; expected 2 families or more and a share in (0, 1)"
        )
    tested = means["family_id"].head(
        min(max(round(share * len(means)), 1), len(means) - 1)
    )
    known = runs.filter(pl.col("family_id").is_in(means["family_id"].to_list()))
    held = known["family_id"].is_in(tested.to_list())
    return _held_out(known, held, f"the lowest {column}")


def bucket(family_id: str, salt: str) -> int:
    """Return the bucket 0 to 999 of a family.

    Example:
        >>> bucket("f-0", "1") == bucket("f-0", "1")
        True
    """
    return _digest(family_id, salt) % BUCKETS


def _digest(family_id: str, salt: str) -> int:
    digest = hashlib.sha256(f"{salt}/{family_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _column(runs: pl.DataFrame, name: str) -> pl.Series:
    """Return a column of the table `runs`."""
    if name not in runs.columns:
        raise ValueError(
            f"the corpus has no column {name!r} to divide its runs by: record or "
            "import runs that tell it"
        )
    return runs[name]


def _held_out(runs: pl.DataFrame, held: pl.Series, what: str) -> tuple[Division, ...]:
    """Return the division that tests the runs marked and trains on other families.

    Runs that are not marked themselves but share a family with one that is (possible
    in imported corpora, where families are given) are in no part.
    """
    tested = runs.filter(held)
    families = tested["family_id"].unique().to_list()
    rest = runs.filter(~pl.col("family_id").is_in(families))
    if not len(tested) or not len(rest):
        raise ValueError(
            f"{len(tested)} of {len(runs)} runs have {what} and {len(rest)} are of "
            f"families without it: nothing to "
            f"{'train on' if len(tested) else 'test on'}; record more levels"
        )
    return (Division(tuple(rest["run_id"].sort()), (), tuple(tested["run_id"].sort())),)
