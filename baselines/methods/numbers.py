"""One number an example, in the order of the ids, with reasons where there is none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.early.curves import EarlyCurves
from harness.measure import Estimates, Floats
from tasks.observations import Observations


class Numbers(NamedTuple):
    """A number of each example."""

    values: Floats
    """`[n]`, in the order of the ids; NaN where there is none."""
    reasons: Mapping[str, str]
    """Why, by id."""


def by_id(seen: Observations, parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return what is known block by block in the order of the ids.

    Args:
        seen: Observations of n examples.
        parts: `[N, ...]` a block.

    Returns:
        `[n, ...]`.
    """
    names = [name for block in seen.blocks for name in block.run_ids]
    back = np.argsort(np.array(names, np.str_), kind="stable")
    return np.asarray(np.concatenate(parts)[back]) if names else np.empty(0)


def numbers(seen: Observations, values: Floats, reason: str) -> Numbers:
    """Return values with one reason for all that are not finite.

    Args:
        seen: Observations of n examples.
        values: `[n]`, in the order of the ids.
        reason: Why some are missing.
    """
    lost = np.flatnonzero(~np.isfinite(values)).tolist()
    return Numbers(values, {seen.ids[row]: reason for row in lost})


def estimated(
    seen: Observations, estimate: Callable[[EarlyCurves], Estimates], quantity: str
) -> Numbers:
    """Return a quantity of an estimator of curves; its statuses are the reasons.

    Args:
        seen: Observations of n examples.
        estimate: Such as a registered curve signal.
        quantity: Name among its values.
    """
    found = [estimate(block) for block in seen.blocks]
    values = by_id(seen, [each[quantity] for each in found])
    status = by_id(seen, [each.status for each in found]).tolist()
    label = found[0].estimator if found else ""
    lost = np.flatnonzero(~np.isfinite(values)).tolist()
    return Numbers(values, {seen.ids[i]: f"{label}: {status[i]}" for i in lost})
