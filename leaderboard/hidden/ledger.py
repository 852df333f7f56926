"""The ledger: what was announced to whom; a line of JSON each, only ever added to.

    {"board":"t4-hidden","name":"forest","scores":{"overall@1f0c...":0.31},...}

It holds nothing secret. Every text in it matches a pattern that begins with a letter or
a digit, so that no cell of an export is a formula.
"""

import difflib
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from harness.errors import CorpusError, StorageError
from harness.spec import canonical_json
from leaderboard.hidden.ladder import ETA, rung

A_DAY: Final = 5
"""Submissions of a team that are scored on one day (UTC), all boards together."""
A_VERSION: Final = 20
"""Submissions of a team that are scored on one version of a board."""
ALIKE: Final = 0.85
"""Similarity (difflib ratio) of names that a human should look at."""
TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
PATTERNS: Final = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "team": r"[a-z0-9][a-z0-9-]{0,38}",
    "name": r"[a-z0-9][a-z0-9-]{0,59}",
    "sha256": r"[0-9a-f]{64}",
    "board": r"[A-Za-z0-9][\w.-]{0,99}",
    "version": r"(?:[0-9A-Za-z][\w.+-]{0,59})?",
}
"""What each text of a line looks like, whole and in ASCII."""
SUBJECT: Final = r"[a-z0-9][a-z0-9/_.=-]{0,79}@[0-9a-z.]{1,20}"
"""What a score is of: `TASK@VERSION`, or `overall`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A submission that wants its public score."""

    team: str
    """Account of the pull request, lower case."""
    name: str
    """Folder of the submission."""
    sha256: str
    """Digest of its files, see `leaderboard.intake.validate`."""
    board: str
    """Name of the board."""
    version: str
    """Version of the corpus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One announcement."""

    time: str
    """When, in UTC, see `TIME`."""
    team: str
    """See `Attempt`."""
    name: str
    """See `Attempt`."""
    sha256: str
    """See `Attempt`."""
    board: str
    """See `Attempt`."""
    version: str
    """See `Attempt`."""
    free: bool
    """Scored anew by maintainers, after a metric was mended: costs no quota."""
    scores: Mapping[str, float]
    """Skill that was announced, by subject, see `SUBJECT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a team is told, and what a human should look at."""

    line: Line
    """The announcement."""
    repeated: bool
    """Whether it was made before: the same files again cost nothing."""
    left_today: int
    """Submissions that the team still has today."""
    left: int
    """Submissions that the team still has on this version of the board."""
    flags: tuple[str, ...]
    """Near-duplicates and copies, for a human; nothing follows by itself."""


def overall(versions: Mapping[str, str]) -> str:
    """Return the subject of the skill over all tasks, at their versions.

    A mended task gives another subject, whose ladder begins anew.

    Example:
        >>> overall({"a": "1"}) == overall({"a": "2"})
        False
    """
    text = canonical_json(dict(versions))
    return f"overall@{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def read(path: Path) -> list[Line]:
    """Return the lines of a ledger; none, if there is no file yet.

    Raises:
        CorpusError: A line is torn, or not exactly as `record` writes it.
    """
    return _parsed(path.read_bytes(), path) if path.exists() else []


def record(
    path: Path,
    attempt: Attempt,
    score: Callable[[], Mapping[str, float | None]],
    *,
    now: datetime,
    eta: float = ETA,
    free: bool = False,
) -> Answer:
    """Announce a submission's public scores, through the ladder, and write that down.

    What is announced lies on the disk before this returns. Processes on one machine
    wait for each other.

    Args:
        path: The ledger.
        attempt: The submission.
        score: Returns its skill on the public half, by subject; None where there is
            none. Not called if the team had this answer before.
        now: The time, with its zone.
        eta: Step of the ladder.
        free: Score anew and charge nothing.

    Raises:
        ValueError: The quota is spent, or the attempt is not as it must be.
        CorpusError: The ledger is damaged.
        StorageError: The ledger could not be written; nothing was announced.
    """
    time = _utc(now)
    for name, value in asdict(attempt).items():
        _match(name, value)
    with _locked(path) as handle:
        lines = _parsed(_bytes(handle), path)
        mine = [line for line in lines if line.team == attempt.team]
        found = None if free else _before(mine, attempt)
        line = found
        if line is None:
            if not free:
                _afford(mine, attempt, time)
            here = [line for line in mine if _place(line) == _place(attempt)]
            scores = {
                subject: told
                for subject, value in sorted(score().items())
                if (told := rung(_best(here, subject), value, eta)) is not None
            }
            line = Line(time=time, free=free, scores=scores, **asdict(attempt))
            _append(handle, line, path)
            mine.append(line)
    return Answer(
        line=line,
        repeated=found is not None,
        left_today=A_DAY - _today(mine, time),
        left=A_VERSION - _spent(mine, attempt),
        flags=tuple(_flags(lines, attempt)),
    )


def _before(mine: Sequence[Line], attempt: Attempt) -> Line | None:
    """Return what the team was last told of the same files on the same board."""
    wanted = (_place(attempt), attempt.sha256)
    found = [line for line in mine if (_place(line), line.sha256) == wanted]
    return found[-1] if found else None


