"""Sums over all pairs of few rows, for many resamples: one small product each.

Runs of a family have equal weights in every resample of families, so that a table of
pairs of runs adds up to one of pairs of families.
"""

from typing import Final

import numpy as np

from harness.measure import Floats

ROWS: Final = 1024
"""Rows up to which a table of all pairs is faster than the tree of `pairs`."""


class EqualRows:
    """Rows of weights `[N, B]` that are equal, found once for many tables of pairs.

    Attributes:
        order: `[N]`, rows in an order in which equal ones are neighbours.
    """

    def __init__(self, weights: Floats) -> None:
        key = weights @ np.sqrt(np.arange(2.0, weights.shape[1] + 2))
        self.order = np.argsort(key, kind="stable")
        ordered = weights[self.order]
        # Equal sums do not prove equal rows; neighbours are compared in full.
        differs = np.diff(key[self.order]) != 0
        alike = np.flatnonzero(~differs)
        differs[alike] = (ordered[alike] != ordered[alike + 1]).any(axis=1)
        self._starts = np.append(0, np.flatnonzero(differs) + 1)
        self._weights = ordered[self._starts]
        self._sizes = np.diff(np.append(self._starts, len(ordered)))

    def distinct(self) -> Floats:
        """Return the number of pairs of different rows, `[B]`."""
        copies = self._sizes @ self._weights
        return np.asarray((copies**2 - self._sizes @ self._weights**2) / 2)

    def sums(self, table: Floats) -> Floats:
        """Return the sum over i and j of table_ij w_i w_j, `[B]`.

        Args:
            table: `[N, N]`, rows and columns in the order of `order`.
        """
        if len(self._starts) < len(table):
            table = np.add.reduceat(table, self._starts, axis=0)
            table = np.add.reduceat(table, self._starts, axis=1)
        w = self._weights
        return np.asarray(np.einsum("fb,fb->b", w, table @ w))


def untied(values: Floats, equal: EqualRows) -> Floats:
    """Return the number of pairs that differ in `values` `[N]`, `[B]`."""
    v = values[equal.order]
    if len(np.unique(v)) == len(v):
        return equal.distinct()
    return equal.sums((v != v[:, None]).astype(np.float64)) / 2


def beaten(prediction: Floats) -> Floats:
    """Return 1 where row i has more than column j, 1/2 where as much, `[N, N]`."""
    more = (prediction < prediction[:, None]).astype(np.float64)
    return np.asarray(more + 0.5 * (prediction == prediction[:, None]))
