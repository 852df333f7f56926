"""From a trained cohort to records: final scores, curves, costs and divergence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from harness.evaluate import Scorer, Scores, expected_calibration_error
from harness.feed import DeviceCell, DeviceData, DeviceSplit
from harness.operations import training_flops
from harness.record import Curve, Event, OodResult, RunRecord
from harness.spec import RunConfig
from harness.state import HIGH_LOSS_STEPS, CohortState
from harness.update import HIGH_LOSS

Final = dict[str, float | int | None]


def final_scores(
    state: CohortState, scorer: Scorer, data: DeviceData, subset: Tensor
) -> list[Final]:
    """Return each run's correct counts, n, losses and test calibration error."""
    columns: dict[str, Any] = {}
    sets: list[tuple[str, DeviceSplit, Tensor | None]] = [
        ("test", data.test, None),
        ("validation", data.validation, None),
        ("train", data.train, subset),
    ]
    for name, split, indices in sets:
        scores = scorer.score(split, indices)
        n = len(split) if indices is None else len(indices)
        columns[f"{name}_correct"] = scores.correct.tolist()
        columns[f"{name}_n"] = [n] * len(state.net)
        columns[f"{name}_loss"] = scores.loss.tolist()
    calibration = expected_calibration_error(state.net, data, data.test)
    columns["test_ece"] = calibration.tolist()
    return [{k: v[s] for k, v in columns.items()} for s in range(len(state.net))]


def ood_score(
    state: CohortState, scorer: Scorer, cell: DeviceCell
) -> tuple[DeviceCell, int, Scores]:
    """Return a cell with its number of images and the scores of all runs on it.

    The host does not wait: scores are read together, by `ood_results`.
    """
    state.clock.charge("load")
    split = cell.load()
    state.clock.charge("eval")
    return cell, len(split), scorer.score(split)


def ood_results(
    scored: Sequence[tuple[DeviceCell, int, Scores]], num_runs: int
) -> list[tuple[OodResult, ...]]:
    """Return each run's score on every out-of-distribution cell.

    Args:
        scored: `ood_score` of every cell.
        num_runs: S.
    """
    columns = [(s.correct.tolist(), s.loss.tolist()) for _, _, s in scored]
    return [
        tuple(
            OodResult(
                cell.set_name, cell.corruption, cell.severity, correct[s], n, loss[s]
            )
            for (cell, n, _), (correct, loss) in zip(scored, columns, strict=True)
        )
        for s in range(num_runs)
    ]


def records_of(
    cohort: Sequence[RunConfig],
    state: CohortState,
    finals: Sequence[Final],
    cells: Sequence[tuple[OodResult, ...]],
    rates: npt.NDArray[np.float64],
    data: DeviceData,
    *,
    num_steps: int,
    environment: Mapping[str, Any],
) -> list[RunRecord]:
    """Assemble one record a run.

    Args:
        cohort: The configurations.
        state: The trained cohort.
        finals: `final_scores`.
        cells: `ood_results`.
        rates: Learning rate in force at every update, `[S, num_steps]`.
        data: Their data set.
        num_steps: Planned updates.
        environment: Versions, device, threads and data fingerprint.
    """
    bad_steps = state.first_bad.tolist()
    last_steps = [min(bad, num_steps) for bad in bad_steps]
    by_step, by_eval = (
        state.by_step.curves(last_steps),
        state.by_eval.curves(last_steps),
    )
    costs = _costs(cohort, state, data)
    signals = state.probes.signals()
    records = []
    for s, run in enumerate(cohort):
        diverged = bad_steps[s] <= num_steps
        steps = by_step[s]["train_loss"].steps
        lr = Curve(steps, rates[s, : len(steps)].astype(np.float32))
        final, ood = finals[s], cells[s]
        if diverged:  # its loss would be that of an arbitrary state: not measured
            final = {k: None if k.endswith("_loss") else v for k, v in final.items()}
            ood = tuple(cell._replace(loss=None) for cell in ood)
        probed = state.probes.curves(s, last_steps[s])
        events = state.probes.events(s, last_steps[s])
        if diverged:
            events.append(_divergence(bad_steps[s], by_step[s], data.num_classes))
        record = RunRecord(
            config=run,
            status="diverged" if diverged else "completed",
            num_steps=num_steps,
            steps_per_epoch=num_steps // run.epochs,
            curves={**by_step[s], **by_eval[s], "lr": lr, **probed},
            signals=signals,
            events=tuple(events),
            final=final,
            ood=ood,
            costs=costs,
            environment=dict(environment) | {"packing": len(cohort)},
            diverged_step=bad_steps[s] if diverged else None,
        )
        records.append(record)
    return records


def _costs(
    cohort: Sequence[RunConfig], state: CohortState, data: DeviceData
) -> dict[str, float]:
    """Return a run's share of the cohort's seconds, and what it computed."""
    seconds = state.clock.seconds() | {"wait": state.clock.waited()}
    costs = {f"{k}_s": v / len(cohort) for k, v in sorted(seconds.items())}
    costs |= state.probes.costs()
    costs["train_images"] = float(state.step * cohort[0].batch_size)
    shape = (data.in_shape, data.num_classes)
    operations = training_flops(cohort[0].model, *shape, state.device)
    costs["train_flops"] = costs["train_images"] * operations
    return costs


def _divergence(step: int, curves: Mapping[str, Curve], num_classes: int) -> Event:
    """Describe what was wrong at the first bad update."""
    losses = curves["train_loss"].values
    loss, norm = float(losses[-1]), float(curves["grad_norm"].values[-1])
    high = losses[-HIGH_LOSS_STEPS:] > HIGH_LOSS * math.log(num_classes)
    if not np.isfinite(loss):
        reason = "loss not finite"
    elif not np.isfinite(norm):
        reason = "gradient not finite"
    elif len(high) == HIGH_LOSS_STEPS and high.all():
        reason = "loss above ten times chance for 200 updates"
    else:
        reason = "running statistics not finite"
    detail = {"reason": reason, "train_loss": str(loss), "grad_norm": str(norm)}
    return Event(step, "diverged", detail)
