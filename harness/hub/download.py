"""From the Hub: one file of a corpus when it is read, or all of them to a folder.

What lies in the client's cache is not fetched again; HF_HUB_OFFLINE asks nobody.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from harness.errors import CorpusError, HubError
from harness.hub.address import Address
from harness.hub.client import KIND, PAUSE_S, hub_api, hub_errors, with_tries
from harness.manifest import MANIFEST, parse_manifest, read_manifest
from harness.release.notes import Version
from harness.storage import replacing, sha256_of

CLIENT: Final = ".cache"
"""Folder in which the client notes what it has fetched; removed at the end."""


class Remote(NamedTuple):
    """A version on the Hub, of which the manifest has been read."""

    folder: Path
    """Where its files are, those that have been fetched."""
    manifest: dict[str, Any]
    """Its manifest."""
    fetch: Callable[[str], Path]
    """Returns the path of a file, fetched if need be."""


def manifest_at(text: str) -> Remote:
    """Return a version on the Hub by its address, such as "ORG/NAME@v1.0.0".

    Raises:
        ValueError: The address has another form.
        HubError: The Hub cannot be asked, or has no such version.
        CorpusError: What it has is no corpus, or of another version than the tag says.
    """
    address = Address.of(text)
    path = _fetched(address.repo, MANIFEST, address.revision)
    manifest = parse_manifest(path.read_bytes(), f"{address}/{MANIFEST}")
    _check_tag(address, manifest)
    commit = path.parent.name  # so that all files are of one commit, and asked for once
    return Remote(
        folder=path.parent,
        manifest=manifest,
        fetch=lambda name: _fetched(address.repo, name, commit),
    )


def newest(repo: str) -> str:
    """Return the tag of the newest version of a corpus on the Hub.

    Raises:
        HubError: The Hub cannot be asked, or has no version.
    """
    with hub_errors(f"list the versions of {repo}"):
        refs = hub_api().list_repo_refs(repo, repo_type=KIND)
    versions = []
    for tag in refs.tags:
        try:
            versions.append(Version.of(tag.name))
        except ValueError:
            continue  # a tag of another meaning
    if not versions:
        raise HubError(f"{repo} has no version: name a revision with --revision")
    return max(versions).tag


def download(
    address: Address,
    out: Path,
    *,
    say: Callable[[str], None],
    pause_s: float = PAUSE_S,
) -> dict[str, Any]:
    """Bring all files of a version to a folder, and compare each with the manifest.

    The manifest comes last; a folder without it is an unfinished download, which the
    same call finishes. A file of the folder that has other bytes is fetched again.

    Args:
        address: What to fetch.
        out: Where to; empty, or an earlier download of the same version.
        say: Takes a line for the user.
        pause_s: Seconds before the second try of what failed.

    Raises:
        HubError: The Hub cannot be asked, or has no such version.
        CorpusError: The folder holds something else, or bytes that differ from the
            manifest were sent.
        StorageError: The folder cannot be written.
    """
    remote = manifest_at(str(address))
    files = remote.manifest["files"]
    _check_target(out, remote.manifest, str(address))
    _drop_changed(out, files)
    _bring(address, remote, out, say, pause_s)
    _compare(address, out, files)
    with replacing(out / MANIFEST) as temporary:
        shutil.copyfile(remote.folder / MANIFEST, temporary)
    shutil.rmtree(out / CLIENT, ignore_errors=True)
    say(f"{len(files) + 1} files verified")
    return remote.manifest


def fill_cache(
    address: Address, *, say: Callable[[str], None], pause_s: float = PAUSE_S
) -> Remote:
    """Bring all files of a version to the client's cache, each compared.

    From then on `Corpus.open` needs no network. A file of the cache that has other
    bytes is fetched again.

    Raises:
        HubError: The Hub cannot be asked, or has no such version.
        CorpusError: Bytes that differ from the manifest were sent.
    """
    from huggingface_hub import hf_hub_download

    remote = manifest_at(str(address))
    files = remote.manifest["files"]
    _bring(address, remote, None, say, pause_s)
    for name, entry in files.items():
        if not _is_same(remote.folder / name, entry):
            with hub_errors(f"fetch {name} of {address} again"):
                hf_hub_download(
                    address.repo,
                    name,
                    repo_type=KIND,
                    revision=remote.folder.name,
                    force_download=True,
                )
    _compare(address, remote.folder, files)
    say(f"{len(files) + 1} files verified")
    return remote


def copy(folder: Path, out: Path, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Bring a corpus from one folder to another, and compare every file.

    What `download` does, without a Hub: the files of the manifest and no others, the
    manifest last.

    Raises:
        CorpusError: The corpus is damaged, or the target holds something else.
        StorageError: The target cannot be written.
    """
    manifest = read_manifest(folder)
    files = manifest["files"]
    _check_target(out, manifest, str(folder))
    _drop_changed(out, files)
    for name, entry in files.items():
        if not _is_same(folder / name, entry):
            raise CorpusError(
                f"{folder / name} is missing or has changed: `harness verify {folder}`"
            )
        with replacing(out / name) as temporary:
            shutil.copyfile(folder / name, temporary)
    with replacing(out / MANIFEST) as temporary:
        shutil.copyfile(folder / MANIFEST, temporary)
    say(f"{len(files) + 1} files verified")
    return manifest


