"""TensorBoard event files: a folder with event files is a run, a tag is a signal."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from harness.errors import DataError
from harness.importers.event_file import Scalar, scalars
from harness.importers.points import POINTS, Context, Points
from harness.registry import IMPORTERS

PATTERN: Final = "*tfevents*"
BLOCK: Final = 1 << 18
"""Values handed over at a time."""
HPARAMS: Final = "_hparams_/"
"""Beginning of tags that hold no curve."""


@IMPORTERS.register("tensorboard")
def read_tensorboard(paths: Sequence[Path], context: Context) -> Iterator[Points]:
    """Yield the scalars of event files, and of those in folders and below.

    A run is called as TensorBoard calls it, by its folder below the one given; files of
    one folder are one run, read in the order of their names, which is that of time.
    Both forms of scalars are read, the old simple_value and tensors without dimensions;
    other tags (histograms, images, texts) are counted as left out.

    Raises:
        DataError: A file is damaged or no event file, or a folder has none.
    """
    for path, run in _event_files(paths):
        rows: list[Scalar] = []
        values = scalars(path)
        while True:
            try:
                found = next(values)
            except StopIteration:
                break
            except EOFError:
                context.note(
                    f"{path.name} of run {run!r} ends within a record, as that of a "
                    "killed process does; what was before is there"
                )
                break
            rows.append(found)
            if len(rows) == BLOCK:
                yield _points(rows, run, path, context)
                rows = []
        yield _points(rows, run, path, context)


def _event_files(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return every event file and the name of its run."""
    found: dict[Path, str] = {}
    files = [path for path in paths if not path.is_dir()]
    for folder in (path for path in paths if path.is_dir()):
        inside = sorted(p for p in folder.rglob(PATTERN) if p.is_file())
        if not inside:
            raise DataError(f"{folder} has no event file ({PATTERN}) in it or below")
        for path in inside:
            name = path.parent.relative_to(folder).as_posix()
            if len(paths) > 1 or name == ".":
                name = (Path(folder.resolve().name) / name).as_posix()
            found.setdefault(path, name)
    if files:
        top = Path(os.path.commonpath([path.resolve().parent for path in files]))
        for path in sorted(files):
            name = path.resolve().parent.relative_to(top).as_posix()
            found.setdefault(path, top.name if name == "." else name)
    return list(found.items())


def _points(rows: Sequence[Scalar], run: str, path: Path, context: Context) -> Points:
    """Return the scalars among the values of an event file."""
    good = [r for r in rows if r.value is not None and not r.tag.startswith(HPARAMS)]
    context.drop("values that are no scalars (images, texts)", len(rows) - len(good))
    signals = {tag: context.signal(tag) for tag in dict.fromkeys(r.tag for r in good)}
    kept = [row for row in good if signals[row.tag] is not None]
    context.drop("values of signals left out", len(good) - len(kept))
    below = [row for row in kept if row.step >= 0]
    context.drop("values without a step of 0 or more", len(kept) - len(below))
    values = pl.DataFrame(
        {
            "run": [run] * len(below),
            "signal": [signals[row.tag] for row in below],
            "step": [float(row.step) for row in below],
            "value": [row.value for row in below],
        },
        schema=POINTS,
    )
    return Points(values, str(path), {})
