"""Naive counterparts of weighted statistics: copy the rows, then ask a library."""

import numpy as np


def counts(num_rows, resamples, seed=0, families=None):
    """How often each row occurs in bootstrap resamples, `[N, B]`."""
    rng = np.random.default_rng(seed)
    families = np.arange(num_rows) if families is None else families
    groups = families.max() + 1
    drawn = rng.integers(groups, size=(resamples, groups))
    return np.array([np.bincount(d, minlength=groups)[families] for d in drawn]).T * 1.0


def each_resample(weights, function):
    """Apply a function of row numbers to every resample's copies, `[B]`."""
    rows = np.arange(len(weights))
    return np.array([function(np.repeat(rows, w.astype(int))) for w in weights.T])
