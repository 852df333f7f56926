"""Put a question to a predictor, fold by fold, and check what it says."""

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.errors import Declined, PredictorError
from harness.spec import Part
from tasks.observations import Observations
from tasks.prediction import Charge, Prediction, make_predictor
from tasks.question import Fold, Question

NO_NUMBER: Final = "no finite number"
"""Reason of an answer that is not finite and gives no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a predictor said to a question, and what it took."""

    table: pl.DataFrame
    """A row an example: id, prediction (null: declined), q0.05 ... where quantiles are
    given, reason; numbers are float32, as in files. Of curves a row an example and
    epoch, with the column epoch."""
    charge: Charge
    """What it was shown."""
    fit_s: float
    """Seconds of fitting, all folds."""
    predict_s: float
    """Seconds of predicting, all folds."""


def answer(question: Question, part: Part) -> Answered:
    """Return the predictions for every scored example, each by a fold's predictor.

    Args:
        question: Observations and targets to learn from, observations to answer for.
        part: Name and arguments of the predictor; made anew for each fold.

    Raises:
        KeyError: No predictor is called so.
        TypeError: It takes other arguments.
        PredictorError: It crashed, or its answer has the wrong shape, quantiles that
            decrease, or a probability outside [0, 1].
    """
    charge = Charge.of(make_predictor(part))
    tables, fit_s, predict_s = [], 0.0, 0.0
    for number, fold in enumerate(question.folds(charge)):
        started = time.perf_counter()
        try:
            found, fitted = _one(fold, part)
        except Declined as reason:
            found, fitted = declined(fold.test, str(reason)), time.perf_counter()
        except Exception as error:
            raise PredictorError(
                f"{part.name} failed at {question.task.name}, fold {number + 1} of "
                f"{len(question.rounds)}, with {type(error).__name__}: {error}\n"
                f"{traceback.format_exc()}"
            ) from error
        ended = time.perf_counter()
        fit_s, predict_s = fit_s + fitted - started, predict_s + ended - fitted
        try:
            tables.append(tabulate(fold.test, found))
        except ValueError as error:
            where = f"{part.name}, {question.task.name}"
            raise PredictorError(f"{where}: {error}") from None
    table = pl.concat(tables, how="diagonal")
    order = ["id", "epoch"] if "epoch" in table.columns else ["id"]
    return Answered(
        table=table.sort(order), charge=charge, fit_s=fit_s, predict_s=predict_s
    )


def declined(seen: Observations, reason: str) -> Prediction:
    """Return the answer that declines every example for one reason."""
    return Prediction(
        mean=np.full(len(seen), np.nan), reasons=dict.fromkeys(seen.ids, reason)
    )


def tabulate(seen: Observations, found: Prediction | npt.ArrayLike) -> pl.DataFrame:
    """Return an answer as rows, checked.

    Raises:
        ValueError: Shapes, quantiles or probabilities are not as they must be.
    """
    if not isinstance(found, Prediction):
        found = Prediction(mean=np.asarray(found))
    if unknown := sorted(set(found.reasons) - set(seen.ids)):
        raise ValueError(f"a reason is given for {unknown[0]!r}, which was not asked")
    if seen.asked.kind == "curve":
        return _curves(seen, found)
    mean = _checked("mean", found.mean, (len(seen),))
    answered = np.isfinite(mean)
    if seen.asked.kind == "probability":
        outside = answered & ((mean < 0) | (mean > 1))
        if outside.any():
            raise ValueError(f"a probability is {mean[outside][0]:g}, not in [0, 1]")
    columns: dict[str, Any] = {"id": seen.ids, "prediction": mean}
    if found.quantiles is not None:
        levels = seen.asked.levels
        quantiles = _checked("quantiles", found.quantiles, (len(seen), len(levels)))
        given = np.isfinite(quantiles).all(axis=1)
        if (np.diff(quantiles[given], axis=1) < 0).any():
            raise ValueError("quantiles decrease: sort them along the levels")
        kept = np.where(given & answered, 0.0, np.nan)[:, None] + quantiles
        columns |= {quantile_name(q): kept[:, i] for i, q in enumerate(levels)}
    table = pl.DataFrame(columns, schema_overrides={"id": pl.String})
    reasons = _reasons(seen.ids, answered, found.reasons)
    return table.with_columns(
        pl.col(pl.Float64).cast(pl.Float32).fill_nan(None),
        reason=pl.Series(reasons, dtype=pl.String),
    )


def quantile_name(level: float) -> str:
    """Return the column of a quantile.

    Example:
        >>> quantile_name(0.05)
        'q0.05'
    """
    return f"q{level:g}"


def _one(fold: Fold, part: Part) -> tuple[Prediction | npt.ArrayLike, float]:
    """Return a fold's answers, and when fitting was over."""
    predictor = make_predictor(part)
    predictor.fit(fold.train, fold.targets)
    fitted = time.perf_counter()
    return predictor.predict(fold.test), fitted


def _checked(
    name: str, values: npt.ArrayLike | None, shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    if values is None:
        raise ValueError(f"the answer has no {name}, expected shape {list(shape)}")
    array = np.asarray(values, np.float64)
    if array.shape != shape:
        raise ValueError(
            f"{name} has shape {list(array.shape)}, expected {list(shape)}: a row an "
            "example, in the order of observations.ids"
        )
    return np.where(np.isfinite(array), array, np.nan)


def _reasons(
    ids: tuple[str, ...], answered: npt.NDArray[np.bool_], given: Mapping[str, str]
) -> list[str | None]:
    return [
        None if done else given.get(name, NO_NUMBER)
        for name, done in zip(ids, answered.tolist(), strict=True)
    ]


def _curves(seen: Observations, found: Prediction) -> pl.DataFrame:
    """Return forecast curves as a row an example and epoch."""
    parts = []
    for number, block in enumerate(seen.blocks):
        epochs = seen.remaining_epochs(block)
        shape = (len(block), len(epochs))
        if found.curves is None and found.mean is not None:
            curves = np.full(shape, np.nan)  # declined as a whole
        else:
            given = None if found.curves is None else found.curves[number]
            curves = _checked(f"curves[{number}]", given, shape)
        answered = (np.isfinite(curves) & (curves > 0)).all(axis=1)
        curves = np.where(answered[:, None], curves, np.nan)
        reasons = _reasons(block.run_ids, answered, found.reasons)
        row = np.repeat(np.arange(len(block)), len(epochs))
        prediction = pl.Series(curves.ravel(), dtype=pl.Float32).fill_nan(None)
        parts.append(
            pl.DataFrame(
                {
                    "id": pl.Series(block.run_ids, dtype=pl.String)[row],
                    "epoch": np.tile(epochs, len(block)).astype(np.int32),
                    "prediction": prediction,
                    "reason": pl.Series(reasons, dtype=pl.String)[row],
                }
            )
        )
    return pl.concat(parts)
