"""What `harness publish` does, apart from parsing options and printing."""

import datetime
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.hub.address import checked_repo, is_repo
from harness.hub.client import PAUSE_S
from harness.manifest import MANIFEST, read_manifest
from harness.release.build import check_replaceable, move_in, staged
from harness.release.next_version import next_notes
from harness.release.notes import LICENCE, RELEASE, Notes
from harness.release.sources import UNKNOWN
from harness.verify import SHOWN, verify

if TYPE_CHECKING:
    from harness.hub.package import Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `harness publish`; None means not given."""

    folder: Path
    """A finished corpus."""
    to: str
    """ "ORG/NAME", or a folder."""
    version: str | None = None
    """Such as "1.1.0"."""
    changes: str | None = None
    """What is new, for the changelog."""
    licence: str | None = None
    """As the Hub spells it, such as "cc-by-4.0"."""
    authors: tuple[str, ...] = ()
    """Whom to cite."""
    private: bool | None = None
    """Whether a new repository is private; None: as the account has it."""
    pause_s: float = PAUSE_S
    """Seconds before the second try of what failed."""


def publish_corpus(request: Request, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Release a corpus to a folder or to the Hub; return what was done.

    Raises:
        ValueError: The version or what is new is not told right.
        CorpusError: The corpus is damaged, or the destination holds something else.
        HubError: The Hub refused or could not be reached.
        StorageError: A file could not be written.
    """
    corpus = Corpus.open(request.folder)
    if problems := verify(request.folder):
        more = f"; {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        listed = "; ".join(str(problem) for problem in problems[:SHOWN])
        raise CorpusError(
            f"{request.folder} is not as its manifest says: {listed}{more}"
        )
    done = {"corpus": corpus.name, "data_sha256": corpus.data_sha256}
    if is_hub(request.to):
        return done | _to_hub(corpus, request, say)
    return done | _to_folder(corpus, request, say)


def publish_secret(
    package: "Package",
    to: str,
    *,
    say: Callable[[str], None],
    pause_s: float = PAUSE_S,
) -> dict[str, Any]:
    """Bring the targets of a blind release to a private repository of the Hub.

    Raises:
        ValueError: The destination is no repository.
        HubError: Everybody can read it, or the Hub refused or could not be reached.
    """
    from harness.hub.publish import publish

    done = publish(
        package,
        checked_repo(to),
        private=True,
        must_be_private=True,
        say=say,
        pause_s=pause_s,
    )
    return {
        "corpus": package.title,
        "version": str(package.version),
        "outcome": done.outcome,
        "files": len(package.files),
        "bytes": sum(size for size, _ in package.files.values()),
        "to": f"{done.repo}@{done.tag}",
        "commit": done.commit,
        "url": done.url,
    }


def is_hub(to: str) -> bool:
    """Tell whether a destination is ORG/NAME on the Hub rather than a folder.

    "runs/t4" is a folder where `runs` is one; "./org/name" always is.
    """
    return is_repo(to) and not Path(to.split("/")[0]).exists()


def _to_hub(
    corpus: Corpus, request: Request, say: Callable[[str], None]
) -> dict[str, Any]:
    from harness.hub.history import history
    from harness.hub.package import Package
    from harness.hub.publish import publish

    say(f"to the Hub, as {request.to} is no folder (a new one is ./{request.to})")
    known = history(request.to)
    notes = _told(corpus, request, request.to, known.last, known.begun)
    with (
        tempfile.TemporaryDirectory(prefix="runcast-") as place,
        staged(corpus, Path(place) / "release", notes) as folder,
    ):
        done = publish(
            Package.of_release(folder),
            request.to,
            private=request.private,
            say=say,
            pause_s=request.pause_s,
        )
        manifest = read_manifest(folder)
    return _summary(manifest, done.outcome) | {
        "to": f"{done.repo}@{done.tag}",
        "commit": done.commit,
        "url": done.url,
    }


def _to_folder(
    corpus: Corpus, request: Request, say: Callable[[str], None]
) -> dict[str, Any]:
    folder = Path(request.to)
    check_replaceable(folder, corpus.name)
    there = read_manifest(folder) if (folder / MANIFEST).exists() else None
    last = there if there is not None and RELEASE in there else None
    notes = _told(corpus, request, None, last, {})
    with staged(corpus, folder, notes) as staging:
        manifest = read_manifest(staging)
        if last is None or last["version"] != notes.version:
            move_in(staging, folder)
            outcome = "published"
        elif last == manifest and not verify(folder):
            outcome = "already published"
        else:
            raise CorpusError(
                f"{folder} holds version {notes.version} already, with other files; a "
                "published version is never changed: name a higher one with --version "
                "and say with --changes what is new"
            )
    say(f"{folder}: {len(manifest['files']) + 1} files")
    return _summary(manifest, outcome) | {"to": str(folder)}


def _told(
    corpus: Corpus,
    request: Request,
    repo: str | None,
    last: Mapping[str, Any] | None,
    begun: Mapping[str, Mapping[str, Any]],
) -> Notes:
    """Return the notes of the release, with what the request says of it."""
    notes = next_notes(
        corpus,
        last=last,
        begun=begun,
        version=request.version,
        changes=request.changes,
        repo=repo,
        today=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    given: dict[str, Any] = {}
    if request.licence is not None:
        given["licence"] = request.licence
    elif "origin" in corpus.manifest and notes.licence == LICENCE:
        given["licence"] = UNKNOWN
    if request.authors:
        given["authors"] = request.authors
    return replace(notes, **given)


def _summary(manifest: dict[str, Any], outcome: str) -> dict[str, Any]:
    return {
        "version": manifest["version"],
        "outcome": outcome,
        "files": len(manifest["files"]) + 1,
        "bytes": sum(entry["bytes"] for entry in manifest["files"].values()),
        "manifest_sha256": manifest["manifest_sha256"],
    }