def _fetched(repo: str, name: str, revision: str) -> Path:
    from huggingface_hub import constants, hf_hub_download

    doing = f"fetch {name} of {repo}@{revision}"
    if constants.HF_HUB_OFFLINE:
        doing += (
            ", as HF_HUB_OFFLINE is set and the file is not in the cache: run `harness "
            f"download {repo} --revision {revision}` once without it"
        )
    with hub_errors(doing):
        return Path(hf_hub_download(repo, name, repo_type=KIND, revision=revision))


def _bring(
    address: Address,
    remote: Remote,
    out: Path | None,
    say: Callable[[str], None],
    pause_s: float,
) -> None:
    """Fetch the files of the manifest to a folder, or to the client's cache."""
    from huggingface_hub import snapshot_download

    files = remote.manifest["files"]
    size = sum(entry["bytes"] for entry in files.values())
    where = "the cache" if out is None else out
    say(f"{address}: {len(files) + 1} files, {size / 1e6:,.1f} MB, to {where}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with_tries(
        lambda: snapshot_download(
            address.repo,
            repo_type=KIND,
            revision=remote.folder.name,
            local_dir=out,
            allow_patterns=list(files),
        ),
        f"download {address}; what was fetched is kept, and the same command again "
        "goes on",
        say=say,
        pause_s=pause_s,
    )


def _compare(
    address: Address, folder: Path, files: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse files that are not those of the manifest."""
    changed = [name for name in files if not _is_same(folder / name, files[name])]
    if changed:
        raise CorpusError(
            f"{address} holds other bytes than its manifest says: "
            f"{', '.join(changed[:5])}; tell its authors"
        )


def _check_tag(address: Address, manifest: Mapping[str, Any]) -> None:
    """Refuse a tag that holds another version than it says."""
    try:
        asked = Version.of(address.revision)
    except ValueError:
        return  # a branch or a commit promises no version
    if manifest["version"] != str(asked):
        raise CorpusError(
            f"{address} holds version {manifest['version']}: the tag was moved, tell "
            "its authors"
        )


def _check_target(out: Path, manifest: Mapping[str, Any], what: str) -> None:
    """Refuse a folder that holds something else."""
    if out.exists() and not out.is_dir():
        raise CorpusError(f"{out} is no folder: name another one with --out")
    if (out / MANIFEST).exists():
        found = read_manifest(out)
        if found["manifest_sha256"] != manifest["manifest_sha256"]:
            raise CorpusError(
                f"{out} holds {found['name']} {found['version']}, not {what}: name "
                "another folder with --out"
            )
    known = {*manifest["files"], MANIFEST}
    for path in sorted(out.rglob("*")) if out.exists() else []:
        name = path.relative_to(out).as_posix()
        if path.is_file() and name not in known and not name.startswith("."):
            raise CorpusError(
                f"{out} holds {name}, which is not of {what}: name an empty folder "
                "with --out"
            )


def _drop_changed(out: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Remove what has other bytes, which the client would take for fetched."""
    for name, entry in files.items():
        path = out / name
        if path.exists() and not _is_same(path, entry):
            path.unlink()


def _is_same(path: Path, entry: Mapping[str, Any]) -> bool:
    return (
        path.is_file()
        and path.stat().st_size == entry["bytes"]
        and sha256_of(path) == entry["sha256"]
    )
