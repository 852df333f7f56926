"""What a signal adds to what one knows anyway: hyper-parameters and the last loss."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from harness.seeds import stream
from tasks.metrics.inputs import Ints, finite
from tasks.metrics.point import mae
from tasks.statistics.bootstrap import (
    Bootstrap,
    cluster_bootstrap,
    family_index,
)
from tasks.statistics.skill import skill

PENALTIES = 10.0 ** np.arange(-3, 5)
"""Ridge penalties tried, for standardised columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incremental:
    """Out-of-fold errors without and with the signals, and what they gain."""

    controls_mae: float
    """MAE of the ridge on the controls alone, in the target's unit."""
    full_mae: float
    """MAE of the ridge on controls and signals."""
    skill: Bootstrap
    """1 - full / controls, with its interval over families."""


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
    """Return the skill of signals beyond given controls.

    Formula: 1 - MAE(controls and signals) / MAE(controls), both of out-of-fold
    predictions of a linear ridge whose penalty is chosen in grouped folds inside the
    training part (nested cross-validation); folds keep families whole and are the same
    for both. The interval resamples families for both at once and takes the predictions
    as given. Unit: share. Range: up to 1; 0 adds nothing, and a useless signal is a
    little negative. NaN where the controls make no error. Cost: 2 x folds x (folds + 1)
    singular value decompositions of [N, columns].

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
    predictions = np.array(
        [
            ridge_out_of_fold(y, x, families, folds=folds, seed=seed)
            for x in (known, full)
        ]
    )
    errors = mae(y, predictions)

    def gain(weights: Floats) -> Floats:
        without, with_signals = mae(y, predictions, weights=weights)
        return skill(with_signals, without)

    return Incremental(
        controls_mae=float(errors[0]),
        full_mae=float(errors[1]),
        skill=cluster_bootstrap(gain, families, resamples=resamples, seed=seed),
    )


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

    Args:
        truth: Targets `[N]`.
        inputs: `[N, C]`.
        families: Label of each row's family, `[N]`.
        folds: Parts, at least 2 and fewer than the number of families.
        seed: Names the folds.
    """
    y = finite("truth", truth)
    x = _table("inputs", inputs, len(y))
    part = family_folds(families, folds, seed)
    labels = np.asarray(families)
    result = np.empty_like(y)
    for fold in range(folds):
        test, train = part == fold, part != fold
        inner = family_folds(labels[train], folds, seed)
        squares = np.zeros(len(PENALTIES))
        for k in range(folds):
            held = inner == k
            path = _ridge_path(x[train][~held], y[train][~held], x[train][held])
            squares += ((path - y[train][held]) ** 2).sum(axis=1)
        chosen = int(squares.argmin())
        result[test] = _ridge_path(x[train], y[train], x[test])[chosen]
    return result


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


def _ridge_path(x: Floats, y: Floats, new: Floats) -> Floats:
    """Return the predictions `[penalties, M]` for `new` `[M, C]`."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    u, s, vt = np.linalg.svd((x - centre) / scale, full_matrices=False)
    shrunk = s / (s**2 + PENALTIES[:, None]) * (u.T @ (y - y.mean()))
    return np.asarray(shrunk @ vt @ ((new - centre) / scale).T + y.mean())
