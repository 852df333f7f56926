"""From one number a run to a target, with honest uncertainty: what baselines share.

Folds inside the training part keep families whole, so that the residuals from which
quantiles are made are those of families never seen.
"""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dict
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from baselines.methods.forms import FORMS, Form
from harness.errors import Declined
from harness.measure import Floats
from tasks.observations import Asked
from tasks.prediction import Prediction

FitPredict = Callable[[Floats, Floats, Floats], npt.ArrayLike]
"""Learns from rows `[n, ...]` and targets `[n]`, answers for other rows: `[m, ...]`."""

FOLDS: Final = 5
MARGIN: Final = 0.03
"""Share of the error that a richer form must save. Of 120 runs without any relation
4 % are given one so, 25 % at 0.01."""
RUNS_A_STRATUM: Final = 60
"""Residuals behind one set of quantiles: the 5 % one lies at the third smallest."""
MOST_STRATA: Final = 5
EDGE: Final = 0.005
"""Accuracies closer to 0 or 1 are not told apart by logits."""
SHARES: Final = ("last_good_checkpoint",)
"""Targets in [0, 1] that are no accuracy."""


class Mapping:
    """Learns a target from one number a run.

    The form is chosen by the absolute error in grouped folds, the simplest first: a
    constant (the median), a line of least absolute deviations in x or, where all are
    positive, in ln x, the isotonic curve of least squares, and broken lines through the
    medians of equally filled bins, monotone or not. Nothing is answered outside the
    range of the training targets. Where a probability is asked for, means stand in for
    medians and squares for absolute values.

    Quantiles are those of the residuals of held-out families among the runs of similar
    predictions (`strata_quantiles`).

    Args:
        kind: `asked.kind`, "value" or "probability".

    Cost: 15 ms for 350 runs, 30 small fits.

    Example:
        >>> x = np.arange(60.0)
        >>> learned = Mapping().fit(x, 3 - x / 60, [str(i) for i in range(60)])
        >>> learned.form, learned.predict(np.array([30.0, np.nan])).round(6).tolist()
        ('line', [2.5, nan])
    """

    def __init__(self, kind: str = "value") -> None:
        self.kind = kind

    def fit(self, x: npt.ArrayLike, y: npt.ArrayLike, groups: Sequence[str]) -> Self:
        """Learn; runs without a finite `x` or `y` are left out.

        Args:
            x: The number, `[n]`.
            y: The target, `[n]`.
            groups: `[n]`, labels; equal ones are kept in one fold.

        Raises:
            Declined: Fewer than two families have the number.
        """
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        kept = np.isfinite(x) & np.isfinite(y)
        self.x, self.y = x[kept], y[kept]
        labels = [group for group, used in zip(groups, kept, strict=True) if used]
        if (families := len(set(labels))) < 2:
            raise Declined(
                f"{families} of {len(set(groups))} training families have the number "
                "that it goes by, expected two or more"
            )
        squares = self.kind == "probability"
        best = np.inf
        for name, form in FORMS.items():

            def once(x: Floats, y: Floats, at: Floats, form: Form = form) -> Floats:
                return np.clip(form(x, y, at, squares), y.min(), y.max())

            held_out = grouped_out_of_fold(once, self.x, self.y, labels)
            misses = np.abs(held_out - self.y) ** (2 if squares else 1)
            error = float(misses.mean())
            if error < best * (1 - MARGIN):
                best, self.form, self.once, self.held_out = error, name, once, held_out
        return self

    def predict(self, x: npt.ArrayLike) -> Floats:
        """Return `[n]`; NaN where `x` is not finite."""
        at = np.asarray(x, np.float64)
        found, known = np.full(len(at), np.nan), np.isfinite(at)
        if known.any():
            found[known] = self.once(self.x, self.y, at[known])
        return found

    def quantiles(self, x: npt.ArrayLike, levels: Sequence[float]) -> Floats:
        """Return `[n, L]`, not decreasing; NaN where `x` is not finite."""
        at = self.predict(x)
        if self.form == "constant":  # its folds differ by chance alone
            return at[:, None] + residual_quantiles(self.y, self.held_out, levels)
        return strata_quantiles(self.y, self.held_out, levels, at)

    def answer(
        self, asked: Asked, x: npt.ArrayLike, reasons: Dict[str, str] | None = None
    ) -> Prediction:
        """Return means and quantiles in the form that a predictor returns.

        Args:
            asked: Of the observations.
            x: The number of each example, `[n]`; NaN: declined.
            reasons: Why, by id.
        """
        quantiles = self.quantiles(x, asked.levels)
        return finished(asked, self.predict(x), quantiles, reasons)


def grouped_out_of_fold(
    fit_predict: FitPredict,
    x_rows: npt.NDArray[Any],
    y: npt.NDArray[Any],
    groups: Sequence[str],
    folds: int = FOLDS,
) -> Floats:
    """Return an answer for each training example by a fit without its family.

    The sorted labels are dealt to the folds in turn; fewer families than folds make
    fewer folds.

    Args:
        fit_predict: Learns from rows and targets, answers for other rows.
        x_rows: `[n, ...]`, what it learns from.
        y: `[n]`, the targets.
        groups: `[n]`, labels; equal ones are kept together.
        folds: Number of fits.

    Returns:
        `[n, ...]`, in the order of the rows: `[n]` where it answers with one number,
        `[n, P]` where it answers with P of them, such as one a penalty.

    Raises:
        Declined: There is only one family.

    Example:
        With `fit_predict = lambda x, y, at: np.full(len(at), y.mean())`, y = 0, 0, 3
        and groups a, a, b: 3, 3, 0.
    """
    names, family = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise Declined("all training runs are of one family: nothing can be held out")
    fold = family % folds
    parts = []
    for number in range(min(folds, len(names))):
        train, test = fold != number, fold == number
        parts.append(np.asarray(fit_predict(x_rows[train], y[train], x_rows[test])))
    back = np.argsort(np.argsort(fold, kind="stable"), kind="stable")
    return np.asarray(np.concatenate(parts)[back], np.float64)


