"""Blind releases, and copies of them in which something is planted."""

import dataclasses
import functools
import hashlib
import shutil
from pathlib import Path

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.manifest import read_manifest, write_manifest
from harness.record import Curve, RunRecord
from harness.seeds import stream
from tasks.blind.release import Request, Result
from tasks.blind.release import blind as make_blind
from tests.tasks.full_corpus import build_full

KEY = hashlib.sha256(b"a key of the tests 6").digest()
"""Hides the run that diverged where learning rates are planned."""
TASKS = ("curve/w20", "final-acc/w04")


def release(corpus: Corpus, folder: Path, **changes) -> Result:
    """Make a blind release below a folder."""
    request = {
        "corpus": corpus.folder,
        "out": folder / "public",
        "targets": folder / "targets",
        "key": KEY,
        "hide": 0.65,
        "tasks": TASKS,
        "accept": ("retraining",),
    }
    return make_blind(Request(**request | changes))


def distinct(one: RunRecord) -> RunRecord:
    """Return a run with noise of its own: synthetic runs of equal seed begin alike."""
    if one.status == "failed":
        return one
    steps, loss = one.curves["train_loss"]
    noise = stream(one.config.seed, f"distinct/{one.config.run_id}")
    values = loss * np.exp(0.1 * noise.standard_normal(len(loss)))
    curve = Curve(steps, values.astype(np.float32))
    return dataclasses.replace(one, curves=one.curves | {"train_loss": curve})


@functools.cache
def whole_below(base: Path) -> Corpus:
    """Build what is hidden of, once in a session whichever folder's tests ask."""
    return build_full(base / "whole" / "corpus", distinct)


@functools.cache
def made_below(base: Path) -> Result:
    """Make the release of it, once too."""
    return release(whole_below(base), base / "blind")


def planted(made: Result, folder: Path, name: str, change) -> Result:
    """Return a copy of a release with another table in a file; checks see it."""
    copy = Path(shutil.copytree(made.folder, folder / "planted"))
    table = change(pl.read_parquet(copy / name))
    table.write_parquet(copy / name)
    manifest = read_manifest(copy)
    write_manifest(copy, manifest, manifest["files"])
    seen = dataclasses.replace(made.made, blind=Corpus.open(copy))
    return dataclasses.replace(made, folder=copy, made=seen)
