"""Accuracy on the line: the accuracy elsewhere that in-distribution accuracy implies.

The baseline that any signal of robustness has to beat: forecasts of out-of-distribution
(OOD) accuracy count only for what they add to it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from harness.measure import ILL_CONDITIONED, OK, TOO_SHORT, Estimates, Floats

VERSION: Final = "1"
MIN_MODELS: Final = 3
_ERRORS: Final = ("intercept", "slope")


def probit(correct: npt.ArrayLike, total: npt.ArrayLike) -> Floats:
    """Return Phi^-1 of an accuracy given as a count, with a rule for 0 and all.

    Formula: Phi^-1(clip(correct, 1/2, total - 1/2) / total): only the counts 0 and
    `total`, whose probit is infinite, are moved, by half an image. Unit: 1; range:
    +- Phi^-1(1 - 1 / (2 total)), 3.9 for 10,000 images.

    Args:
        correct: Correctly classified images, integers.
        total: Images, >= 1; broadcast against `correct`.

    Raises:
        ValueError: Not integers, or a count outside 0 ... total.

    Example:
        >>> probit([500, 0], 1000).round(4)
        array([ 0.    , -3.2905])
    """
    from scipy.special import ndtri

    right, images = np.asarray(correct), np.asarray(total)
    for name, count in (("correct", right), ("total", images)):
        if count.dtype.kind not in "iu":
            raise ValueError(
                f"{name} must be integers (counts of images, not accuracies), got "
                f"{count.dtype}"
            )
    wrong = (right < 0) | (right > images) | (images < 1)
    if wrong.any():
        raise ValueError(
            f"{int(wrong.sum())} counts lie outside 0 ... total (or total < 1); "
            "expected correct <= total"
        )
    moved: Floats = ndtri(np.clip(right, 0.5, images - 0.5) / images)
    return moved


def fit_line(
    id_correct: npt.ArrayLike,
    id_total: npt.ArrayLike,
    ood_correct: npt.ArrayLike,
    ood_total: npt.ArrayLike,
) -> Estimates:
    """Fit probit(OOD accuracy) = intercept + slope * probit(ID accuracy).

    Formula: ordinary least squares over M models, a line a set (say a corruption and
    severity); se of the slope = s / sqrt(Sxx), of the intercept s sqrt(1/M + mean^2 /
    Sxx), s^2 = RSS / (M - 2); r2 = 1 - RSS / TSS. Units: 1 (probits); slopes of any
    sign. Models are taken as independent: seeds of one configuration are not, so the
    errors are then too small. Binomial noise in the ID counts draws the slope towards
    0 by Var(noise) / Var(probit): a good reason for a large ID set.

    Undefined: "too_short" (fewer than 3 models), "ill_conditioned" (ID accuracies do
    not vary, or OOD accuracies do not, so that r2 has no meaning).
    Cost: two probits a model. Source: Miller et al., arXiv 2107.04649.

    Args:
        id_correct: Counts `[M]` or `[N, M]`.
        id_total: Images behind them, one number or of a shape that broadcasts.
        ood_correct: Counts `[N, M]`.
        ood_total: Images behind them, one number or of a shape that broadcasts.

    Returns:
        intercept, slope, r2; errors of the first two; the window is the least and
        largest probit of the ID accuracy.

    Raises:
        ValueError: Wrong shapes, or counts that cannot be.

    Example:
        An exact line gives r2 = 1 (up to the rounding of counts).
    """
    y = probit(ood_correct, ood_total)
    x = probit(id_correct, id_total)
    if y.ndim != 2 or x.shape not in (y.shape, y.shape[1:]):
        raise ValueError(
            f"id_correct {x.shape} and ood_correct {y.shape} do not match; expected "
            "[M] or [N, M], and [N, M]"
        )
    if y.shape[1] < MIN_MODELS:
        return _no_line(*y.shape)
    return _line(np.broadcast_to(x, y.shape), y)


def predict_ood(line: Estimates, id_correct: npt.ArrayLike, id_total: int) -> Floats:
    """Return the OOD accuracies `[N, Q]` that the lines imply, in (0, 1).

    Formula: Phi(intercept + slope * probit(ID accuracy)). NaN for lines whose status
    is not "ok".

    Args:
        line: What `fit_line` returned for N sets.
        id_correct: Counts of Q further models, `[Q]`.
        id_total: Images behind them.

    Raises:
        ValueError: Counts that cannot be, or not `[Q]`.

    Example:
        With intercept 0 and slope 1 an accuracy of 0.7 stays 0.7.
    """
    from scipy.special import ndtr

    x = probit(id_correct, id_total)
    if x.ndim != 1:
        raise ValueError(f"id_correct must be [Q], got the shape {x.shape}")
    accuracy: Floats = ndtr(line["intercept"][:, None] + line["slope"][:, None] * x)
    return accuracy


def _line(x: Floats, y: Floats) -> Estimates:
    """Return ordinary least squares along the rows."""
    models = y.shape[1]
    mean_x, mean_y = x.mean(1), y.mean(1)
    dx, dy = x - mean_x[:, None], y - mean_y[:, None]
    sxx, sxy, tss = (dx * dx).sum(1), (dx * dy).sum(1), (dy * dy).sum(1)
    status = np.where((np.ptp(x, 1) > 0) & (np.ptp(y, 1) > 0), OK, ILL_CONDITIONED)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = sxy / sxx
        rss = ((dy - slope[:, None] * dx) ** 2).sum(1)
        deviation = np.sqrt(rss / (models - 2))
        values = {
            "intercept": mean_y - slope * mean_x,
            "slope": slope,
            "r2": 1 - rss / tss,
        }
        errors = {
            "intercept": deviation * np.sqrt(1 / models + mean_x**2 / sxx),
            "slope": deviation / np.sqrt(sxx),
        }
    return _estimates(values, errors, status, models, np.stack([x.min(1), x.max(1)], 1))


def _no_line(num: int, models: int) -> Estimates:
    blank = dict.fromkeys(("intercept", "slope", "r2"), np.full(num, np.nan))
    status = np.full(num, TOO_SHORT)
    return _estimates(blank, blank, status, models, np.full((num, 2), np.nan))


def _estimates(
    values: dict[str, Floats],
    errors: dict[str, Floats],
    status: npt.NDArray[np.str_],
    models: int,
    window: Floats,
) -> Estimates:
    bad = status != OK
    return Estimates(
        estimator="on_the_line",
        estimator_version=VERSION,
        params={"continuity": "clip to [1/2, total - 1/2]"},
        units=dict.fromkeys(values, "1"),
        values={q: np.where(bad, np.nan, v) for q, v in values.items()},
        errors={q: np.where(bad, np.nan, errors[q]) for q in _ERRORS},
        status=status,
        n=np.full(len(status), models, np.int64),
        window=window,
    )
