"""Truth and predictions made by hand, for what scores them."""

import numpy as np
import polars as pl

from tasks.answering import quantile_name
from tasks.question import Answers
from tests.tasks.asking import task

IDENTITY = {"corpus": "some", "corpus_sha256": "0" * 64}
LEVELS = task().levels


def truths(values, families, fold=0, **context) -> Answers:
    n = len(values)
    ids = tuple(f"e-{i:03}" for i in range(n))
    runs = {"num_steps": [100] * n, "steps_per_epoch": [20] * n, "batch_size": [8] * n}
    return Answers(
        ids=ids,
        run_ids=ids,
        families=tuple(families),
        values=np.array(values, float),
        curves=(),
        context=context,
        runs=pl.DataFrame(runs).with_columns(fold=pl.Series(np.broadcast_to(fold, n))),
        replicated=pl.DataFrame({"family_id": list(families), "value": list(values)}),
    )


def said(answers, mean, quantiles=None, reasons=None, levels=LEVELS):
    """Return a table of predictions; NaN declines."""
    table = {"id": answers.ids, "prediction": np.broadcast_to(mean, len(answers.ids))}
    for at, level in enumerate(levels if quantiles is not None else ()):
        table[quantile_name(level)] = np.asarray(quantiles)[:, at]
    reasons = reasons or [None] * len(answers.ids)
    return pl.DataFrame(table).with_columns(
        pl.col(pl.Float64).fill_nan(None), reason=pl.Series(reasons, dtype=pl.String)
    )


def only(rows, predictor, name):
    (row,) = rows.filter(predictor=predictor, metric=name).to_dicts()
    return row


def truth_as_answer(asked, answers) -> pl.DataFrame:
    """Return the answers of an oracle."""
    if asked.kind != "curve":
        # Who was censored had the event later than it was last looked for.
        later = 1e-6 * ~np.asarray(answers.context.get("happened", True), dtype=bool)
        values = answers.values + later
        points = np.tile(values[:, None], len(asked.levels))
        return said(answers, values, points, levels=asked.levels)
    last = (answers.runs["num_steps"] // answers.runs["steps_per_epoch"]).to_list()
    return pl.concat(
        pl.DataFrame(
            {
                "id": [name] * len(curve),
                "epoch": np.arange(end - len(curve) + 1, end + 1),
                "prediction": curve,
                "reason": pl.Series([None] * len(curve), dtype=pl.String),
            }
        )
        for name, curve, end in zip(answers.ids, answers.curves, last, strict=True)
    )