def residual_quantiles(
    truth: npt.ArrayLike, out_of_fold: npt.ArrayLike, levels: Sequence[float]
) -> Floats:
    """Return what to add to an answer to get its quantiles, `[L]`, not decreasing.

    Formula: the quantile p of the residuals truth - out_of_fold at the position
    (n + 1) p of the sorted ones, so that a new exchangeable residual lies below it
    with probability p; beyond 1 / (n + 1) the smallest or the largest.

    Args:
        truth: `[n]`.
        out_of_fold: `[n]`, answers by fits that did not see the example's family.
        levels: In (0, 1), ascending.

    Source: split conformal prediction, Lei et al. 1604.04173; with folds Vovk,
    "Cross-conformal predictors", 2015.

    Example:
        >>> residual_quantiles([1, 2, 3], [0, 0, 0], [0.25, 0.5, 0.75]).tolist()
        [1.0, 2.0, 3.0]
    """
    residuals = np.asarray(truth, np.float64) - np.asarray(out_of_fold, np.float64)
    return np.asarray(np.quantile(residuals, levels, method="weibull"))


def strata_quantiles(
    truth: npt.ArrayLike,
    out_of_fold: npt.ArrayLike,
    levels: Sequence[float],
    at: npt.ArrayLike,
) -> Floats:
    """Return the quantiles of answers, `[m, L]`, from residuals at similar answers.

    The training runs are cut into equally filled strata of their held-out answers, of
    60 runs and at most 5; an answer has the `residual_quantiles` of its stratum. Runs
    that end badly are uncertain, good ones are not, and one set of residuals would be
    wrong about both.

    Args:
        truth: `[n]`.
        out_of_fold: `[n]`, see `residual_quantiles`.
        levels: In (0, 1), ascending.
        at: `[m]`, answers of the predictor that learned from all; NaN stays NaN.

    Source: Mondrian conformal prediction, Vovk et al. 2005.
    """
    truth = np.asarray(truth, np.float64)
    held_out, at = np.asarray(out_of_fold, np.float64), np.asarray(at, np.float64)
    strata = min(max(len(truth) // RUNS_A_STRATUM, 1), MOST_STRATA)
    cuts = np.unique(np.quantile(held_out, np.arange(1, strata) / strata))
    own, asked = np.searchsorted(cuts, held_out), np.searchsorted(cuts, at)
    found = np.empty((len(at), len(levels)))
    for stratum in np.unique(asked):
        near = own == stratum
        if not near.any():  # ties have left it empty
            near[:] = True
        offsets = residual_quantiles(truth[near], held_out[near], levels)
        rows = asked == stratum
        found[rows] = at[rows, None] + offsets
    return found


def finished(
    asked: Asked,
    mean: npt.ArrayLike,
    quantiles: npt.ArrayLike | None = None,
    reasons: Dict[str, str] | None = None,
) -> Prediction:
    """Return a prediction within the bounds of what is asked.

    Probabilities, accuracies and shares are cut to [0, 1]; quantiles are sorted, NaN
    where the mean is. A probability has no quantiles.

    Args:
        asked: Of the observations.
        mean: `[n]`, NaN: declined.
        quantiles: `[n, L]` or None.
        reasons: Why, by id; "no finite number" where it says nothing.
    """
    low, high = (0.0, 1.0) if is_share(asked) else (-np.inf, np.inf)
    middle, spread = np.clip(np.asarray(mean, np.float64), low, high), None
    if quantiles is not None and asked.kind != "probability":
        given = np.where(np.isfinite(middle)[:, None], quantiles, np.nan)
        spread = np.clip(np.sort(given, axis=1), low, high)
    return Prediction(mean=middle, quantiles=spread, reasons=reasons or {})


def is_share(asked: Asked) -> bool:
    """Tell whether the answer lies in [0, 1]: a probability, an accuracy or a share."""
    named = asked.kind == "probability" or asked.target.name in SHARES
    return named or _is_accuracy(asked)


def stretched(asked: Asked, y: npt.ArrayLike) -> Floats:
    """Return targets as regressors of several columns learn them.

    Accuracies become logits, so that a failed run does not outweigh all differences
    between good ones; everything else stays.

    Example:
        An accuracy of 0.9 becomes ln 9.
    """
    values = np.asarray(y, np.float64)
    if not _is_accuracy(asked):
        return values
    inner = np.clip(values, EDGE, 1 - EDGE)
    return np.log(inner / (1 - inner))


def squeezed(asked: Asked, z: npt.ArrayLike) -> Floats:
    """Return what `stretched` was given."""
    values = np.asarray(z, np.float64)
    return 1 / (1 + np.exp(-values)) if _is_accuracy(asked) else values


def one_number(asked: Asked, name: str) -> None:
    """Decline to forecast curves.

    Raises:
        Declined: A curve is asked for.
    """
    if asked.kind == "curve":
        raise Declined(f"{name} forecasts one number, not a curve")


def _is_accuracy(asked: Asked) -> bool:
    """Tell whether the answer is a share of images."""
    name, arguments = asked.target.name, asked.target.params
    if name != "column" or arguments.get("log", False):
        return False
    return str(arguments["name"]).endswith("_accuracy")
