"""Negative controls: what a single setting tells, or that a run diverged.

Whoever reads signals and is no better than these has learned what the setting says.
"""

from typing import Final

import numpy as np

from harness.measure import Floats
from leaderboard.ranking.slices import BY, levels
from tasks.checked import Given
from tasks.question import Answers
from tasks.sealed import Sealed

NAMES: Final = {by: f"[{by} alone]" for by in BY}
"""What controls are called, by column. No submission's name has brackets."""


def negative_controls(found: Sealed) -> dict[str, Given]:
    """Return the answers of each control, by its name; none for curves.

    Formula: the median of the true values of the runs of the same level, of
    probabilities the mean, over all other folds; over all runs but those of the own
    fold if no other has the level. Where there is one fold only, over the other
    families: such a control sees the truth about hidden runs, and is generous; what no
    entry beats there need not be beatable. Unit: that of the target.

    Args:
        found: The truth.
    """
    if found.task.kind == "curve":
        return {}
    result = {}
    for by, name in NAMES.items():
        if levels(found.answers, by):
            mean = told(found.answers, by, probability=found.task.kind != "value")
            none = (None,) * len(mean)
            result[name] = Given(mean=mean, quantiles=None, reasons=none, sha256="")
    return result


def told(answers: Answers, by: str, *, probability: bool) -> Floats:
    """Return what the level of a column tells of each run, `[n]`.

    Args:
        answers: The truth.
        by: Column of `answers.runs`.
        probability: Whether a mean is told rather than a median.
    """
    statistic = np.mean if probability else np.median
    level = answers.runs[by].cast(str).fill_null("").to_numpy()
    group = answers.runs["fold"].to_numpy()
    if len(np.unique(group)) == 1:
        group = np.array(answers.families)
    result = np.empty(len(level))
    for own in np.unique(group):
        outside = group != own
        for name in np.unique(level[~outside]):
            same = outside & (level == name)
            seen = answers.values[same if same.any() else outside]
            result[~outside & (level == name)] = statistic(seen)
    return result
