"""Many tests at once: adjusted p-values of Holm and of Benjamini and Hochberg."""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import within


def holm(p_values: npt.ArrayLike) -> Floats:
    """Return p-values adjusted so that any false positive has probability alpha.

    Formula: with p ascending, the running maximum of (m - i + 1) p_(i), at most 1.
    Needs no assumption on how the tests depend. Unit: probability. Source: Holm 1979.

    Args:
        p_values: Of the whole family of tests, `[m]`.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(6).tolist()
        [0.03, 0.06, 0.06]
    """
    p = _checked(p_values)
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    return _placed(order, np.maximum.accumulate(scaled))


def benjamini_hochberg(p_values: npt.ArrayLike) -> Floats:
    """Return p-values adjusted so that alpha bounds the share of false discoveries.

    Formula: with p ascending, the running minimum from the end of m p_(i) / i, at most
    1. Assumes independent or positively dependent tests. Unit: probability. Source:
    Benjamini & Hochberg 1995.

    Args:
        p_values: Of the whole family of tests, `[m]`.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(6).tolist()
        [0.03, 0.04, 0.04]
    """
    p = _checked(p_values)
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _placed(order, np.minimum.accumulate(scaled[::-1])[::-1])


def _checked(p_values: npt.ArrayLike) -> Floats:
    p = within("p_values", p_values, 0.0, 1.0)
    if p.ndim != 1:
        raise ValueError(f"p_values have shape {list(p.shape)}; expected [m]")
    return p


def _placed(order: npt.NDArray[np.intp], adjusted: Floats) -> Floats:
    """Return adjusted p-values, at most 1, in the order in which they came."""
    result = np.empty_like(adjusted)
    result[order] = np.minimum(adjusted, 1.0)
    return result
