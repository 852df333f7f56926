"""The metrics by name: what a task writes down to say how it is scored."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.measure import Floats
from tasks.metrics import (
    binary,
    checkpoints,
    curves,
    decision,
    events,
    pairs,
    point,
    quantiles,
)
from tasks.metrics import rank as ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A way to score predictions, and what one must know to read the number."""

    name: str
    function: Callable[..., Floats]
    """Called with truth, prediction and keywords; `weights` for resamples."""
    direction: Literal["min", "max", "near"]
    """Whether smaller, larger or nearer to the optimum is better."""
    optimum: float | None
    """Value of a perfect prediction; None: what the truth itself scores."""
    unit: str
    """"target" for the unit of the target, "ln" for a logarithm, "share", or "1"."""
    needs: Literal["mean", "quantiles", "probability", "curve", "decision"]
    """What a predictor must hand over; a decision is a score, larger is better."""
    takes: tuple[str, ...] = ()
    """Keywords that the task supplies; see the function for their defaults."""
    compares: bool = False
    """Whether runs are ranked against each other. The answers must then come from one
    fitted predictor, so that each fold is scored alone."""


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="mae",
            function=point.mae,
            direction="min",
            optimum=0.0,
            unit="target",
            needs="mean",
        ),
        Metric(
            name="log_mae",
            function=point.log_mae,
            direction="min",
            optimum=0.0,
            unit="ln",
            needs="mean",
        ),
        Metric(
            name="rmse",
            function=point.rmse,
            direction="min",
            optimum=0.0,
            unit="target",
            needs="mean",
        ),
        Metric(
            name="r2",
            function=point.r2,
            direction="max",
            optimum=1.0,
            unit="1",
            needs="mean",
        ),
        Metric(
            name="spearman",
            function=ranks.spearman,
            direction="max",
            optimum=1.0,
            unit="1",
            needs="mean",
            compares=True,
        ),
        Metric(
            name="kendall",
            function=pairs.kendall,
            direction="max",
            optimum=1.0,
            unit="1",
            needs="mean",
            compares=True,
        ),
        Metric(
            name="pairwise_accuracy",
            function=pairs.pairwise_accuracy,
            direction="max",
            optimum=1.0,
            unit="share",
            needs="mean",
            takes=("threshold",),
            compares=True,
        ),
        Metric(
            name="regret_at_k",
            function=decision.regret_at_k,
            direction="min",
            optimum=0.0,
            unit="target",
            needs="decision",
            takes=("k",),
            compares=True,
        ),
        Metric(
            name="compute_saved",
            function=decision.compute_saved,
            direction="max",
            optimum=None,
            unit="share",
            needs="decision",
            takes=("cost", "share", "tolerance"),
            compares=True,
        ),
        Metric(
            name="checkpoints_saved",
            function=checkpoints.checkpoints_saved,
            direction="max",
            optimum=None,
            unit="share",
            needs="mean",
            takes=("evaluations", "regrets", "tolerance"),
            compares=True,
        ),
        Metric(
            name="auc_bottom_half",
            function=binary.auc_bottom_half,
            direction="max",
            optimum=1.0,
            unit="share",
            needs="decision",
            compares=True,
        ),
        Metric(
            name="auc",
            function=binary.auc,
            direction="max",
            optimum=1.0,
            unit="share",
            needs="probability",
            compares=True,
        ),
        Metric(
            name="auprc",
            function=binary.auprc,
            direction="max",
            optimum=1.0,
            unit="share",
            needs="probability",
            compares=True,
        ),
        Metric(
            name="brier",
            function=binary.brier,
            direction="min",
            optimum=0.0,
            unit="1",
            needs="probability",
        ),
        Metric(
            name="crps",
            function=quantiles.crps,
            direction="min",
            optimum=0.0,
            unit="target",
            needs="quantiles",
            takes=("levels",),
        ),
        Metric(
            name="coverage",
            function=quantiles.coverage,
            direction="near",
            optimum=0.8,
            unit="share",
            needs="quantiles",
        ),
        Metric(
            name="curve_error",
            function=curves.curve_error,
            direction="min",
            optimum=0.0,
            unit="ln",
            needs="curve",
            takes=("counted",),
        ),
        Metric(
            name="c_index",
            function=events.c_index,
            direction="max",
            optimum=1.0,
            unit="share",
            needs="mean",
            takes=("happened",),
            compares=True,
        ),
        Metric(
            name="f1_within",
            function=events.f1_within,
            direction="max",
            optimum=1.0,
            unit="share",
            needs="mean",
            takes=("tolerance",),
        ),
    )
}
"""Every metric; the optimum of coverage is that of deciles."""


def metric(name: str) -> Metric:
    """Return the metric called `name`.

    Raises:
        KeyError: Nothing has this name; the message lists what exists.

    Example:
        >>> metric("mae").direction
        'min'
    """
    if name not in METRICS:
        close = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise KeyError(
            f"no metric is called {name!r}{hint} (known: {', '.join(sorted(METRICS))})"
        )
    return METRICS[name]
