"""`submission.toml` becomes a `Submission`, or everything that is wrong with it."""

import difflib
import math
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from harness.spec import Part
from leaderboard.intake.files import looks_like
from leaderboard.intake.limits import CARD_BYTES, DEPTH, ITEMS, KEYS
from leaderboard.intake.names import (
    LIBRARY,
    check_author,
    check_code,
    check_contact,
    check_name,
    shown,
)
from leaderboard.problems import Problem, Rejected
from tasks.base import NAME
from tasks.prediction import Charge
from tasks.submission import CARD, About, Submission

Check = Callable[[Any], str | None]
"""Returns in one sentence why a value is not taken; None if it is."""
_PART: Final = (
    r'(?:(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++|(?<!\\)"(?:[^"\\\n]|\\.)*+"|'
    r"'[^'\n]*+')[ \t]*+"
)
CHAIN: Final = re.compile(rf"{_PART}(?:\.[ \t]*+{_PART}){{{DEPTH},}}")
"""A key of too many parts: the parser's time grows with the cube of their number."""
MISSING: Final = "is missing"
AUTHORS: Final = 20
LARGEST: Final = 2**63
"""Integers are smaller; Python refuses to print much larger ones."""
NAME_CHARS: Final = 100
"""Of a task's name."""
SECONDS: Final = 1e10
"""Three hundred years."""


def parse_card(data: bytes) -> Submission:
    """Return what a card says; the fields that a leaderboard needs are all there.

    Raises:
        Rejected: It is no TOML, too large, or a field is missing, unknown or odd.

    Cost: under half a second for whatever fits into the limit of bytes.
    """
    found = _parsed(data)
    problems = [
        Problem(code=code, where=CARD, what=what, mend=mend)
        for code, what, mend in _wrong(found)
    ]
    if problems:
        raise Rejected(problems)
    predictor, corpus = found["predictor"], found["corpus"]
    compute = found.get("compute", {})
    uses = predictor.get("uses")
    return Submission(
        name=found["name"],
        predictor=Part(predictor["name"], predictor.get("arguments", {})),
        charge=Charge(
            signals=None if uses is None else tuple(uses),
            settings=predictor["reads_settings"],
            curves=predictor["reads_curves"],
        ),
        corpus=corpus["name"],
        corpus_version=corpus["version"],
        corpus_sha256=corpus["sha256"],
        tasks={name: task["version"] for name, task in found["tasks"].items()},
        runcast=found.get("runcast", ""),
        seconds={k: compute[f"{k}_s"] for k in TIMES if f"{k}_s" in compute},
        about=About(
            authors=tuple(found["authors"]),
            contact=found["contact"],
            code=found["code"],
            licence=found["licence"],
            description=found.get("description", ""),
            hardware=compute.get("hardware", ""),
        ),
        hidden=corpus.get("hidden", False),
    )


def _parsed(data: bytes) -> dict[str, Any]:
    """Return the TOML as plain data.

    Raises:
        Rejected: It is none, or too large or deep.
    """
    hint = "write TOML in UTF-8; `harness predict` writes a card to begin with"
    code, what = "bad_format", None
    if len(data) > CARD_BYTES:
        code, what = "too_large", f"{len(data):,} bytes, at most {CARD_BYTES:,}"
    elif (kind := looks_like(data)) is not None:
        what = f"is {kind}, expected TOML"
    else:
        try:
            text = data.decode("utf-8-sig")
            if long := CHAIN.search(text):
                code = "too_large"
                what = f"a key of more than {DEPTH} parts: {shown(long.group())}"
            else:
                return tomllib.loads(text)
        except RecursionError:
            code, what = "too_large", f"tables within tables, at most {DEPTH} deep"
        except ValueError as error:  # no UTF-8, no TOML, or an integer of 5,000 digits
            what = f"is not TOML in UTF-8: {shown(str(error), LIBRARY)}"
    raise Rejected([Problem(code=code, where=CARD, what=what or "", mend=hint)])


