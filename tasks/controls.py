"""What one knows of a run anyway: its settings and the last loss that was seen."""

from typing import Final

import numpy as np
import polars as pl

from harness.measure import Floats
from tasks.features import Encoder
from tasks.observations import is_setting
from tasks.question import Answers, Question

LOGS: Final = ("optimizer.lr", "batch_size")
"""Settings that count by their logarithm."""


def controls(question: Question, answers: Answers) -> Floats:
    """Return what a signal must add to, `[n, C]`, in the order of the answers.

    Columns: indicators of settings and numbers, standardised; the logarithms of
    learning rate and batch size instead of themselves; the logarithm of the rate and
    its square within each optimizer, as rates are good neither small nor large; the
    training loss of the last whole epoch in the window, or of the window where it has
    none. An indicator of each fold: answers of one fold share what they were learned
    from, the other folds' mean, which alone would tell the fold's own. Settings are
    read from the corpus, whether the task shows them or not.

    Args:
        question: Knows the curves up to the window and the folds.
        answers: Knows the settings.
    """
    names = [name for name in answers.runs.columns if is_setting(name)]
    logs = [
        pl.when(pl.col(name) > 0).then(pl.col(name).cast(pl.Float64).log())
        for name in LOGS
        if name in names
    ]
    table = answers.runs.select("id", *names).with_columns(logs)
    table = table.with_columns(
        pl.Series("last_loss", _last_losses(question, answers)),
        pl.Series("fold", _folds(question, answers)).cast(pl.String),
    )
    if "optimizer.lr" in names and "optimizer.name" in names:
        table = table.with_columns(_rates(table))
    return Encoder(complete=True).fit(table).transform(table)


def _rates(table: pl.DataFrame) -> list[pl.Expr]:
    """Return the centred rate and its square within each optimizer, 0 elsewhere."""
    rate, name = pl.col("optimizer.lr"), pl.col("optimizer.name")
    centred = rate - rate.mean().over("optimizer.name")
    return [
        pl.when(name == optimizer)
        .then(centred**power)
        .otherwise(0.0)
        .alias(f"rate^{power} {optimizer}")
        for optimizer in table["optimizer.name"].drop_nulls().unique().sort()
        for power in (1, 2)
    ]


def _last_losses(question: Question, answers: Answers) -> list[float | None]:
    """Return the mean training loss of the last whole epoch, null if not finite."""
    found: dict[str, float] = {}
    for block in question.everyone.blocks:
        means = block.epoch_means() if block.num_epochs else block.loss
        last = means[:, -1] if block.num_epochs else means.mean(axis=1)
        found |= dict(zip(block.run_ids, last.tolist(), strict=True))
    return [x if np.isfinite(x := found[name]) else None for name in answers.ids]


def _folds(question: Question, answers: Answers) -> list[int]:
    """Return the round in which each example is scored."""
    found = {
        name: number
        for number, (_, tested) in enumerate(question.rounds)
        for name in tested
    }
    return [found[name] for name in answers.ids]
