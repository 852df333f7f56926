"""Releases made quickly: tables, a few words, notes and a manifest."""

import shutil
from pathlib import Path

from harness.corpus import Corpus
from harness.manifest import write_manifest
from harness.release.notes import RELEASE, Change, Notes

CARD = "---\nlicense: cc-by-4.0\n---\n# A corpus\n"


def small_release(
    corpus: Corpus, folder: Path, version: str = "1.0.0", card: str = CARD
) -> Path:
    """Write a release of a corpus that has no pictures; return its folder."""
    change = Change(version=version, released="2026-11-21", text="First release.")
    notes = Notes(version=version, released="2026-11-21", changes=(change,))
    tables = [name for name in corpus.manifest["files"] if "/" in name]
    for name in tables:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(corpus.path(name), folder / name)
    (folder / "README.md").write_text(card)
    left_out = ("shards", "files", "manifest_sha256")
    rest = {k: v for k, v in corpus.manifest.items() if k not in left_out}
    fields = rest | {"version": version, RELEASE: notes.to_json()}
    write_manifest(folder, fields, [*tables, "README.md"])
    return folder
