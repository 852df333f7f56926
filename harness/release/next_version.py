"""Which version a release is, and what its changelog says."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.corpus import Corpus
from harness.manifest import data_sha256
from harness.release.notes import FIRST, RELEASE, Change, Notes, Version


def next_notes(
    corpus: Corpus,
    *,
    last: Mapping[str, Any] | None,
    begun: Mapping[str, Mapping[str, Any]],
    version: str | None,
    changes: str | None,
    repo: str | None,
    today: str,
) -> Notes:
    """Return the notes of the release that a command asks for.

    Without a version asked for: what the destination holds where the tables are the
    same (the command was run before), the corpus's own version where it is a release
    and the destination empty, else 1.0.0.

    Args:
        corpus: What is released.
        last: Manifest of the newest version at the destination; None: it has none.
        begun: Manifests of unfinished versions there, by version.
        version: As asked for.
        changes: What is new.
        repo: "ORG/NAME" where it goes to the Hub.
        today: YYYY-MM-DD.

    Raises:
        ValueError: Another corpus is there, or the version with other tables; or it is
            older than the newest, or does not say what is new.
    """
    own = corpus.manifest.get(RELEASE)
    chosen = _chosen(corpus, last, own, version)
    known = own if last is None else last[RELEASE]
    before = None if known is None else Notes.from_json(known)
    if before is not None and before.version == str(chosen):
        return replace(before, repo=repo)
    text = (changes or "").strip()
    if before is not None and not text:
        raise ValueError(
            f"version {chosen} follows {before.version}: say with --changes what is new"
        )
    started = begun.get(str(chosen))
    released = started[RELEASE]["released"] if started else today
    change = Change(
        version=str(chosen), released=released, text=text or "First release."
    )
    return Notes(
        version=str(chosen),
        released=released,
        changes=(change, *(before.changes if before else ())),
        repo=repo,
    )


def _chosen(
    corpus: Corpus,
    last: Mapping[str, Any] | None,
    own: Mapping[str, Any] | None,
    version: str | None,
) -> Version:
    """Return the version of the release.

    Raises:
        ValueError: See `next_notes`.
    """
    if last is None:
        return Version.of(version or (own["version"] if own else FIRST))
    if last["name"] != corpus.name:
        raise ValueError(
            f"the corpus {last['name']} is there, not {corpus.name}: name another "
            "destination with --to"
        )
    newest = Version.of(last["version"])
    same = data_sha256(last) == corpus.data_sha256
    chosen = Version.of(version) if version else newest
    if chosen < newest:
        raise ValueError(
            f"version {chosen} is older than {newest}, which is there: name a higher "
            "one with --version"
        )
    if chosen == newest and not same:
        raise ValueError(
            f"version {newest} is there already, with other tables: a published "
            "version is never changed; name a higher one with --version and say with "
            "--changes what is new"
        )
    return chosen
