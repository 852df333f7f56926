"""Skill: how much of the way from a reference to the best possible was gone."""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import ratio
from tasks.statistics.bootstrap import Bootstrap, combine


def skill(
    score: npt.ArrayLike, reference: npt.ArrayLike, *, optimum: npt.ArrayLike = 0.0
) -> Floats:
    """Return the skill of a score against that of a reference.

    Formula: 1 - (score - optimum) / (reference - optimum); 1 - score / reference for
    errors. Works for metrics of either direction. Unit: share. Range: up to 1 (at the
    optimum); 0 is the reference and negative is worse than it. NaN where the reference
    is at the optimum: nothing is left to gain.

    Args:
        score: Scores of a predictor, any shape.
        reference: Scores of the reference, of a shape that broadcasts.
        optimum: Score of a perfect prediction, of a shape that broadcasts.

    Example:
        >>> float(skill(3.0, 4.0)), float(skill(0.75, 0.5, optimum=1.0))
        (0.25, 0.5)
    """
    s, r = np.asarray(score, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    o = np.asarray(optimum, dtype=np.float64)
    return 1 - ratio(s - o, r - o)


def share_of_attainable(
    score: npt.ArrayLike, reference: npt.ArrayLike, ceiling: float
) -> Floats:
    """Return skill as a share of what the noise between seeds leaves attainable.

    Formula: (reference - score) / (reference - ceiling), the skill with the noise
    ceiling for the optimum. Unit: share. Range: 1 is the ceiling; a finite sample, or a
    window that shows part of a run's own noise, can pass it. NaN where the reference is
    at the ceiling.

    Args:
        score: Scores of a predictor, any shape.
        reference: Scores of the reference.
        ceiling: Best score of a predictor that knows families only, see `ceiling.py`.

    Example:
        >>> round(float(share_of_attainable(0.25, 0.4, ceiling=0.1)), 6)
        0.5
    """
    return skill(score, reference, optimum=ceiling)


def skill_interval(
    score: Bootstrap, reference: Bootstrap, *, optimum: float | Bootstrap = 0.0
) -> Bootstrap:
    """Return the skill with an interval paired on the resampled families.

    What makes a resample hard makes it hard for the reference too, so that the interval
    is narrower than those of the two scores suggest.

    Args:
        score: Bootstrap of one predictor or of several, `[...]`.
        reference: Bootstrap of the reference over the same draws.
        optimum: Score of a perfect prediction, or the noise ceiling; what the truth
            itself scores over the same draws where that varies with them.
    """
    if isinstance(optimum, Bootstrap):
        return combine(
            lambda s, r, o: skill(s, r, optimum=o), score, reference, optimum
        )
    return combine(lambda s, r: skill(s, r, optimum=optimum), score, reference)
