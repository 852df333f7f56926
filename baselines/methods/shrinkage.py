"""How far a probability may be trusted: for baselines that are often too sure."""

import numpy as np
import numpy.typing as npt


def trust(truth: npt.ArrayLike, held_out: npt.ArrayLike) -> float:
    """Return by how much to stretch answers about the share of ones, 0 or more.

    Formula: b = max((z . y + 1) / (z . z + 1), 0), y = truth - m, z = held_out - m, m
    the mean of truth: the slope of y over z by least squares, with one more run that
    was found with certainty. Alarms that were all false leave little of the answers;
    where ones are so rare that none can be held out, and no alarm is given, b is 1.

    Args:
        truth: `[n]`, 0 or 1.
        held_out: `[n]`, answers for the same runs by fits without their family; what
            is not finite is left out.

    Example:
        >>> trust([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75])
        1.2
    """
    ones, found = np.asarray(truth, np.float64), np.asarray(held_out, np.float64)
    middle = ones.mean()
    away = np.where(np.isfinite(found), found - middle, 0.0)
    slope = (float(away @ (ones - middle)) + 1) / (float(away @ away) + 1)
    return max(slope, 0.0)
