"""Random streams derived by name, so that no draw shifts another.

A stream is named by a run's seed, a purpose and counters (epoch, step). Nothing is
carried from one draw to the next: a resumed run, a probe or another cohort sees the
numbers that an uninterrupted run alone would see.
"""

import hashlib

import numpy as np


def derive(seed: int, purpose: str, *counters: int) -> int:
    """Return a 63-bit seed for `purpose`; any integer `seed` is allowed.

    Formula: the first 8 bytes of SHA-256 of "seed/purpose/counter/...", without the
    sign bit.

    Example:
        >>> derive(0, "init") == derive(0, "order")
        False
    """
    text = "/".join([str(int(seed)), purpose, *(str(int(c)) for c in counters)])
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def stream(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """Return an independent generator (Philox) for `purpose` and `counters`."""
    return np.random.Generator(np.random.Philox(derive(seed, purpose, *counters)))
