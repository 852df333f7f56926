"""The public and the private half of a board's hidden families.

During a version scores on the public half are announced, see the ladder
beside; those on the private half appear when the version closes.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Final, Literal

import polars as pl

from harness.errors import DataError
from harness.secret import keyed
from harness.storage import read_parquet
from tasks.blind.targets import LINKING, HiddenTargets
from tasks.question import Answers
from tasks.sealed import Sealed

Half = Literal["public", "private"]
"""Scores shown during a version, and at its close."""
FEWEST: Final = 2
"""Families that a half scores, at least: an interval needs more than one."""


def halves(targets: HiddenTargets) -> dict[str, Half]:
    """Return the half of each hidden family, the same for every task.

    The families of a window (`tasks.blind.dealing`) are ranked by HMAC-SHA256 under a
    key, and those at even places are public: the halves of a window differ by one
    family at most. The key is the SHA-256 of the rows of `linking.parquet`, which says
    which hidden run is which: it lies in the private folder alone, and whoever can
    write it down knows every hidden run already. It does not depend on the answers, so
    that a mended target moves no family.

    Raises:
        CorpusError: The table is damaged.

    Cost: milliseconds.
    """
    link = pl.DataFrame(read_parquet(targets.folder / LINKING))
    return divided(link)


def divided(link: pl.DataFrame) -> dict[str, Half]:
    """Return the half of each family of a table of hidden runs.

    Args:
        link: `tasks.blind.dealing.deal`: id, window, run_id, family_id.
    """
    columns = ["id", "window", "run_id", "family_id"]
    rows = link.select(columns).sort("id").rows()
    key = hashlib.sha256(json.dumps(rows).encode()).digest()
    windows: dict[str, set[str]] = {}
    for _, window, _, family in rows:
        windows.setdefault(window, set()).add(family)
    found: dict[str, Half] = {}
    for families in windows.values():
        ranked = sorted(families, key=lambda name: keyed(key, "half", name))
        found |= {
            family: "private" if place % 2 else "public"
            for place, family in enumerate(ranked)
        }
    return found


def half(sealed: Sealed, of: Mapping[str, Half], which: Half) -> Sealed:
    """Return what scoring one half needs; families stay whole.

    All that was asked for must still be answered, so that no error tells which runs are
    in which half; reference and ceiling are those of the whole.

    Args:
        sealed: The truth about all hidden runs of a task.
        of: `halves`.
        which: The half to keep.

    Raises:
        DataError: Too few families of the half can be scored, or one is in none.
    """
    if strangers := set(sealed.answers.families) - set(of):
        raise DataError(
            f"{sealed.task.name}: {len(strangers)} hidden families are in neither "
            "half: the targets and their linking.parquet belong to different releases"
        )
    mine = [of[family] == which for family in sealed.answers.families]
    scored = sealed.answers.runs.filter(pl.Series(mine, dtype=pl.Boolean))
    if (families := scored["family_id"].n_unique()) < FEWEST:
        raise DataError(
            f"{sealed.task.name}: {families} families of the {which} half can be "
            f"scored, expected {FEWEST} or more: hide more runs"
        )
    answers = Answers.of(
        scored, sealed.answers.replicated, sorted(sealed.answers.context)
    )
    return dataclasses.replace(sealed, answers=answers, controls=sealed.controls[mine])
