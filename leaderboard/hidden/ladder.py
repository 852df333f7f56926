"""Public scores that tell little: a new one is announced only if it is clearly better.

Source: Blum and Hardt 2015, "The Ladder", arXiv:1502.04585, section 3, algorithm 1.
"""

import math
from collections.abc import Iterable
from typing import Final

ETA: Final = 0.05
"""Step of announced skills, and by how much one must be better than the last."""


def rung(best: float | None, score: float | None, eta: float = ETA) -> float | None:
    """Return what is announced of a score, after `best` was announced.

    Formula: the multiple of eta next to the score, if score > best + eta; else best.
    Compared is the score as it is, announced the rounded one. Range: that of the score.

    Args:
        best: Announced last; None before the first score.
        score: Skill, higher is better; None where the metric has no value.
        eta: Step, above 0.

    Raises:
        ValueError: The score or the step is not finite, or the step is not positive.

    Cost: nothing.

    Example:
        >>> rung(0.3, 0.349), rung(0.3, 0.374), rung(None, -0.127)
        (0.3, 0.35, -0.15)
    """
    if not (math.isfinite(eta) and eta > 0):
        raise ValueError(f"eta is {eta!r}, expected a finite number above 0")
    if score is None:
        return best
    if not math.isfinite(score):
        raise ValueError(
            f"the score is {score!r}, expected a finite number, or None where there is "
            "none"
        )
    if best is not None and score <= best + eta:
        return best
    return round(round(score / eta) * eta, 12)


def announced(
    scores: Iterable[float | None], eta: float = ETA
) -> tuple[float | None, ...]:
    """Return what is announced of each of a team's scores, in their order.

    Raises:
        ValueError: See `rung`.

    Example:
        >>> announced([0.204, 0.207, 0.1, 0.216])
        (0.2, 0.2, 0.2, 0.22)
    """
    best, found = None, []
    for score in scores:
        best = rung(best, score, eta)
        found.append(best)
    return tuple(found)
