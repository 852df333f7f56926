"""A private key, and what is derived from it: hidden runs' seeds, rates and ids.

Without the key nothing derived can be told from random; with it everything can be made
again. The key is read from a file and never written anywhere else.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from harness.storage import creating

KEY_BYTES: Final = 32
"""Length of a key; the file holds twice as many hexadecimal digits."""
ID_DIGITS: Final = 20
"""Hexadecimal digits of a keyed id: 80 bits, as many as a run id has."""


def read_key(path: Path, *, create: bool = False) -> bytes:
    """Return the 32 bytes of a key file; the file never shows in an error's text.

    Args:
        path: File of 64 hexadecimal digits and a newline, for its owner only.
        create: Make a missing file with a random key; an existing one stays.

    Raises:
        ValueError: The file is missing, others may read it, or it holds no key.
        StorageError: The file could not be made.
    """
    if create and not path.exists():
        _make(path)
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise ValueError(
            f"the key file {path} {what}, expected {2 * KEY_BYTES} hexadecimal "
            'digits: make one with python -c "import secrets; '
            f'print(secrets.token_hex({KEY_BYTES}))", readable by you only'
        )
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ValueError(
            f"the key file {path} is open to other users of this machine: chmod 600 "
            f"{path}, or a new key if one of them may have read it"
        )
    text = path.read_bytes().strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{%d}" % (2 * KEY_BYTES), text):
        raise ValueError(
            f"the key file {path} holds {len(text)} bytes that are no key, expected "
            f"{2 * KEY_BYTES} hexadecimal digits and a newline"
        )
    return bytes.fromhex(text.decode("ascii"))


def keyed(key: bytes, *parts: str | int) -> bytes:
    """Return 32 bytes that only the holder of `key` can derive from `parts`.

    Formula: HMAC-SHA256 (RFC 2104) of the parts as a JSON list without blanks, in
    UTF-8; no two different lists have the same text, and "1" differs from 1.

    Raises:
        TypeError: A part is neither text nor a whole number.
        ValueError: A text holds half a character (a lone surrogate).

    Example:
        >>> keyed(bytes(32), "ab", "c") == keyed(bytes(32), "a", "bc")
        False
    """
    for part in parts:
        if not isinstance(part, str | int) or isinstance(part, bool):
            raise TypeError(f"a part is {part!r}, expected text or a whole number")
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def keyed_id(prefix: str, key: bytes, *parts: str | int) -> str:
    """Return `prefix`, a hyphen and 20 hexadecimal digits of `keyed`.

    Example:
        >>> keyed_id("h", bytes(32), "r-1") == keyed_id("h", bytes(32), "r-2")
        False
    """
    return f"{prefix}-{keyed(key, *parts).hex()[:ID_DIGITS]}"


def _make(path: Path) -> None:
    with creating(path) as temporary:
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.write_text(f"{secrets.token_hex(KEY_BYTES)}\n", encoding="ascii")
