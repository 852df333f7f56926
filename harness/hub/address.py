"""How a corpus on the Hub is called: "ORG/NAME@v1.0.0"."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_PART: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_REPO: Final = re.compile(rf"{_PART}/{_PART}")
_REVISION: Final = re.compile(r"[A-Za-z0-9._/-]{1,200}")


@dataclass(frozen=True, slots=True)
class Address:
    """A revision of a dataset repository."""

    repo: str
    """ "ORG/NAME"."""
    revision: str
    """Tag of a version, such as "v1.0.0"; or a branch or commit."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Read "ORG/NAME@v1.0.0".

        Raises:
            ValueError: It is not of this form.
        """
        repo, found, revision = text.partition("@")
        if not found or not _REVISION.fullmatch(revision):
            raise ValueError(
                f"{text!r} names no version of a corpus on the Hub, expected "
                "ORG/NAME@v1.0.0"
            )
        return cls(checked_repo(repo), revision)

    def __str__(self) -> str:
        """Return "ORG/NAME@v1.0.0"."""
        return f"{self.repo}@{self.revision}"


def checked_repo(repo: str) -> str:
    """Return the name of a repository if it is one.

    Raises:
        ValueError: It is not of the form ORG/NAME.
    """
    if not is_repo(repo):
        raise ValueError(
            f"{repo!r} is no repository of the Hub, expected ORG/NAME of letters, "
            "digits and . _ - between them"
        )
    return repo


def is_repo(text: str) -> bool:
    """Tell whether a text has the form ORG/NAME."""
    return _REPO.fullmatch(text) is not None


def is_address(where: str | Path) -> bool:
    """Tell whether a text names a version on the Hub rather than a folder.

    Example:
        >>> is_address("org/name@v1.0.0"), is_address("runs/t4")
        (True, False)
    """
    repo, found, _ = str(where).partition("@")
    return bool(found) and is_repo(repo) and not Path(where).exists()
