"""Partial rank correlation: what a signal knows beyond the settings of a run."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import Ints, blocks, columns, paired, ratio, result_shape
from tasks.metrics.rank import RankOrder

EXPLAINED = 1e-12
"""Share of a variance below which it counts as explained by the controls."""


def partial_spearman(
    truth: npt.ArrayLike,
    signal: npt.ArrayLike,
    *,
    numeric: Sequence[npt.ArrayLike] = (),
    categories: Sequence[npt.ArrayLike] = (),
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the rank correlation of truth and signal with controls held fixed.

    Formula: truth, signal and numeric controls become ranks, categories become dummies;
    Pearson's correlation of the least-squares residuals of the two on the controls. For
    one numeric control (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)). Unit: 1.
    Range: -1 to 1. NaN where the controls explain truth or signal exactly. Hand it to
    `bootstrap.cluster_bootstrap` for its interval. Cost: O(N K^2) a resample with K
    columns of controls.

    Args:
        truth: True values `[N]`.
        signal: Signals `[..., N]`.
        numeric: Controls such as the logarithm of the learning rate, `[N]` each.
        categories: Controls such as the optimizer's name, `[N]` each.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> z = [1.0, 2.0, 3.0, 4.0]
        >>> float(partial_spearman([2, 1, 4, 3], [2, 1, 4, 3], numeric=[z]).round(6))
        1.0
    """
    y, x = paired(truth, signal)
    w = columns(weights, len(y))
    ranked = [RankOrder(paired(y, control)[1]) for control in numeric]
    dummies = _dummies(categories, len(y))
    flat = x.reshape(-1, len(y))
    result = np.empty((len(flat), w.shape[1]))
    orders = [RankOrder(y), *(RankOrder(row) for row in flat), *ranked]
    for block in blocks(w):
        result[:, block] = _partial(orders, len(flat), dummies, w[:, block])
    return result.reshape(result_shape(x, weights))


def _dummies(categories: Sequence[npt.ArrayLike], num_rows: int) -> list[Ints]:
    """Return for each category but the first of every control its rows, `[N]`."""
    found = []
    for category in categories:
        labels, index = np.unique(np.asarray(category), return_inverse=True)
        if index.shape != (num_rows,):
            raise ValueError(
                f"a category has shape {list(index.shape)}; expected a label for each "
                f"of the {num_rows} rows"
            )
        found += [(index == i).astype(np.intp) for i in range(1, len(labels))]
    return found


def _partial(
    orders: list[RankOrder], num_signals: int, dummies: list[Ints], w: Floats
) -> Floats:
    """Return the partial correlations `[S, b]`; orders: truth, signals, controls."""
    n = w.sum(axis=0)
    ranks = [o.middles(o.totals(w))[o.code] / n - 0.5 for o in orders]
    shares = [d[:, None] - (d @ w) / n for d in dummies]
    every = np.array(ranks + shares)  # [1 + S + K, N, b], centred
    targets, controls = every[: 1 + num_signals], every[1 + num_signals :]
    weighted = every * w
    # Covariances [b, ., .]; the controls' own is inverted with a pseudo-inverse, for
    # a resample may lack a category altogether.
    across = np.einsum("inb,jnb->bij", targets, weighted[1 + num_signals :])
    within = np.einsum("inb,jnb->bij", controls, weighted[1 + num_signals :])
    inverse = np.linalg.pinv(within, rcond=1e-10, hermitian=True)
    explained = across @ inverse @ across.transpose(0, 2, 1)
    with_truth = np.einsum("nb,jnb->bj", targets[0], weighted[: 1 + num_signals])
    variance = np.einsum("inb,inb->bi", targets, weighted[: 1 + num_signals])
    left = variance - np.einsum("bii->bi", explained)
    left = np.where(left > EXPLAINED * variance, left, 0.0)
    covariance = with_truth[:, 1:] - explained[:, 0, 1:]
    return ratio(covariance, np.sqrt(left[:, :1] * left[:, 1:])).T
