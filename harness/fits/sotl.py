"""Sums of the running training loss: how fast a run has learned so far.

Cheap early predictors of the final rank of runs, from the recorded per-step losses
alone. Every value at a window's end uses nothing after it.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import Fit, Fitted, fit_curves
from harness.fits.windows import epoch_means
from harness.measure import Estimates, Floats

VERSION: Final = "1"
_UNITS: Final = {"tse": "nats", "predictor": "nats"}


def sum_of_losses(
    loss: npt.ArrayLike,
    steps_per_epoch: int,
    *,
    end: npt.ArrayLike | None = None,
    last_epochs: int | None = None,
) -> Estimates:
    """Sum the training loss over epochs: SoTL (TSE), or SoTL-E (TSE-E).

    Formula: tse = sum over epochs t of mean_i l(theta_t,i, B_i), that is the sum of the
    per-step losses of steps 1 ... end divided by S; with `last_epochs` = E only over
    the steps end - E S + 1 ... end (the source's E is 1). An end within an epoch adds
    that part of the epoch. `predictor` is -tse: larger is better. Range: any; >= 0 for
    cross-entropies. It has no standard error: it is a sum of what was observed.

    The loss must be the running one, of each minibatch before its update, not
    re-evaluated; values of runs with other batch sizes, augmentations, label smoothing
    or horizons are not comparable.

    Undefined: "no_window" (end < 1 or beyond the curve), "too_short" (end < E S),
    "diverged". Cost: one pass. Source: Ru et al., arXiv 2006.04492.

    Args:
        loss: Minibatch training losses `[N, T]`, column i of the optimiser step i + 1.
        steps_per_epoch: S >= 1.
        end: Last step seen, one or `[N]`; the last of the curve by default.
        last_epochs: E >= 1; all epochs if None.

    Raises:
        ValueError: Wrong shapes, S < 1 or E < 1.

    Example:
        >>> sum_of_losses([[1.0, 1.0, 0.5, 0.5]], 2)["tse"]
        array([1.5])
    """
    _check(
        steps_per_epoch=steps_per_epoch,
        last_epochs=1 if last_epochs is None else last_epochs,
    )
    span = None if last_epochs is None else last_epochs * steps_per_epoch

    def fit(block: Floats) -> Fitted:
        return _fitted(block.sum(axis=1) / steps_per_epoch)

    curves, window = _windows(loss, end, span)
    name = "sotl" if last_epochs is None else "sotl_e"
    params = {"steps_per_epoch": steps_per_epoch, "last_epochs": last_epochs}
    return _estimates(name, curves, window, fit, span or 1, params)


def moving_average_of_losses(
    loss: npt.ArrayLike,
    steps_per_epoch: int,
    *,
    mu: float = 0.9,
    summed: bool = False,
    end: npt.ArrayLike | None = None,
) -> Estimates:
    """Average the epoch-mean training losses exponentially: TSE-EMA.

    Formula: ema_1 = m_1, ema_t = (1 - mu) ema_t-1 + mu m_t with m_t the mean loss over
    epoch t; tse is ema at the last epoch completed at `end` (the authors' ranking
    script, mu = 0.9), or the sum of ema over these epochs with `summed` (NASLib, mu =
    0.99). Note that mu weighs the new epoch: at 0.9 the value is nearly the last epoch
    mean, not a long memory. `predictor` is -tse. It has no standard error.

    Comparable and undefined as `sum_of_losses`; "too_short" before the first epoch is
    over. Cost: one pass. Source: Ru et al., arXiv 2006.04492; code rubinxin/TSE
    (rank_correlation_comparison.py) and NASLib (predictors/soloss.py).

    Args:
        loss: Minibatch training losses `[N, T]`, column i of the optimiser step i + 1.
        steps_per_epoch: S >= 1.
        mu: Weight of the newest epoch, in (0, 1].
        summed: Whether the averages of all epochs are added up.
        end: Last step seen, one or `[N]`; the last of the curve by default.

    Raises:
        ValueError: Wrong shapes, S < 1 or mu outside (0, 1].

    Example:
        Epoch means 1, 0.5 with mu = 0.9: 0.55; summed: 1.55.
    """
    _check(steps_per_epoch=steps_per_epoch)
    if not 0 < mu <= 1:
        raise ValueError(f"mu is {mu}; expected a weight in (0, 1]")

    def fit(block: Floats) -> Fitted:
        means = epoch_means(block, steps_per_epoch)
        average = means[:, 0]
        total = average.copy()
        for mean in means.T[1:]:
            average = (1 - mu) * average + mu * mean
            total += average
        return _fitted(total if summed else average)

    curves, window = _windows(loss, end, None)
    unfinished = window[:, 1] % steps_per_epoch
    window[:, 1] -= np.where(window[:, 1] >= steps_per_epoch, unfinished, 0)
    params = {"steps_per_epoch": steps_per_epoch, "mu": mu, "summed": summed}
    return _estimates("tse_ema", curves, window, fit, steps_per_epoch, params)


def _estimates(
    name: str,
    curves: npt.NDArray[np.floating],
    window: Floats,
    fit: Fit,
    min_points: int,
    params: dict[str, Any],
) -> Estimates:
    """Measure every curve in its own window."""
    return fit_curves(
        np.arange(1, curves.shape[1] + 1),
        curves,
        window,
        lambda steps: fit,
        estimator=name,
        version=VERSION,
        units=_UNITS,
        errors=(),
        min_points=min_points,
        positive=False,
        params=params,
    )


def _fitted(total: Floats) -> Fitted:
    return Fitted({"tse": total, "predictor": -total})


def _check(**counts: int) -> None:
    """Refuse counts below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; expected at least 1")


def _windows(
    loss: npt.ArrayLike, end: npt.ArrayLike | None, span: int | None
) -> tuple[npt.NDArray[np.floating], Floats]:
    """Return the curves and the steps `[N, 2]` to be used; NaN for an absent end."""
    curves: npt.NDArray[np.floating] = np.asanyarray(loss)
    if curves.ndim != 2:
        raise ValueError(
            f"loss has the shape {curves.shape}; expected [N, T], a row a curve"
        )
    num, length = curves.shape
    last = np.asarray(length if end is None else end)
    if last.shape not in ((), (num,)) or last.dtype.kind not in "iu":
        raise ValueError(
            f"end must be a step or steps [{num}], integers, got {last.dtype} "
            f"{last.shape}"
        )
    ends = np.broadcast_to(last, (num,)).astype(np.float64)
    ends[(ends < 1) | (ends > length)] = np.nan
    first = np.ones(num) if span is None else ends - span + 1
    return curves, np.stack([first, ends], axis=1)