def _place(one: Attempt | Line) -> tuple[str, str]:
    return one.board, one.version


def _best(here: Sequence[Line], subject: str) -> float | None:
    told = [line.scores[subject] for line in here if subject in line.scores]
    return max(told, default=None)


def _today(mine: Sequence[Line], time: str) -> int:
    return sum(line.time[:10] == time[:10] and not line.free for line in mine)


def _spent(mine: Sequence[Line], attempt: Attempt) -> int:
    return sum(_place(line) == _place(attempt) and not line.free for line in mine)


def _afford(mine: Sequence[Line], attempt: Attempt, time: str) -> None:
    if (spent := _spent(mine, attempt)) >= A_VERSION:
        raise ValueError(
            f"{attempt.team} has had {spent} submissions scored on {attempt.board} "
            f"{attempt.version}, allowed are {A_VERSION} a version: wait for the next"
        )
    if (spent := _today(mine, time)) >= A_DAY:
        raise ValueError(
            f"{attempt.team} has had {spent} submissions scored on {time[:10]} (UTC), "
            f"allowed are {A_DAY} a day: run this again tomorrow"
        )


def _flags(lines: Sequence[Line], attempt: Attempt) -> Iterator[str]:
    """Yield what a human should look at."""
    others = [line for line in lines if line.team != attempt.team]
    for team in sorted({o.team for o in others if o.sha256 == attempt.sha256}):
        yield f"the same files as those of {team}"
    teams = {line.team for line in others}
    for team in sorted(_close(attempt.team, teams)):
        yield f"the team's name is close to {team}"
    for name in sorted({line.name for line in others if line.name == attempt.name}):
        yield f"another team has a submission {name}"
    names = {line.name for line in others} - {attempt.name}
    for name in sorted(_close(attempt.name, names)):
        yield f"the submission's name is close to {name} of another team"


def _close(name: str, others: set[str]) -> set[str]:
    """Return names that differ in punctuation, digits at the end or a letter."""
    bare = {other: _bare(other) for other in others}
    like = difflib.get_close_matches(
        _bare(name), sorted(set(bare.values())), n=20, cutoff=ALIKE
    )
    return {other for other, text in bare.items() if text in like}


def _bare(name: str) -> str:
    letters = re.sub(r"[^a-z0-9]", "", name)
    return letters.rstrip("0123456789") or letters


def _utc(now: datetime) -> str:
    if now.tzinfo is None or (off := now.utcoffset()) is None:
        raise ValueError(f"the time {now} has no zone: use datetime.now(timezone.utc)")
    return (now.replace(tzinfo=None) - off).strftime(TIME)


def _match(name: str, value: object) -> None:
    pattern = PATTERNS[name]
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
        raise ValueError(f"{name} is {ascii(value)[:80]}, expected {pattern}")


def _text(line: Line) -> str:
    return json.dumps(asdict(line), sort_keys=True, separators=(",", ":"))


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Yield the open ledger, for this process alone; a crash gives it back."""
    import fcntl

    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise StorageError(f"cannot open the ledger {path}: {error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _bytes(handle: int) -> bytes:
    return os.pread(handle, os.fstat(handle).st_size, 0)


def _append(handle: int, line: Line, path: Path) -> None:
    data = (_text(line) + "\n").encode()
    _parsed(data, path)  # what is written can be read
    try:
        written = os.write(handle, data)
        os.fsync(handle)
    except OSError as error:
        raise StorageError(f"cannot write the ledger {path}: {error}") from error
    if written != len(data):
        raise StorageError(
            f"only {written} of {len(data)} bytes were written to the ledger {path}: "
            "make room and delete its last line, which nobody was told"
        )


def _parsed(data: bytes, path: Path) -> list[Line]:
    *rows, rest = data.split(b"\n")
    if rest:
        raise CorpusError(
            f"{path}: line {len(rows) + 1} is torn, a crash cut it short: delete that "
            "line, which nobody was told, and run the command again"
        )
    found = []
    for number, row in enumerate(rows, 1):
        try:
            line = _line(json.loads(row.decode("ascii"), parse_constant=_constant))
            if _text(line).encode() != row:
                raise ValueError("other spelling than canonical JSON")
        except (ValueError, RecursionError) as error:
            raise CorpusError(
                f"{path}: line {number} is not as it was written ({error}): restore "
                "the ledger from its history"
            ) from error
        found.append(line)
    return found


def _line(value: Any) -> Line:
    names = {field.name for field in fields(Line)}
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError(f"expected the fields {sorted(names)}")
    for name in PATTERNS:
        _match(name, value[name])
    if not isinstance(value["free"], bool) or not isinstance(value["scores"], dict):
        raise ValueError("expected free to be true or false, scores to be a table")
    for subject, score in value["scores"].items():
        if not re.fullmatch(SUBJECT, subject, re.ASCII):
            raise ValueError(f"subject {ascii(subject)[:80]}, expected {SUBJECT}")
        if type(score) is not float or not math.isfinite(score):
            raise ValueError(f"score of {subject} is {score!r}, expected a number")
    return Line(**value)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
