"""Pieces of plain text: sparklines, lists broken into lines, numbers in columns."""

import math
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from harness.show.glance import Array

WIDTH: Final = 79
BLOCKS: Final = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
ASCII_BLOCKS: Final = "_.-=+*#@"
NOT_FINITE: Final = "x"
"""Stands in a sparkline where a value was measured and not finite."""
_FACTORS: Final = (
    "loss",
    "norm",
    "train_ce",
    "noise_scale",
    "gradient_variance",
    "hessian_trace",
    "lambda_1",
)
"""Ends of names of signals that differ by factors, drawn by their logarithms."""


def sparkline(values: Array, width: int, glyphs: str = BLOCKS) -> str:
    """Return `values` as at most `width` characters from lowest to highest.

    A character stands for the mean of neighbours; `NOT_FINITE` where one of them is
    measured and not finite.

    Example:
        >>> sparkline(np.array([0.0, 1.0, np.nan]), 3, "_#")
        '_#x'
    """
    means = np.array(
        [part.mean() for part in np.array_split(values, width) if part.size]
    )
    finite = means[np.isfinite(means)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    scale = (len(glyphs) - 1) / (high - low) if high > low else 0.0
    return "".join(
        glyphs[round((mean - low) * scale)] if math.isfinite(mean) else NOT_FINITE
        for mean in means.tolist()
    )


def curve_line(signal: str, values: Array, width: int, glyphs: str) -> str:
    """Return the sparkline of a signal; of logarithms where it differs by factors."""
    if signal.endswith(_FACTORS) and not np.any(values <= 0):
        values = np.log(values)
    return sparkline(values, width, glyphs)


def block_glyphs(blocks: bool | None) -> str:
    """Return the characters of sparklines; None asks the terminal."""
    if blocks is None:
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        blocks = encoding.lower().replace("-", "") == "utf8"
    return BLOCKS if blocks else ASCII_BLOCKS


def wrapped(label: str, words: Sequence[str]) -> list[str]:
    """Return words behind a label, broken into lines that begin right of it."""
    if not words:
        return []
    lines = [label]
    for word in words:
        if len(lines[-1]) + len(word) + 2 > WIDTH and lines[-1] != label:
            lines.append(" " * len(label))
        lines[-1] += f" {word}"
    return lines


def percent(share: float | None, width: int) -> str:
    """Return a share in percent, right-aligned; "-" where there is none."""
    return f"{'-' if share is None else f'{100 * share:,.1f}':>{width}}"
