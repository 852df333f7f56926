"""What a repository already holds: its newest version, and those that were begun."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import CorpusError
from harness.hub.client import KIND, hub_api, hub_errors, status_of
from harness.manifest import MANIFEST, parse_manifest
from harness.release.notes import RELEASE, Version


class History(NamedTuple):
    """Manifests of a repository; one that does not exist has none."""

    last: Mapping[str, Any] | None
    """Of the newest version."""
    begun: Mapping[str, Mapping[str, Any]]
    """Of versions that an interrupted `publish` left on a branch, by version."""


def history(repo: str) -> History:
    """Return what a repository holds.

    Raises:
        HubError: The Hub cannot be asked.
        CorpusError: The newest version is no corpus.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    with hub_errors(f"look what {repo} holds"):
        try:
            refs = hub_api().list_repo_refs(repo, repo_type=KIND)
        except RepositoryNotFoundError as error:
            if status_of(error) == 401:
                raise
            return History(None, {})
    tags = [tag.name for tag in refs.tags if _is_version(tag.name)]
    last = _manifest(repo, max(tags, key=Version.of)) if tags else None
    begun = {}
    for branch in refs.branches:
        _, found, version = branch.name.partition("release/")
        if not found or not _is_version(version):
            continue
        try:
            begun[str(Version.of(version))] = _manifest(repo, branch.name)
        except CorpusError:
            continue  # interrupted before the manifest was there
    return History(last, begun)


def _manifest(repo: str, revision: str) -> Mapping[str, Any]:
    """Return the manifest at a revision.

    Raises:
        HubError: The Hub cannot be asked.
        CorpusError: There is none, or not of a release.
    """
    from huggingface_hub import hf_hub_download

    strange = CorpusError(
        f"{repo}@{revision} was not made by `harness publish`: name another repository"
    )
    with hub_errors(f"read {MANIFEST} of {repo}@{revision}"):
        if not hub_api().file_exists(repo, MANIFEST, repo_type=KIND, revision=revision):
            raise strange
        path = hf_hub_download(repo, MANIFEST, repo_type=KIND, revision=revision)
    data = Path(path).read_bytes()
    manifest = parse_manifest(data, f"{repo}@{revision}/{MANIFEST}")
    if RELEASE not in manifest:
        raise strange
    return manifest


def _is_version(tag: str) -> bool:
    try:
        return Version.of(tag).tag == tag
    except ValueError:
        return False
