"""Log determinant of H + eps I from a spectral density: the volume of a minimum."""

from typing import NamedTuple

import numpy as np

from harness.curvature.spectral_density import Density, average
from harness.measure import NOT_APPLICABLE, OK
from harness.reading import Reading, reading


class LogDeterminant(NamedTuple):
    """ln det(H + eps I) in three scales; natural logarithms."""

    total: Reading
    """sum_i ln(max(lambda_i, 0) + eps), dominated by P ln eps where P is large."""
    per_parameter: Reading
    """total / P."""
    excess: Reading
    """total - P ln eps = sum_i ln(1 + max(lambda_i, 0) / eps) >= 0."""
    epsilon: float
    """The ridge that was added; values at different eps do not compare."""


def log_determinant(density: Density, epsilon: float = 0.1) -> LogDeterminant:
    """Return ln det(H + eps I) on the clipped spectrum max(theta, 0).

    Formula: P * average of ln(max(theta, 0) + eps) over nodes and weights. Small
    negative eigenvalues are taken for rounding and clipped; below -eps the
    determinant has no such meaning: "not_applicable". Range: real, excess >= 0; the
    standard error is over the probes.

    Cost: none beyond the density.
    Source: Ubaru, Chen, Saad 2017 (SIAM J. Matrix Anal. 38).

    Args:
        density: From `spectral_density`.
        epsilon: Ridge, in the unit of the eigenvalues.

    Raises:
        ValueError: `epsilon` is not positive.

    Example:
        H = 0.9 I with eps = 0.1: total 0, excess P ln 10.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, got {epsilon}")
    lowest = np.where(density.weights > 0, density.nodes, np.inf).min((1, 2))
    negative = (density.status == OK) & (lowest < -epsilon)
    usable = density._replace(status=np.where(negative, NOT_APPLICABLE, density.status))
    mean = average(usable, lambda x: np.log1p(np.maximum(x, 0) / epsilon))
    assert mean.se is not None
    log = np.log(epsilon)
    spread = density.dim * mean.se
    return LogDeterminant(
        reading(density.dim * (mean.value + log), mean.status, spread),
        reading(mean.value + log, mean.status, mean.se),
        reading(density.dim * mean.value, mean.status, spread),
        epsilon,
    )
