"""The training loop: one for a single large run and for a cohort of small ones.

Time is the number of updates completed. The loop visits every time from 0 to the last,
measures the state at that time and then makes the next update, so that the first and
the last state are measured like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.checkpoint import CheckpointFile
from harness.execution import Execution
from harness.feed import DeviceCell, DeviceData
from harness.outcome import final_scores, ood_results, ood_score, records_of
from harness.record import RunRecord
from harness.rig import Rig
from harness.spec import RunConfig


def train(
    cohort: Sequence[RunConfig],
    data: DeviceData,
    *,
    ood: Sequence[DeviceCell] = (),
    environment: Mapping[str, Any] | None = None,
    loaded_s: float = 0.0,
    checkpoint: CheckpointFile | None = None,
    checkpoint_due: Callable[[], bool] = lambda: False,
    interrupted: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda step, num_steps: None,
    execution: Execution | str = "auto",
    record_steps: bool = True,
) -> list[RunRecord] | None:
    """Train a cohort and return one record a run, in order.

    Args:
        cohort: Resolved configurations with one `cohort_key`.
        data: The cohort's data set on the device.
        ood: Out-of-distribution cells scored at the end.
        environment: What the records say about versions, device and threads.
        loaded_s: Seconds that loading took; they count as the runs' own.
        checkpoint: Where to resume from, and to save after any update.
        checkpoint_due: Asked after every update and every cell.
        interrupted: Asked after every update and every cell; when true the state is
            saved and training stops.
        progress: Told the updates done and planned, after each and after every cell.
        execution: How updates and evaluations are run, see `execution_for`.
        record_steps: False only to measure what recording every step costs.

    Returns:
        The records, or None if interrupted.

    Raises:
        ValueError: The runs cannot train together, or the batch is too large.
    """
    # Set-up.
    if len({cohort_key(run) for run in cohort}) != 1:
        raise ValueError("the runs differ in more than a cohort's runs may")
    rig = Rig(cohort, data, execution)
    state, update, scorer = rig.state, rig.update, rig.scorer
    clock, num_steps, steps_per_epoch = state.clock, rig.num_steps, rig.steps_per_epoch
    saved = checkpoint.load(state.fits) if checkpoint else None
    if saved:
        state.restore(saved)
        update.resume(state.step)
    start = state.step
    clock.load({"load": loaded_s})

    for step in range(start, num_steps + 1):
        state.step = step

        # Measure the state after `step` updates, once: a checkpoint holds its own.
        fresh = not (saved and step == start)
        if fresh:
            state.probes.measure(step)
        if fresh and step in state.eval_index:
            clock.charge("eval" if scorer.settled else "compile")
            held_out = scorer.score(data.validation)
            clean = scorer.score(data.train, rig.subset)
            state.by_eval.write(
                state.eval_index[step],
                {
                    "val_loss": held_out.loss,
                    "val_accuracy": held_out.correct / len(data.validation),
                    "train_loss_eval": clean.loss,
                    "train_accuracy_eval": clean.correct / len(rig.subset),
                },
            )

        # Apart from probes, the host waits for the device at the end of epochs only.
        ended = step == num_steps
        if step % steps_per_epoch == 0:
            clock.charge("log")
            clock.seconds()
            ended = ended or not state.alive.any()
        progress(step, num_steps)
        if ended:
            break

        # A checkpoint may hold any update; every attempt makes at least one.
        stop = step > start and interrupted()
        if checkpoint and (stop or (step > start and checkpoint_due())):
            clock.charge("save")
            checkpoint.save(state.to_save())
        if stop:
            return None

        # Make update step + 1.
        state.probes.before_update(step + 1)
        clock.charge("train" if update.settled else "compile")
        update(step)
        state.probes.after_update(step + 1)
        clock.charge("log")
        if record_steps:
            update.record()

    clock.charge("eval")
    finals = final_scores(state, scorer, data, rig.subset)
    cells = []
    for cell in ood:
        progress(step, num_steps)
        stop = interrupted()
        if checkpoint and (stop or checkpoint_due()):
            clock.charge("save")
            checkpoint.save(state.to_save())
            clock.charge("eval")
        if stop:
            return None
        cells.append(ood_score(state, scorer, cell))
    clock.charge(None)
    peaks = np.array([[run.optimizer.params["lr"]] for run in cohort])
    return records_of(
        cohort,
        state,
        finals,
        ood_results(cells, len(cohort)),
        rig.factors * peaks,
        data,
        num_steps=num_steps,
        environment=dict(environment or {})
        | {
            "data_fingerprint": data.fingerprint,
            "num_classes": data.num_classes,
            "execution": rig.execution.name,
        },
    )


def cohort_key(run: RunConfig) -> tuple[Any, ...]:
    """Return what runs must share to train together.

    Runs of a cohort may differ in seed, schedule, augmentation and in every number of
    the optimizer and the objective.
    """
    parts = (run.optimizer, run.objective)
    fixed = tuple((part.name, _switches(part.params)) for part in parts)
    return (
        run.dataset,
        run.model,
        run.regularizer,
        run.controller,
        run.batch_size,
        run.epochs,
        run.precision,
        run.probes,
        run.recording,
        fixed,
    )


def _switches(params: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the arguments that are not plain numbers."""
    return tuple(
        (k, v)
        for k, v in sorted(params.items())
        if isinstance(v, bool) or not isinstance(v, (int, float))
    )
