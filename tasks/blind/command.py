"""What `harness publish --blind` does before anything is published."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.hub.package import Package
from harness.release.notes import FIRST
from harness.secret import read_key
from harness.storage import TEMPORARY_PREFIX
from tasks.blind.release import Request, blind
from tasks.blind.targets import CARD, HiddenTargets

DEFAULT_HIDE = 0.25
"""Share of the families that is hidden where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindOptions:
    """The options of `harness publish --blind`; None means not given."""

    folder: Path
    """A finished corpus."""
    targets: Path
    """Private folder: made, or what the same command made before."""
    key: Path
    """File with the private key; made if it does not exist."""
    hide: float | None = None
    """Share of the families to hide."""
    hidden: Path | None = None
    """A corpus of which every run is hidden."""
    tasks: Sequence[str] | None = None
    """Names; None: all that can be asked."""
    against: Sequence[str] = ()
    """Further public corpora: folders or addresses."""
    accept: Sequence[str] = ()
    """Checks that may fail."""
    version: str | None = None
    """Version of the release."""


@contextlib.contextmanager
def blinded(options: BlindOptions, say: Callable[[str], None]) -> Iterator[Path]:
    """Yield the public corpus, which is gone afterwards; the targets stay.

    The same command again makes the same bytes: targets that are there already are
    compared with those made anew.

    Raises:
        ValueError: Too few families are hidden, the key file is no secret, ...
        DataError: A check failed that is not accepted.
        CorpusError: The folder of the targets holds something else.
    """
    made_key = not options.key.exists()
    key = read_key(options.key, create=True)
    if made_key:
        say(f"new key: {options.key}; keep it secret, and keep it")
    hide = options.hide
    if hide is None and options.hidden is None:
        hide = DEFAULT_HIDE
    with tempfile.TemporaryDirectory(prefix="runcast-") as place:
        request = Request(
            corpus=options.folder,
            out=Path(place) / "public",
            targets=Path(place) / "targets",
            key=key,
            hide=hide,
            hidden=options.hidden,
            tasks=options.tasks,
            version=options.version or FIRST,
            accept=tuple(options.accept),
            against=tuple(Corpus.open(where) for where in options.against),
        )
        result = blind(request, say)
        _keep(result.targets, options.targets)
        say(f"targets: {options.targets}; for a private repository only")
        yield result.folder


def targets_package(folder: Path) -> Package:
    """Return what is uploaded of a folder of targets, every byte compared.

    Raises:
        CorpusError: It is none, or a file is missing or has changed.
    """
    found = HiddenTargets.open(folder).manifest
    return Package.of_files(
        folder,
        found["files"],
        manifest_name=CARD,
        version=found["version"],
        title=found["name"],
    )


def _keep(made: Path, targets: Path) -> None:
    """Move the targets to where they stay, or find the same ones there."""
    if not targets.exists() or not any(targets.iterdir()):
        beside = targets.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
        try:
            shutil.copytree(made, beside)
            beside.replace(targets)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return
    if (targets / CARD).exists():
        there = HiddenTargets.open(targets)
        if there.manifest == HiddenTargets.open(made).manifest:
            return
    raise CorpusError(
        f"{targets} holds something else than the targets of this release: name a new "
        "folder with --targets"
    )
