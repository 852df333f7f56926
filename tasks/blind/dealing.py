"""Which families are hidden, in which window, and under which names; a key decides."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from harness.corpus import Corpus
from harness.errors import DataError
from harness.secret import keyed, keyed_id
from tasks.blind.prefixes import Beginnings, clusters
from tasks.blind.windows import Window

FEWEST: Final = 5
"""Families a window, at least: intervals of scores come from resampling them."""
PREFIX: Final = "x"
"""Begins the name of a hidden run."""


def deal(
    holder: Corpus, windows: Sequence[Window], *, key: bytes, hide: float | None
) -> pl.DataFrame:
    """Return the hidden runs, a row each: id, window, run_id, family_id; by id.

    Families whose runs begin alike (`tasks.blind.prefixes`) stay together, in hiding
    and in their window. Groups of families are ranked by the key; the first are hidden,
    up to the share of the families that is asked for, and dealt in turn, each to the
    window with the fewest families so far. The id of a run is derived from the key,
    the window and its run id. Nothing but the key, the family ids and the training
    losses in the smallest window decides.

    Args:
        holder: The corpus that holds the hidden runs.
        windows: What is shown, see `tasks.blind.windows`.
        key: 32 secret bytes.
        hide: Share of the families, in (0, 1); None: all of them.

    Raises:
        ValueError: A window gets too few families, or nothing is left.
        DataError: Every family begins like every other.
    """
    runs = holder.runs(["run_id", "family_id", "status"]).sort("run_id")
    runs = runs.filter(pl.col("status") != "failed")
    total = runs["family_id"].n_unique()
    first = min(window.visibility.until for window in windows)
    groups = clusters(Beginnings.of(holder, first, None), first)
    ranked = sorted(groups, key=lambda group: keyed(key, "deal", *group))
    wanted = total if hide is None else max(1, round(hide * total))
    window_of: dict[str, str] = {}
    size = {window.name: 0 for window in windows}
    for group in ranked:
        if len(window_of) >= wanted:
            break
        fewest = min(size, key=lambda name: size[name])
        window_of |= dict.fromkeys(group, fewest)
        size[fewest] += len(group)
    if hide is not None and len(window_of) == total:
        raise DataError(
            f"the {total} families of {holder.name} begin alike in {len(groups)} "
            "groups, so that hiding some hides all: hide the runs of another corpus, "
            "trained with seeds of its own (`harness generate --key`)"
        )
    _enough(size, hide, total)
    hidden = runs.filter(pl.col("family_id").is_in(list(window_of))).with_columns(
        window=pl.col("family_id").replace_strict(window_of, return_dtype=pl.String)
    )
    ids = [
        keyed_id(PREFIX, key, window, run)
        for window, run in hidden.select("window", "run_id").rows()
    ]
    found = hidden.with_columns(id=pl.Series(ids, dtype=pl.String))
    return found.select("id", "window", "run_id", "family_id").sort("id")


def _enough(size: dict[str, int], hide: float | None, total: int) -> None:
    """Refuse windows that are too small to score."""
    few = {name: count for name, count in size.items() if count < FEWEST}
    if few:
        told = ", ".join(f"{name} gets {count}" for name, count in few.items())
        share = "" if hide is None else f" (a share of {hide:g})"
        needed = FEWEST * len(size)
        raise ValueError(
            f"{sum(size.values())} hidden families of {total}{share} are dealt to "
            f"{len(size)} windows and {told}, expected {FEWEST} or more each: name "
            f"tasks of fewer windows, or hide {needed + len(size)} families or more"
        )
