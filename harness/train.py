"""The training loop: one for a single large run and for a cohort of small ones.

Time is the number of updates completed. The loop visits every time from 0 to the last,
measures the state at that time and then makes the next update, so that the first and
the last state are measured like any other.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.checkpoint import CheckpointFile
from harness.evaluate import score
from harness.feed import DeviceCell, DeviceData, Feed
from harness.outcome import final_scores, ood_scores, records_of
from harness.record import RunRecord
from harness.registry import OBJECTIVES, SCHEDULES
from harness.seeds import stream
from harness.spec import RunConfig
from harness.state import CohortState, hyper_columns


def train(
    cohort: Sequence[RunConfig],
    data: DeviceData,
    *,
    ood: Sequence[DeviceCell] = (),
    environment: Mapping[str, Any] | None = None,
    checkpoint: CheckpointFile | None = None,
    checkpoint_due: Callable[[], bool] = lambda: False,
    interrupted: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda share: None,
    record_steps: bool = True,
) -> list[RunRecord] | None:
    """Train a cohort and return one record a run, in order.

    Args:
        cohort: Resolved configurations with one `cohort_key`.
        data: The cohort's data set on the device.
        ood: Out-of-distribution cells scored at the end.
        environment: What the records say about versions, device and threads.
        checkpoint: Where to resume from, and to save at the end of an epoch.
        checkpoint_due: Asked at the end of every epoch.
        interrupted: Asked at the end of every epoch; when true the state is saved and
            training stops.
        progress: Told the share of updates done, once an epoch.
        record_steps: False only to measure what recording every step costs.

    Returns:
        The records, or None if interrupted.

    Raises:
        ValueError: The runs cannot train together, or the batch is too large.
    """
    # Set-up.
    if len({cohort_key(run) for run in cohort}) != 1:
        raise ValueError("the runs differ in more than a cohort's runs may")
    config, device = cohort[0], data.train.labels.device
    feed = Feed(data, cohort)

    # Derived numbers.
    steps_per_epoch = feed.steps_per_epoch
    num_steps = config.epochs * steps_per_epoch
    factors = _schedule_factors(cohort, num_steps, steps_per_epoch)  # [S, T]
    scale = torch.from_numpy(factors.T.astype(np.float32)).to(device)[:, :, None]
    subset = _clean_subset(len(data.train), config.recording.train_subset).to(device)
    ceiling = 10 * math.log(data.num_classes)

    # State.
    state = CohortState(cohort, data, num_steps)
    net, optimizer, clock = state.net, state.optimizer, state.clock
    objective = OBJECTIVES.get(config.objective.name)(
        **hyper_columns([run.objective for run in cohort], device)
    )
    saved = checkpoint.load() if checkpoint else None
    if saved:
        state.restore(saved)
    start = state.step

    for step in range(start, num_steps + 1):
        state.step = step

        # Measure the state after `step` updates, once: a checkpoint holds its own.
        fresh = not (saved and step == start)
        if fresh:
            state.probes.measure(step)
        if fresh and step in state.eval_index:
            clock.charge("eval")
            held_out = score(net, data, data.validation)
            clean = score(net, data, data.train, subset)
            state.by_eval.write(
                state.eval_index[step],
                {
                    "val_loss": held_out.loss,
                    "val_accuracy": held_out.correct / len(data.validation),
                    "train_loss_eval": clean.loss,
                    "train_accuracy_eval": clean.correct / len(subset),
                },
            )

        # Apart from probes, the host waits for the device at the end of epochs only.
        if step % steps_per_epoch == 0 and step > start:
            clock.charge("log")
            clock.seconds()
            progress(step / num_steps)
            if step == num_steps or not state.alive.any():
                break
            stop = interrupted()
            if checkpoint and (stop or checkpoint_due()):
                checkpoint.save(state.to_save())
            if stop:
                return None

        # Make update step + 1.
        state.probes.before_update(step + 1)
        clock.charge("train")
        if step % steps_per_epoch == 0:
            feed.start_epoch(step // steps_per_epoch)
        inputs, labels = feed.batch(step % steps_per_epoch)
        losses = objective(net.train_logits(inputs, step), labels)
        grads = net.gradients(losses.objective)
        loss = losses.objective.detach()
        norm = torch.linalg.vector_norm(grads, dim=1)
        alive = state.judge(loss, norm, ceiling)
        if device.type != "cpu" or not alive.all():  # keep the last finite state
            grads.masked_fill_(~alive[:, None], 0.0)
        optimizer.step(grads, scale[step] * alive[:, None])
        state.probes.after_update(step + 1)

        if record_steps:
            clock.charge("log")
            values = {"train_loss": loss, "grad_norm": norm}
            if "train_ce" in state.by_step:
                values["train_ce"] = losses.cross_entropy.detach()
            state.by_step.write(step, values)

    clock.charge("eval")
    finals = final_scores(state, data, subset)
    cells = ood_scores(state, data, ood)
    clock.charge(None)
    peaks = np.array([[run.optimizer.params["lr"]] for run in cohort])
    return records_of(
        cohort,
        state,
        finals,
        cells,
        factors * peaks,
        num_steps=num_steps,
        environment=dict(environment or {})
        | {"data_fingerprint": data.fingerprint, "num_classes": data.num_classes},
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


def _schedule_factors(
    cohort: Sequence[RunConfig], num_steps: int, steps_per_epoch: int
) -> npt.NDArray[np.float64]:
    """Return the multiplier of the peak learning rate at every update, `[S, T]`."""
    rows = []
    for run in cohort:
        schedule = SCHEDULES.get(run.schedule.name)
        rows.append(schedule(num_steps, steps_per_epoch, **run.schedule.params))
    return np.stack(rows)


def _clean_subset(num_examples: int, size: int) -> Tensor:
    """Return the indices of the training images that are scored clean."""
    chosen = stream(0, "clean-subset").permutation(num_examples)[:size]
    return torch.from_numpy(np.sort(chosen))
