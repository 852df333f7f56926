"""R_bulk: how far the largest eigenvalue stands out of the bulk of the spectrum."""

import numpy as np

from harness.curvature.spectral_density import Density, quantile
from harness.measure import NOT_APPLICABLE, OK
from harness.reading import Reading, reading


def bulk_ratio(
    largest: Reading, density: Density, *, lower: float = 0.005, upper: float = 0.995
) -> Reading:
    """Return R_bulk = (lambda_1 - e-) / (e+ - e-).

    e- and e+ are the `lower` and `upper` mass quantiles of the spectral density, the
    edges of the bulk. Range: >= 1 up to the resolution of the quantiles; 1 where
    nothing stands out. Undefined where lambda_1 has not converged (its status is
    kept) and "not_applicable" where the bulk has no width, as for the identity.
    No standard error: quantiles of so few probes give none that is honest.

    Cost: none beyond Lanczos and the density.

    Args:
        largest: lambda_1, from `harness.curvature.lanczos.extremes`.
        density: From `spectral_density`.
        lower: Share of the mass below the bulk.
        upper: Share of the mass below the bulk's upper edge.

    Raises:
        ValueError: Not 0 < lower < upper < 1.

    Example:
        Bulk linspace(0, 1, 999) and one eigenvalue 10: 10.086 by exact quantiles
        (10.0 by the edges 0 and 1).
    """
    if not 0 < lower < upper < 1:
        raise ValueError(f"need 0 < lower < upper < 1, got {lower} and {upper}")
    low, high = quantile(density, lower), quantile(density, upper)
    state = np.where(largest.status == OK, low.status, largest.status)
    width = np.where(state == OK, high.value - low.value, np.nan)
    state = np.where((state == OK) & ~(width > 0), NOT_APPLICABLE, state)
    width = np.where(state == OK, width, np.nan)
    return reading((largest.value - low.value) / width, state)
