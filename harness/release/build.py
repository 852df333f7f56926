"""From a finished corpus to a release: tables, card, figures, metadata, manifest.

The same tables and notes give the same bytes, so a release that was interrupted is made
again, and one that exists can be compared.
"""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.manifest import (
    HIDDEN_TABLES,
    MANIFEST,
    TABLES,
    read_manifest,
    write_manifest,
)
from harness.release.notes import RELEASE, Notes
from harness.storage import TEMPORARY_PREFIX, replacing, write_text

WORK: Final = ("shards", "manifest_sha256", "files")
"""Keys of a working folder's manifest that a release does not have."""


def build_release(corpus: Corpus, folder: Path, notes: Notes) -> dict[str, Any]:
    """Write a release of `corpus` into an empty folder; return its manifest.

    Args:
        corpus: A finished corpus, released before or not.
        folder: Where to; its parent exists, it does not.
        notes: Version, changes, licence.

    Raises:
        CorpusError: A table has changed since the corpus was finished.
        StorageError: A file could not be written.

    Cost: seconds, most of them for the figures.
    """
    from harness.release.card import card_text
    from harness.release.croissant import croissant_text
    from harness.release.datasheet import datasheet_text
    from harness.release.facts import gather_facts
    from harness.release.figures import write_figures
    from harness.release.licence import citation_text, licence_text

    folder.mkdir(parents=True)
    names = _copy_tables(corpus, folder)
    facts = gather_facts(corpus)
    figures = write_figures(corpus, folder / "figures")
    texts = {
        "README.md": card_text(facts, notes, figures),
        "DATASHEET.md": datasheet_text(facts, notes),
        "LICENSE": licence_text(facts, notes),
        "CITATION.cff": citation_text(facts, notes),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    names += [*texts, *(f"figures/{figure.name}" for figure in figures)]
    fields = {
        **{k: v for k, v in corpus.manifest.items() if k not in WORK},
        "version": notes.version,
        RELEASE: notes.to_json(),
    }
    draft = write_manifest(folder, fields, names)
    write_text(folder / "croissant.json", croissant_text(folder, draft, notes))
    return write_manifest(folder, fields, [*names, "croissant.json"])


@contextlib.contextmanager
def staged(corpus: Corpus, beside: Path, notes: Notes) -> Iterator[Path]:
    """Yield a folder with the release, which is gone afterwards unless moved.

    Args:
        corpus: What is released.
        beside: A path of the file system on which the folder is made.
        notes: Version, changes, licence.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = beside.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        build_release(corpus, folder, notes)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_in(staging: Path, folder: Path) -> None:
    """Put a staged release where `folder` is, under a missing manifest.

    An earlier release of the same corpus is replaced; the manifest comes last, so a
    folder with one is whole.

    Raises:
        CorpusError: The folder holds files that no manifest knows.
        StorageError: A file could not be written.
    """
    check_replaceable(folder, read_manifest(staging)["name"])
    (folder / MANIFEST).unlink(missing_ok=True)
    for table in (*TABLES, *HIDDEN_TABLES, "figures"):
        shutil.rmtree(folder / table, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(staging.iterdir()):
        if path.name != MANIFEST:
            path.replace(folder / path.name)
    (staging / MANIFEST).replace(folder / MANIFEST)


def check_replaceable(folder: Path, name: str) -> None:
    """Refuse a folder that holds anything but an earlier release of a corpus.

    Raises:
        CorpusError: It does; names what.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return
    known = set(_RELEASED)
    if (folder / MANIFEST).exists():
        found = read_manifest(folder)
        if found["name"] != name:
            raise CorpusError(
                f"{folder} holds the corpus {found['name']}, not {name}: name another "
                "folder with --to"
            )
        known |= set(found["files"])
    tables = (*TABLES, *HIDDEN_TABLES, "figures")
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        is_known = inside.as_posix() in known or inside.parts[0] in tables
        if path.is_file() and not is_known and not inside.name.startswith("."):
            raise CorpusError(
                f"{folder} holds {inside}, which is of no release: name an empty "
                "folder with --to"
            )


_RELEASED: Final = (
    MANIFEST,
    "README.md",
    "DATASHEET.md",
    "LICENSE",
    "CITATION.cff",
    "croissant.json",
)


def _copy_tables(corpus: Corpus, folder: Path) -> list[str]:
    """Copy the tables, byte by byte as the manifest has them; return their names."""
    names = [
        name
        for name in corpus.manifest["files"]
        if name.split("/")[0] in (*TABLES, *HIDDEN_TABLES)
    ]
    for name in names:
        with replacing(folder / name) as temporary:
            shutil.copyfile(corpus.path(name), temporary)
    return names
