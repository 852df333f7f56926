"""What a signal adds to what one knows anyway: hyper-parameters and the last loss."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from harness.seeds import stream
from tasks.metrics.inputs import Ints, finite, paired
from tasks.metrics.point import mae
from tasks.statistics.bootstrap import (
    Bootstrap,
    cluster_bootstrap,
    family_index,
)
from tasks.statistics.skill import skill

PENALTIES = 10.0 ** np.arange(-3, 5)
"""Ridge penalties tried, for standardised columns."""
CONSTANT = 1e-12
"""Share of a column's variance below which it is constant in a part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incremental:
    """Out-of-fold errors without and with signals, and what they gain."""

    controls_mae: float
    """MAE of the ridge on the controls alone, in the target's unit."""
    full_mae: Floats
    """MAE of the ridge on controls and signals, `[]`, or `[P]` of P alternatives."""
    skill: Bootstrap
    """1 - full / controls, with its interval over families; `[]` or `[P]`."""


def incremental_skill(
    truth: npt.ArrayLike,
    controls: npt.ArrayLike,
    signals: npt.ArrayLike,
    families: npt.ArrayLike,
    *,
    folds: int = 5,
    resamples: int = 1000,
    seed: int = 0,
) -> Incremental:
    """Return the skill of signals, taken together, beyond given controls.

    Formula: 1 - MAE(controls and signals) / MAE(controls), both of out-of-fold
    predictions of a linear ridge whose penalty is chosen in grouped folds inside the
    training part (nested cross-validation); folds keep families whole and are the same
    for both. The interval resamples families for both at once and takes the predictions
    as given. Unit: share. Range: up to 1; 0 adds nothing, and a useless signal is a
    little negative. NaN where the controls make no error. Cost: see
    `ridge_out_of_fold`.

    Args:
        truth: Targets `[N]`.
        controls: `[N, C]`, numbers; categories as dummies, costs and rates as logs.
        signals: `[N, S]` or `[N]`.
        families: Label of each row's family, `[N]`.
        folds: Parts of the cross-validation, at most the number of families.
        resamples: B.
        seed: Names folds and draws.
    """
    y = finite("truth", truth)
    known = _table("controls", controls, len(y))
    full = np.hstack([known, _table("signals", signals, len(y))])
    none = np.empty((len(y), 0))
    without, with_signals = (
        _out_of_fold(y, x, none, families, folds, seed)[0] for x in (known, full)
    )
    return _gain(y, without, with_signals, families, resamples, seed)


def incremental_skills(
    truth: npt.ArrayLike,
    controls: npt.ArrayLike,
    signals: npt.ArrayLike,
    families: npt.ArrayLike,
    *,
    folds: int = 5,
    resamples: int = 1000,
    seed: int = 0,
) -> Incremental:
    """Return the skill of each of P signals beyond the same controls.

    As P calls of `incremental_skill`, at the cost of little more than one: folds,
    moments of the controls and draws are shared.

    Args:
        truth: Targets `[N]`.
        controls: `[N, C]`, numbers; categories as dummies, costs and rates as logs.
        signals: `[P, N]`, alternatives, such as the answers of P predictors.
        families: Label of each row's family, `[N]`.
        folds: Parts of the cross-validation, at most the number of families.
        resamples: B.
        seed: Names folds and draws.
    """
    y, alternatives = paired(truth, np.atleast_2d(signals))
    known = _table("controls", controls, len(y))
    fitted = _out_of_fold(y, known, alternatives.T, families, folds, seed)
    return _gain(y, fitted[0], fitted[1:], families, resamples, seed)


