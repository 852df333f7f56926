"""`corpus.json`: what a corpus is and the digest of every file in it; written last.

Its last entry is the digest of the rest, so that a change of the manifest itself shows.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from harness.errors import CorpusError
from harness.hub.address import is_address, is_repo
from harness.schema import SCHEMA_VERSION
from harness.storage import sha256_of, write_text

MANIFEST: Final = "corpus.json"
TABLES: Final = ("runs", "curves", "ood", "events", "signals")
"""Tables of every corpus, a folder each."""
HIDDEN_TABLES: Final = ("hidden_runs", "hidden_curves", "hidden_roles")
"""Further tables of a blind release, see `tasks.blind`."""
_MEND: Final = (
    "delete it and run the same `harness generate` command, which builds the tables "
    "from the shards again, or download the corpus again"
)
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
"""A file or folder that a manifest may name: it cannot lead out of the corpus."""
_EXPECTED: Final = {
    "name": str,
    "version": str,
    "schema_version": str,
    "runcast_version": str,
    "grids": list,
    "rows": dict,
    "files": dict,
}


def write_manifest(
    folder: Path, fields: Mapping[str, Any], names: Iterable[str]
) -> dict[str, Any]:
    """Write the manifest of files that lie in `folder`; return it.

    Args:
        folder: The corpus folder.
        fields: Everything but the files.
        names: The files, as paths within the folder.

    Raises:
        StorageError: It could not be written.
    """
    files = {name: _entry(folder / name) for name in sorted(names)}
    rest = {k: v for k, v in fields.items() if k != "files"}
    write_text(folder / MANIFEST, manifest_text(rest | {"files": files}))
    return read_manifest(folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a finished corpus.

    Raises:
        CorpusError: There is none, or it is not the text that was written.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder{_hint(folder)}")
    if not path.is_file():
        raise CorpusError(
            f"{folder} holds no finished corpus ({MANIFEST} is missing): `harness "
            f"status {folder}` tells how far it is, and the same `harness generate` "
            "command finishes it"
        )
    return parse_manifest(path.read_bytes(), str(path))


def _hint(folder: Path) -> str:
    """Return what to write where a repository of the Hub was meant."""
    text = folder.as_posix()
    if is_address(text):
        return f" (`harness download {text} --out DIR` brings it to one)"
    return f" (write {text}@v1.0.0 for a version on the Hub)" if is_repo(text) else ""


def parse_manifest(data: bytes, where: str) -> dict[str, Any]:
    """Return the manifest that `data` holds.

    Args:
        data: The bytes of a `corpus.json`, of whatever origin.
        where: What to call it in an error.

    Raises:
        CorpusError: It is not the text that was written, or of another schema.
    """
    try:
        text = data.decode()
        manifest: dict[str, Any] = json.loads(text)
        intact = manifest_text(manifest) == text
    except (ValueError, AttributeError, RecursionError) as error:
        raise CorpusError(f"{where} is damaged: {error}; {_MEND}") from error
    if not intact:
        raise CorpusError(f"{where} differs from its own digest: {_MEND}")
    for key, kind in _EXPECTED.items():
        if not isinstance(manifest.get(key), kind):
            raise CorpusError(
                f"{where} has no {kind.__name__} {key!r}: it is no manifest of a corpus"
            )
    _check_schema(manifest, where)
    for name, entry in manifest["files"].items():
        if not all(_NAME.fullmatch(part) for part in name.split("/")):
            raise CorpusError(f"{where} names the file {name!r}, which is no safe name")
        if not isinstance(entry, dict) or {"sha256", "bytes"} - set(entry):
            raise CorpusError(f"{where} has no size and digest of the file {name!r}")
    return manifest


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return the text of `corpus.json`, which ends with the digest of the rest.

    Args:
        manifest: The manifest, with or without an earlier digest.
    """
    content = {k: v for k, v in manifest.items() if k != "manifest_sha256"}
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return json.dumps(content | {"manifest_sha256": digest}, indent=1) + "\n"


def data_sha256(manifest: Mapping[str, Any]) -> str:
    """Return the digest of the tables: what scores and submissions belong to.

    A card or a figure may be corrected, and a corpus released, without changing it.
    """
    tables = (*TABLES, *HIDDEN_TABLES)
    lines = sorted(
        f"{name} {entry['sha256']}\n"
        for name, entry in manifest["files"].items()
        if name.split("/")[0] in tables
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _check_schema(manifest: Mapping[str, Any], where: str) -> None:
    """Refuse a schema of another major version, and say what to install."""
    found, mine = manifest["schema_version"], SCHEMA_VERSION
    if found.split(".")[0] == mine.split(".")[0]:
        return
    wrote = manifest["runcast_version"]
    mend = f"it was written by runcast {wrote}: `pip install 'runcast=={wrote}'`"
    if _numbers(found) > _numbers(mine):
        mend = (
            f"it was written by runcast {wrote}: `pip install --upgrade "
            f"'runcast>={wrote}'`"
        )
    raise CorpusError(f"{where} has schema {found}, this runcast reads {mine}: {mend}")


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}
