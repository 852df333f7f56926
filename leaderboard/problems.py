"""What can be wrong with a submission, and how it is told: everything at once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

CODES: Final = {
    "bad_card": "submission.toml lacks a field or holds what it may not",
    "bad_columns": "a table lacks a column, or has one too many or of a wrong type",
    "bad_distribution": "quantiles that decrease, or only some of them",
    "bad_format": "a file is not what its name says, or of a kind that is not read",
    "bad_name": "a name that may not stand on the page",
    "bad_path": "a file that does not belong to a submission, or a link",
    "bad_value": "a number that cannot be",
    "duplicate_rows": "an example is answered more than once",
    "extra_rows": "an example that was not asked for is answered",
    "missing_rows": "an example that was asked for is not answered",
    "too_large": "a file, a table or a text is larger than allowed",
    "wrong_corpus": "it answers about another corpus, or another version of it",
    "wrong_version": "it answers another version of a task",
}
"""Codes of problems, and what each means."""
SHOWN: Final = 5
"""Rows that a problem names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a submission."""

    code: str
    """Key of `CODES`."""
    where: str
    """File, such as "predictions/final-acc/w20.csv"; never a path that it gave."""
    what: str
    """What is wrong: got and expected. Foreign text in it is shortened and escaped."""
    mend: str
    """How to mend it."""
    rows: tuple[int, ...] = ()
    """First rows concerned, at most `SHOWN`; the first row below the header is 1."""
    count: int = 1
    """How many rows are concerned."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        """Return it as a line of text."""
        at = ""
        if self.rows:
            more = ", ..." if self.count > len(self.rows) else ""
            at = f" (row {', '.join(map(str, self.rows))}{more})"
        return f"{self.where}: [{self.code}] {self.what}{at}: {self.mend}"


class Rejected(ValueError):
    """A submission is not taken; says everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n  ".join(map(str, self.problems))
        super().__init__(f"{len(self.problems)} problem(s):\n  {lines}")


def rejected(code: str, where: str, what: str, mend: str) -> Rejected:
    """Return the rejection for one problem, see `Problem`."""
    return Rejected([Problem(code=code, where=where, what=what, mend=mend)])