def ridge_out_of_fold(
    truth: npt.ArrayLike,
    inputs: npt.ArrayLike,
    families: npt.ArrayLike,
    *,
    folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Return predictions `[N]` of a ridge that never saw the row's family.

    The penalty of each fold is the one of `PENALTIES` with the least squared error in
    grouped folds of its training part. Columns are standardised in the training part.
    Cost: one pass a fold over the N C^2 products of inputs, then folds x (folds + 1)
    eigenvalue decompositions of `[C, C]`.

    Args:
        truth: Targets `[N]`.
        inputs: `[N, C]`.
        families: Label of each row's family, `[N]`.
        folds: Parts, at least 2 and fewer than the number of families.
        seed: Names the folds.
    """
    y = finite("truth", truth)
    x = _table("inputs", inputs, len(y))
    none = np.empty((len(y), 0))
    return np.asarray(_out_of_fold(y, x, none, families, folds, seed)[0])


def family_folds(families: npt.ArrayLike, folds: int, seed: int = 0) -> Ints:
    """Return the fold of each row, `[N]`; families are dealt out in random order.

    Raises:
        ValueError: There are fewer families than folds, or fewer than two folds.
    """
    index, num_families = family_index(families)
    if not 2 <= folds <= num_families:
        raise ValueError(
            f"{folds} folds of {num_families} families; expected from 2 to the number "
            "of families"
        )
    place = stream(seed, "family-folds").permutation(num_families)
    return np.asarray(place[index] % folds)


def _table(name: str, values: npt.ArrayLike, num_rows: int) -> Floats:
    """Return columns `[N, C]`, checked."""
    x = finite(name, values, row_axis=0)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) != num_rows:
        raise ValueError(
            f"{name} have shape {list(x.shape)}; expected [{num_rows}, columns]"
        )
    return x


def _gain(
    y: Floats,
    without: Floats,
    with_signals: Floats,
    families: npt.ArrayLike,
    resamples: int,
    seed: int,
) -> Incremental:
    """Return what predictions `[..., N]` with signals gain over those without."""

    def gain(weights: Floats) -> Floats:
        return skill(
            mae(y, with_signals, weights=weights), mae(y, without, weights=weights)
        )

    return Incremental(
        controls_mae=float(mae(y, without)),
        full_mae=mae(y, with_signals),
        skill=cluster_bootstrap(gain, families, resamples=resamples, seed=seed),
    )


def _out_of_fold(
    y: Floats,
    controls: Floats,
    signals: Floats,
    families: npt.ArrayLike,
    folds: int,
    seed: int,
) -> Floats:
    """Return the ridge's predictions `[1 + P, N]`: controls, and with each signal.

    Moments are summed once a cell (outer fold, inner fold); those of a training part
    are sums of cells, so that fitting costs nothing that grows with N.

    Args:
        y: Targets `[N]`.
        controls: `[N, C]`.
        signals: `[N, P]`.
        families: Label of each row's family, `[N]`.
        folds: Parts.
        seed: Names the folds.
    """
    x = np.hstack([controls, signals])
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    centre, num_controls = y.mean(), controls.shape[1]
    rows = np.column_stack([np.ones(len(y)), x, y - centre])
    index, _ = family_index(families)
    part = family_folds(index, folds, seed)
    result = np.empty((1 + signals.shape[1], len(y)))
    for fold in range(folds):
        train, test = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        inner = family_folds(index[train], folds, seed)
        cells = [train[inner == k] for k in range(folds)]
        moments = np.array([rows[cell].T @ rows[cell] for cell in cells])
        whole = moments.sum(axis=0)
        paths = [_ridge_path(whole - cell, num_controls) for cell in moments]
        squares = np.zeros((len(result), len(PENALTIES)))
        for path, cell in zip(paths, cells, strict=True):
            misses = _applied(path, rows[cell]) - rows[cell, -1, None, None]
            squares += (misses**2).sum(axis=0)
        chosen = squares.argmin(axis=1)
        path = _ridge_path(whole, num_controls)
        found = _applied(path, rows[test])[:, np.arange(len(result)), chosen]
        result[:, test] = found.T + centre
    return result


class _Path(NamedTuple):
    """Coefficients of 1 + P models under each penalty, for columns as they are."""

    shared: Floats
    """`[1 + C, 1 + P, penalties]`: of a column of ones and the controls."""
    own: Floats
    """`[1 + P, penalties]`: of each model's own signal; the first has none."""


def _ridge_path(moments: Floats, num_controls: int) -> _Path:
    """Return the ridges on controls alone and with each signal.

    With S = Z'Z + penalty I of the standardised controls, the coefficient of a signal
    s is (s'y - s'Z S^-1 Z'y) / (s's + penalty - s'Z S^-1 Z's): one eigenvalue
    decomposition of Z'Z serves all signals and penalties.

    Args:
        moments: `[D, D]`, sums of products of 1, C controls, P signals and target.
        num_controls: C.
    """
    count, mean = moments[0, 0], moments[0, 1:] / moments[0, 0]
    products = moments[1:, 1:] - count * np.outer(mean, mean)
    variance = np.diag(products)[:-1] / count
    scale = np.append(np.where(variance > CONSTANT, variance, 1.0) ** 0.5, 1.0)
    products /= np.outer(scale, scale)
    z, s = slice(num_controls), slice(num_controls, -1)
    values, vectors = np.linalg.eigh(products[z, z])
    shrunk = 1 / (values[:, None] + PENALTIES)  # [C, L]
    across, truth = vectors.T @ products[z, s], vectors.T @ products[z, -1]
    left = np.diag(products)[s, None] + PENALTIES - across.T**2 @ shrunk  # [P, L]
    own = (products[s, -1:] - (across.T * truth) @ shrunk) / left
    own = np.concatenate([np.zeros((1, len(PENALTIES))), own])
    across = np.column_stack([np.zeros(num_controls), across])
    rest = (truth[:, None, None] - across[:, :, None] * own) * shrunk[:, None]
    shared = np.tensordot(vectors, rest, 1) / scale[z, None, None]
    own[1:] /= scale[s, None]
    means = np.append(0.0, mean[s])[:, None]
    start = mean[-1] - np.tensordot(mean[z], shared, 1) - means * own
    return _Path(np.concatenate([start[None], shared]), own)


def _applied(path: _Path, rows: Floats) -> Floats:
    """Return the predictions `[n, 1 + P, penalties]` for rows of `_out_of_fold`."""
    size = len(path.shared)
    found = np.tensordot(rows[:, :size], path.shared, 1)
    found[:, 1:] += rows[:, size:-1, None] * path.own[1:]
    return found