def _wrong(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield code, what and how to mend it of everything that is wrong."""
    if large := list(_sizes(found, "", 1)):
        for what in large:
            yield "too_large", what, "shorten it"
        return
    yield from _table(found, FIELDS, OPTIONAL, "")
    for name, (fields, optional) in TABLES.items():
        inner = found.get(name)
        if isinstance(inner, dict):
            yield from _table(inner, fields, optional, f"{name}.")
        elif inner is not None or name != "compute":
            what = f"[{name}] {MISSING if inner is None else 'is no table'}"
            yield "bad_card", what, f"begin a table with the line [{name}]"
    tasks = found.get("tasks")
    if not isinstance(tasks, dict) or not tasks:
        mend = '[tasks."final-acc/w20"], and below version = "1"'
        yield "bad_card", "no task is named", mend
        return
    for name, task in tasks.items():
        fits = len(name) <= NAME_CHARS and NAME.fullmatch(name)
        if not fits or not isinstance(task, dict):
            mend = '[tasks."final-acc/w20"], and below version = "1"'
            yield "bad_card", f"[tasks.{shown(name)}] names no task", mend
        else:
            yield from _table(task, {"version": _version}, {}, f"tasks.{name}.")


def _table(
    found: Mapping[str, Any],
    fields: Mapping[str, Check],
    optional: Mapping[str, Check],
    place: str,
) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with one table's fields."""
    known = {**fields, **optional}
    for name in found:
        if name not in known and (place or name not in (*TABLES, "tasks")):
            close = difflib.get_close_matches(name[:LIBRARY], known, n=1)
            hint = (
                f"did you mean {close[0]}?" if close else f"one of {', '.join(known)}"
            )
            yield "bad_card", f"{place}{shown(name)} is not known", hint
    for name, check in known.items():
        if name not in found:
            if name in fields:
                yield "bad_card", f"{place}{name} {MISSING}", "add it"
        elif why := check(found[name]):
            code = (
                "bad_name" if not place and name in ("name", "authors") else "bad_card"
            )
            yield code, f"{place}{name}: {why}", "see docs/leaderboard.md"


def _sizes(value: Any, place: str, depth: int) -> Iterator[str]:
    """Yield what is too large, too deep or no plain data below a value."""
    if depth > DEPTH:
        yield f"{shown(place, LIBRARY)} is more than {DEPTH} deep"
    elif isinstance(value, dict):
        if len(value) > KEYS:
            yield f"[{shown(place, LIBRARY)}] has {len(value)} keys, at most {KEYS}"
            return
        for name, inner in value.items():
            yield from _sizes(inner, f"{place}.{name}".lstrip("."), depth + 1)
    elif isinstance(value, list):
        if len(value) > ITEMS:
            yield f"{shown(place, LIBRARY)} has {len(value)} entries, at most {ITEMS}"
            return
        for inner in value:
            yield from _sizes(inner, place, depth + 1)
    elif isinstance(value, int) and abs(value) >= LARGEST:
        yield f"{shown(place, LIBRARY)} is an integer of more than 64 bits"


def _plain(value: Any) -> str | None:
    """Check that a value holds text, truth values and finite numbers only."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            if why := _plain(inner):
                return why
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not finite"
    if isinstance(value, str | bool | int | float):
        return None
    return f"a {type(value).__name__}, expected text, numbers, lists and tables"


def _arguments(value: Any) -> str | None:
    return _plain(value) if isinstance(value, dict) else _got(value, "a table")


def _got(value: Any, expected: str) -> str:
    kinds: dict[type, str] = {dict: "a table", list: "a list", str: "text"}
    return f"{kinds.get(type(value)) or shown(str(value))}, expected {expected}"


def _text(check: Callable[[str], str | None]) -> Check:
    """Return a check of a value that must be text."""

    def checked(value: Any) -> str | None:
        return check(value) if isinstance(value, str) else _got(value, "text")

    return checked


def _matches(pattern: str, expected: str) -> Check:
    compiled = re.compile(pattern)

    def checked(value: str) -> str | None:
        fits = compiled.fullmatch(value)
        return None if fits else f"{shown(value)}, expected {expected}"

    return _text(checked)


def _prose(most: int) -> Check:
    """Return a check of a line of text without invisible characters."""

    def checked(value: str) -> str | None:
        if len(value) > most:
            return f"{len(value)} characters, at most {most}"
        odd = [
            c for c in value if unicodedata.category(c)[0] == "C" or c in "\u2028\u2029"
        ]
        return f"holds {shown(odd[0])}, expected one line of text" if odd else None

    return _text(checked)


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else _got(value, "true or false")


def _time(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _got(value, "seconds")
    return None if 0 <= value <= SECONDS else _got(value, "seconds, 0 or more")


def _list(check: Check, least: int, most: int) -> Check:
    """Return a check of a list without repetitions."""

    def checked(value: Any) -> str | None:
        if not isinstance(value, list):
            return _got(value, "a list")
        if not least <= len(value) <= most:
            return f"{len(value)} entries, expected {least} to {most}"
        if why := next((why for one in value if (why := check(one))), None):
            return why
        return "an entry stands there twice" if len(set(value)) < len(value) else None

    return checked


_version: Final = _matches(r"[0-9A-Za-z.+-]{1,40}", 'a version such as "1"')
_release: Final = _matches(r"[0-9A-Za-z.+-]{0,40}", 'a release such as "1.0.0", or ""')
_signal: Final = _matches(r"[A-Za-z0-9_.:=/-]{1,80}", "the name of a signal")
_SPDX: Final = r"[A-Za-z0-9][A-Za-z0-9.+-]{0,39}"
TIMES: Final = ("fit", "predict")
FIELDS: Final[Mapping[str, Check]] = {
    "name": _text(check_name),
    "authors": _list(_text(check_author), 1, AUTHORS),
    "contact": _text(check_contact),
    "code": _text(check_code),
    "licence": _matches(
        rf"{_SPDX}( (AND|OR|WITH) {_SPDX}){{0,4}}",
        'an SPDX identifier such as "Apache-2.0", or "proprietary"',
    ),
}
OPTIONAL: Final[Mapping[str, Check]] = {
    "description": _prose(1000),
    "runcast": _release,
}
TABLES: Final[Mapping[str, tuple[Mapping[str, Check], Mapping[str, Check]]]] = {
    "predictor": (
        {
            "name": _matches(
                r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,99}", "a name or module:attribute"
            ),
            "reads_settings": _flag,
            "reads_curves": _flag,
        },
        {"arguments": _arguments, "uses": _list(_signal, 0, ITEMS)},
    ),
    "compute": (
        {},
        {"hardware": _prose(200)} | {f"{name}_s": _time for name in TIMES},
    ),
    "corpus": (
        {
            "name": _matches(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", "a corpus's name"),
            "version": _release,
            "sha256": _matches(r"[0-9a-f]{64}", "64 hexadecimal digits"),
        },
        {"hidden": _flag},
    ),
}
"""Fields that must be there, and those that may."""
