"""Names and links that strangers choose: what may stand on the page, and in a log.

Scripts are told by the first word of a character's Unicode name, as in "CYRILLIC SMALL
LETTER A" (the standard library knows no script property).
"""

import re
import unicodedata
from typing import Final

SHOWN: Final = 40
"""Characters of a foreign text that a message quotes."""
LIBRARY: Final = 160
"""The same, of a library's error, which may quote a file."""
LINK_CHARS: Final = 200
NAME: Final = re.compile(r"[\w .()+-]{1,60}")
AUTHOR: Final = re.compile(r"[\w .()+,'-]{1,60}")
FIRST: Final = re.compile(r"[^\W_]|[(]")
"""What a name begins with: no formula, no option, no hidden file."""
FOLDER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
"""Names that Windows takes for devices, whatever the suffix."""
INVISIBLE: Final = frozenset("\u115f\u1160\u3164\uffa0")
"""Letters by their category that show nothing."""
TOGETHER: Final = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})
"""Scripts that are written together."""
NEUTRAL: Final = frozenset({"DIGIT", "LOW", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"})
"""First words of the names of ASCII digits, of _, and of marks of several scripts."""
LOOKALIKES: Final = str.maketrans(
    "\u0430\u0432\u0435\u0455\u0456\u0458\u043a\u043c\u043d\u043e\u0440\u0441\u0442"
    "\u0443\u0445\u03b1\u03b2\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7",
    "abesijkmhopctyxabeikvoptux",
)
"""Cyrillic and Greek letters by the Latin ones they look like."""
ALIKE: Final = str.maketrans("i1\u0131\u0269\u0251\u02610", "llllago")
"""Latin letters and digits by others that they look like; capital I is i here."""
_HOST: Final = (
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)
LINK: Final = re.compile(
    rf"https://{_HOST}(?::[0-9]{{1,5}})?(?:[/?#][A-Za-z0-9._~:/?#@!$&*+,;=%-]*)?"
)
BASELINE: Final = re.compile(r"baselines/[a-z0-9_]{1,60}\.py")
MAINTAINERS: Final = "maintainers"
MAIL: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._%+-]{{0,63}}@{_HOST}", re.IGNORECASE)


def check_name(text: str) -> str | None:
    """Return in one sentence why a text may not be a name; None if it may.

    Example:
        >>> check_name("My forest (2)") is None
        True
    """
    return _name(text, NAME, "letters, digits, blanks and _.()+-")


def check_author(text: str) -> str | None:
    """Like `check_name`; apostrophes and commas may stand in it, too."""
    return _name(text, AUTHOR, "letters, digits, blanks and _.()+,'-")


def _name(text: str, pattern: re.Pattern[str], allowed: str) -> str | None:
    if not pattern.fullmatch(text):
        return f"{shown(text)} is not 1 to 60 {allowed}"
    if text != " ".join(text.split()) or not FIRST.match(text):
        return f"{shown(text)} does not begin with a letter or digit, or has odd blanks"
    if unicodedata.normalize("NFKC", text) != text or INVISIBLE & set(text):
        return f"{shown(text)} has characters that look like others (not NFKC)"
    for word in re.split(r"[^\w]+", text):
        if len(scripts := _scripts(word)) > 1:
            return f"{shown(word)} mixes the scripts {', '.join(sorted(scripts))}"
    return None


def _scripts(word: str) -> set[str]:
    """Return the scripts of a word's letters; those written together count as one."""
    first = {unicodedata.name(c, "UNNAMED").split(" ")[0] for c in word} - NEUTRAL
    return first if not first <= TOGETHER else set(sorted(first)[:1])


def same_name(text: str) -> str:
    """Return a key that names have in common if a reader could mix them up.

    Example:
        >>> same_name("My  Forest") == same_name("my forest")
        True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub(r"[\s_]+", " ", folded).translate(LOOKALIKES).translate(ALIKE)
    return " ".join(plain.split())


def check_link(text: str) -> str | None:
    """Return in one sentence why a text is no link for the page; None if it is one.

    Example:
        >>> check_link("https://example.org/forest") is None
        True
    """
    if len(text) > LINK_CHARS:
        return f"a link of {len(text)} characters, expected at most {LINK_CHARS}"
    if not LINK.fullmatch(text):
        return (
            f"{shown(text)} is no plain https link: https://, a lower-case ASCII host "
            "name without user or password, and a path in ASCII"
        )
    return None


def check_code(text: str) -> str | None:
    """Like `check_link`; code may also be a baseline's file in this repository."""
    if BASELINE.fullmatch(text):
        return None
    why = check_link(text)
    return why and f"{why}; or baselines/NAME.py for what lies in this repository"


def check_contact(text: str) -> str | None:
    """Return in one sentence why a text is neither mail address nor https link.

    "maintainers" stands for those of this repository.
    """
    if text == MAINTAINERS or (len(text) <= LINK_CHARS and MAIL.fullmatch(text)):
        return None
    why = check_link(text)
    return why and f"{shown(text)} is neither a mail address nor a plain https link"


def folder_name(text: str) -> str | None:
    """Return in one sentence why a text may not name a folder; None if it may."""
    if FOLDER.fullmatch(text) and not RESERVED.fullmatch(text):
        return None
    return f"{shown(text)} is not 1 to 60 of a-z, 0-9 and -, or is taken by Windows"


def shown(text: str, most: int = SHOWN) -> str:
    """Return a foreign text for a message: quoted, shortened, in printable ASCII.

    Example:
        >>> shown("a" * 41)[-6:]
        "aa'..."
    """
    more = "..." if len(text) > most else ""
    return ascii(text[:most]).replace("`", "\\x60") + more
