"""What a release says about itself beside its tables: version, changes, licence."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

RELEASE: Final = "release"
"""Key of a manifest that holds the notes; a corpus without it was never released."""
FIRST: Final = "1.0.0"
"""Version of a corpus that is released for the first time."""
LICENCE: Final = "cc-by-4.0"
"""Licence of what this harness records, as the Hub spells it."""
_VERSION: Final = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """Version of a corpus: scores of one `major.minor` are comparable.

    Example:
        >>> Version.of("1.10.0") > Version.of("v1.9.2"), Version.of("1.0.0").tag
        (True, 'v1.0.0')
    """

    major: int
    """Raised when runs change or leave."""
    minor: int
    """Raised when runs, signals or columns are added."""
    patch: int
    """Raised when only the card and what else stands beside the tables changes."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Read "1.2.3" or its tag "v1.2.3".

        Raises:
            ValueError: It is not three numbers.
        """
        found = _VERSION.fullmatch(text.removeprefix("v"))
        if found is None:
            raise ValueError(
                f"{text!r} is no version of a corpus, expected three numbers such as "
                "1.0.0"
            )
        return cls(*map(int, found.groups()))

    @property
    def tag(self) -> str:
        """Git tag of the version on the Hub."""
        return f"v{self}"

    def __str__(self) -> str:
        """Return "1.2.3"."""
        return f"{self.major}.{self.minor}.{self.patch}"

    def __lt__(self, other: "Version") -> bool:
        """Compare by number, not by text."""
        mine = (self.major, self.minor, self.patch)
        return mine < (other.major, other.minor, other.patch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An entry of the changelog."""

    version: str
    """Version that brought the change."""
    released: str
    """Day of the release, YYYY-MM-DD."""
    text: str
    """What changed, for whoever used the version before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a release says about itself."""

    version: str
    """Such as "1.0.0"."""
    released: str
    """Day of the release, YYYY-MM-DD, in UTC."""
    changes: tuple[Change, ...]
    """Every version so far, the newest first."""
    repo: str | None = None
    """Hub dataset "ORG/NAME" that it is made for; None for a folder."""
    authors: tuple[str, ...] = ("The runcast developers",)
    """Whom to cite."""
    licence: str = LICENCE
    """Licence of the tables as the Hub spells it, such as "cc-by-4.0"."""

    def to_json(self) -> dict[str, Any]:
        """Return the notes as plain JSON data."""
        return {
            "version": self.version,
            "released": self.released,
            "changes": [
                {"version": c.version, "released": c.released, "text": c.text}
                for c in self.changes
            ],
            "repo": self.repo,
            "authors": list(self.authors),
            "licence": self.licence,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild notes from `to_json`."""
        changes = tuple(Change(**change) for change in data["changes"])
        authors = tuple(data["authors"])
        return cls(**{**data, "changes": changes, "authors": authors})
