"""Whether a digest in a public file can be guessed, or names what is hidden.

A digest without a key of something guessable is that thing, to whoever tries.
"""

import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from harness.manifest import MANIFEST
from harness.measure import Floats
from harness.spec import canonical_json
from harness.storage import read_parquet
from tasks.blind.findings import Finding, Made
from tasks.observations import example_id
from tasks.targets import TARGETS

DIGITS: Final = 12
"""Shorter tokens would be begun by some guess by chance."""
VALUES: Final = 10_000
"""Guesses of each target."""
SHOWN: Final = 3
WORD: Final = re.compile(rb"[A-Za-z0-9_-]{4,}")
TOKEN: Final = re.compile(rb"[0-9a-f]{%d,}" % DIGITS)
BETWEEN: Final = ("", "/", ":", ",", "-", " ")
"""What may stand between a name and a value."""


def digests(made: Made) -> Finding:
    """Say whether a public file holds a name of a hidden run, or a guessable digest.

    Searched are all texts in the cells of all tables, the ends of their files, and the
    manifest. A run id, trajectory id or family id of a hidden run is found as it is. A
    token of 12 or more hexadecimal digits is found if it begins an MD5, SHA-1, SHA-256
    or BLAKE2b (of 64 bytes, or as long as some token) of: an id or the configuration of
    a hidden run; what examples and groups of tasks are named after; 10,000 values of
    each target, as text and as bytes; a hidden run's names with its value. Statistic:
    how many are found.
    """
    tokens, found = leaks(made)
    text = f"{len(found)} names or guessable digests among {tokens} tokens"
    if found:
        text += f": {'; '.join(found[:SHOWN])}{'; ...' if len(found) > SHOWN else ''}"
    count = float(len(found))
    return Finding(passed=not found, statistic=count, text=text, shown=count)


def leaks(made: Made) -> tuple[int, list[str]]:
    """Return how many tokens were searched, and what was found, see `digests`."""
    words = _words(made)
    runs = made.runs()
    found = []
    for name in ("run_id", "trajectory_id", "family_id"):
        found += [f"the {name} {x}" for x in sorted(set(runs[name]) & words)]
    tokens = {
        x.decode() for word in words for x in TOKEN.findall(word.lower().encode())
    }
    names = {name.rpartition("-")[2] for name in _examples(made)}
    found += [f"the example id {x}" for x in sorted(names & tokens)]
    found += [f"the digest of {x}" for x in guessed(tokens, _guesses(made, runs))]
    return len(tokens), found


def guessed(tokens: Iterable[str], guesses: Iterable[bytes]) -> list[str]:
    """Return the guesses of which a token begins a digest, each once.

    Args:
        tokens: Hexadecimal digits in lower case, `DIGITS` or more.
        guesses: What may have been digested.

    Example:
        >>> guessed({hashlib.sha1(b"0.95").hexdigest()[:16]}, [b"0.94", b"0.95"])
        ['0.95']
    """
    every = sorted(set(tokens))
    heads = {bytes.fromhex(token[:DIGITS]) for token in every}
    words = [token for token in every if not token.isdigit() and len(token) < 128]
    makers: list[Callable[[bytes], Any]] = [
        partial(hashlib.md5, usedforsecurity=False),
        partial(hashlib.sha1, usedforsecurity=False),
        hashlib.sha256,
        hashlib.blake2b,
    ]
    lengths = sorted({len(token) // 2 for token in words})
    makers += [partial(hashlib.blake2b, digest_size=size) for size in lengths]
    texts = list(dict.fromkeys(guesses))
    found = {
        text: None
        for make in makers
        for text in texts
        if make(text).digest()[: DIGITS // 2] in heads
        and any(map(make(text).hexdigest().startswith, every))
    }
    return [text.decode("latin-1") for text in found]


def _words(made: Made) -> set[str]:
    """Return all words in the public files that could be a name or a digest."""
    found: set[bytes] = set()
    for name in made.blind.manifest["files"]:
        path = made.blind.path(name)
        if path.suffix == ".parquet":
            for text in _cells(path):
                found.update(WORD.findall(text.encode()))
            found.update(WORD.findall(_end(path)))
        else:
            found.update(WORD.findall(path.read_bytes()))
    manifest = json.dumps({k: v for k, v in made.blind.manifest.items()})
    found.update(WORD.findall(manifest.encode()))
    found.update(WORD.findall((made.blind.folder / MANIFEST).read_bytes()))
    return {word.decode() for word in found}


def _cells(path: Path) -> Iterator[str]:
    """Yield the distinct texts in the cells of a table."""
    table = pl.from_arrow(read_parquet(path))
    assert isinstance(table, pl.DataFrame)
    for column in table.get_columns():
        flat = column.explode() if column.dtype == pl.List else column
        if flat.dtype == pl.String:
            yield from flat.drop_nulls().unique().to_list()


def _end(path: Path) -> bytes:
    """Return the bytes that tell how a Parquet file is laid out."""
    data = path.read_bytes()
    return data[-8 - int.from_bytes(data[-8:-4], "little") :]


def _examples(made: Made) -> Iterator[str]:
    """Yield what hidden runs would be called without a key."""
    for task in made.tasks:
        for corpus in (made.holder, made.blind):
            for run in made.link["run_id"]:
                yield example_id(task, corpus, run)


def _guesses(made: Made, runs: pl.DataFrame) -> Iterator[bytes]:
    """Yield what digests may be of."""
    names = ("run_id", "trajectory_id", "family_id", "config_json")
    for name in names:
        yield from (text.encode() for text in runs[name].unique().sort())
    for task in made.tasks:
        about = f"{task.name}@{task.version}"
        for name in ("run_id", "family_id"):
            for text in runs[name].unique().sort():
                yield f"{about}/{text}".encode()
                for corpus in (made.holder, made.blind):
                    yield f"{about}/{corpus.name}/{text}".encode()
    seen = set()
    for task in made.tasks:
        target = canonical_json(task.target.to_json())
        if task.kind != "curve" and target not in seen:
            seen.add(target)
            found = TARGETS.get(task.target.name)(made.holder, **task.target.params)
            values = found.drop_nulls("value")
            for value in _values(values["value"].to_numpy()).tolist():
                yield from _written(value)
            yield from _named(values, runs)


def _values(known: Floats) -> Floats:
    """Return values that a target may have: those it has, and a grid around them."""
    there = np.unique(known)[:VALUES]
    low, high = (min(0.0, there.min()), max(1.0, there.max())) if len(there) else (0, 1)
    grid = np.linspace(low, high, max(VALUES - len(there), 2))
    return np.concatenate([there, np.round(grid, 4)])


def _written(value: float) -> list[bytes]:
    """Return how a value may be written."""
    return [repr(value).encode(), f"{value:.4f}".encode(), struct.pack("<d", value)]


def _named(values: pl.DataFrame, runs: pl.DataFrame) -> Iterator[bytes]:
    """Yield names of hidden runs with the value, in either order."""
    names = ("id", "run_id", "family_id")
    for row in values.join(runs.select(*names), on="run_id").iter_rows(named=True):
        for text in (repr(row["value"]), f"{row['value']:.4f}"):
            for name in names:
                for between in BETWEEN:
                    yield f"{row[name]}{between}{text}".encode()
                    yield f"{text}{between}{row[name]}".encode()
