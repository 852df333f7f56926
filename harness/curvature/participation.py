"""Participation ratio: how many eigenvalues carry the curvature."""

import numpy as np

from harness.curvature.spectral_density import Density, average
from harness.curvature.trace import Traces
from harness.measure import NOT_APPLICABLE, OK
from harness.reading import Reading, reading


def participation_ratio(traces: Traces) -> Reading:
    """Return PR = (tr H)^2 / tr(H^2), from estimates of both traces.

    Range: 0..P for symmetric H; P for the identity, 1 for rank 1, and ~0 where
    positive and negative eigenvalues cancel, so read it beside
    `absolute_participation`. Undefined ("not_applicable") for the zero matrix. The
    standard error is first order, with the covariance of the two estimates; near
    tr H = 0 the value itself is biased upwards by se(tr H)^2 / tr(H^2).

    Cost: none beyond the traces; those of `deflated_hutchinson` have the smallest
    error where a few eigenvalues dominate.
    Source: Bell, Dean 1970 (Discuss. Faraday Soc. 50), of eigenvalues instead of
    amplitudes.

    Example:
        I_d -> d; rank 1 -> 1; diag(1, -1) -> 0.
    """
    return _ratio(traces.trace, traces)


def absolute_participation(traces: Traces, density: Density) -> Reading:
    """Return (sum |lambda_i|)^2 / sum lambda_i^2: a PR without cancellation.

    Formula: sum |lambda_i| = tr H - 2 sum of the negative eigenvalues. The sum is read
    off the density; the large positive eigenvalues, whose weight in a density of m
    probes has the relative error sqrt(2 / m), enter by the traces alone. Range:
    >= 0 (exact 1..P), equal to PR where no eigenvalue is negative. Undefined
    ("not_applicable") for the zero matrix. The standard error takes the probes of the
    two inputs as independent.

    Cost: none beyond the traces and the density.

    Args:
        traces: Best from `deflated_hutchinson`.
        density: From `spectral_density`, with other probes than the traces.

    Example:
        diag(1, -1) -> 2; rank 1 -> 1.
    """
    negative = average(density, lambda x: 2 * np.maximum(-x, 0))
    trace = traces.trace
    assert trace.se is not None
    assert negative.se is not None
    total = reading(
        trace.value + density.dim * negative.value,
        np.where(trace.status == OK, negative.status, trace.status),
        np.hypot(trace.se, density.dim * negative.se),
    )
    return _ratio(total, traces)


def _ratio(total: Reading, traces: Traces) -> Reading:
    """Return total^2 / tr(H^2), total's covariance being that of the trace."""
    square = traces.frobenius_sq
    assert total.se is not None
    assert square.se is not None
    state = np.where(total.status == OK, square.status, total.status)
    state = np.where((state == OK) & (square.value <= 0), NOT_APPLICABLE, state)
    below = np.where(state == OK, square.value, np.nan)
    value = total.value**2 / below
    by_total, by_square = 2 * total.value / below, -value / below
    variance = (
        (by_total * total.se) ** 2
        + (by_square * square.se) ** 2
        + 2 * by_total * by_square * traces.covariance
    )
    return reading(value, state, np.sqrt(np.maximum(variance, 0)))
