"""What every column of a published corpus means, and in what unit.

Cards and Croissant metadata take their descriptions from here. Names are exact or
follow a rule; a column outside both is an error, so that none is published undescribed.
"""

import re
from typing import Final, NamedTuple

ROWS_ARE: Final = {
    "runs": "a run: ids, settings, final scores, costs",
    "curves": "a signal of a run in a segment of it",
    "ood": "a run on one corruption and severity",
    "events": "something that happened in a run",
    "signals": "a signal: meaning, unit, price",
    "hidden_runs": "a hidden run in a window: what may be known of it",
    "hidden_curves": "a signal of a hidden run in a segment of it",
    "hidden_roles": "what a hidden run is in a task",
}
"""What a row of each table is."""


class Column(NamedTuple):
    """Description of a column."""

    meaning: str
    """What it holds, in one sentence without a full stop."""
    unit: str = ""
    """Unit such as "s" or "update", "1" for a pure number, "" for text and flags."""


def describe(table: str, column: str, *, imported: bool = False) -> Column:
    """Return the description of a column.

    Args:
        table: Name of a table, such as "runs" or "hidden_curves".
        column: Name of a column of it.
        imported: Whether the corpus holds runs of another program, whose settings may
            have any name.

    Raises:
        KeyError: No rule covers the column.

    Example:
        >>> describe("runs", "optimizer.lr").meaning
        'peak learning rate'
        >>> describe("runs", "cost.probe.hessian_s").unit
        's'
    """
    if table in EXACT and column in EXACT[table]:
        return EXACT[table][column]
    if table in ("runs", "hidden_runs"):
        for pattern, found in _RULES:
            if match := re.fullmatch(pattern, column):
                return Column(found.meaning.format(*match.groups()), found.unit)
        if imported:
            return Column(
                f"setting `{column}` of the imported run, as its source gives it"
            )
    raise KeyError(
        f"the column {column!r} of the table {table!r} is described nowhere: add it to "
        "harness/release/columns.py"
    )


_RUN: Final = Column("id of the run")
_STEPS: Final = Column(
    "updates completed when each value was measured, ascending; 0 is before the first",
    "update",
)
_VALUES: Final = Column(
    "value at each step; NaN was measured and is not finite, a step without a value "
    "was not measured",
    "that of the signal",
)
_SEGMENT: Final = Column(
    "part of the run: 0 to 5 for the steps up to 4, 10, 20, 30, 50 and 100 % of all"
)
_SIGNAL: Final = Column("name of the signal, explained in the table signals")
_WINDOW: Final = Column(
    "name of the window that the run is shown through, such as w20 for its first 20 %"
)
_CODE: Final = Column("random id of a hidden run, which is shown in one window only")

_RUNS: Final = {
    "run_id": Column("id of the run: digest of its complete configuration"),
    "trajectory_id": Column("id shared by runs that differ only in what is measured"),
    "family_id": Column("id shared by runs that differ only in seed and measurement"),
    "grids": Column("names of the grids that contain the run"),
    "status": Column("completed, diverged or failed"),
    "num_steps": Column("planned updates", "update"),
    "steps_per_epoch": Column("updates an epoch", "update"),
    "diverged_step": Column(
        "first update whose loss or gradient was not finite, or whose loss stayed far "
        "above chance; null for a run that did not diverge",
        "update",
    ),
    "batch_size": Column("images a training step", "image"),
    "epochs": Column("passes over the training set", "epoch"),
    "seed": Column("names every random stream of the run"),
    "precision": Column("arithmetic of the passes: float32 or bfloat16"),
    "probes": Column("probes with their arguments, as JSON"),
    "error": Column("traceback of a failed run"),
    "config_json": Column("complete configuration as JSON, enough to repeat the run"),
    "final.test_ece": Column(
        "expected calibration error on the test images at the end of the run", "1"
    ),
    "recording.evals_per_epoch": Column("evaluations an epoch", "1"),
    "recording.train_subset": Column(
        "clean training images scored at each evaluation, at most", "image"
    ),
    "recording.ood": Column("out-of-distribution sets with their arguments, as JSON"),
    "foreign.collection": Column("name of the corpus that the run was imported into"),
    "foreign.run": Column("id of the run as its source gives it"),
    "foreign.family": Column("family of the run as its source gives it"),
}
_COSTS: Final = {
    "cost.train_s": Column("time spent on training, a share of its cohort's", "s"),
    "cost.eval_s": Column("time spent on evaluations, a share of its cohort's", "s"),
    "cost.log_s": Column(
        "time spent on recording curves, a share of its cohort's", "s"
    ),
    "cost.compile_s": Column(
        "time until steps ran as they later do: kernels chosen, compiled and recorded, "
        "a share of its cohort's",
        "s",
    ),
    "cost.load_s": Column("time spent on loading data, a share of its cohort's", "s"),
    "cost.save_s": Column("time spent on checkpoints, a share of its cohort's", "s"),
    "cost.wait_s": Column("time charged to nothing else, a share of its cohort's", "s"),
    "cost.lost_s": Column(
        "time that earlier attempts spent after their last checkpoint, a share of its "
        "cohort's",
        "s",
    ),
    "cost.train_images": Column(
        "images passed forward and backward by training", "image"
    ),
    "cost.train_flops": Column(
        "floating-point operations of the products and convolutions of training, "
        "counted",
        "operation",
    ),
    "environment.runcast": Column("version of runcast"),
    "environment.commit": Column("commit of the code, if run from a checkout"),
    "environment.python": Column("version of Python"),
    "environment.torch": Column("version of PyTorch"),
    "environment.device": Column("processor: cpu, or the name of the GPU"),
    "environment.execution": Column(
        "how steps were run: eager, graph (CUDA graphs) or compiled"
    ),
    "environment.deterministic": Column(
        "whether a GPU was held to kernels that give the same bits every time"
    ),
    "environment.matmul_flops_per_s": Column(
        "speed of a square matrix product on the device, measured", "operation/s"
    ),
    "environment.threads": Column("processor threads used", "1"),
    "environment.machine": Column("instruction set, such as x86_64"),
    "environment.cpu_capability": Column(
        "vector instructions that torch used on the processor, such as AVX512"
    ),
    "environment.earlier_attempts": Column(
        "times that work on its cohort was begun before", "1"
    ),
    "environment.data_fingerprint": Column("digest of the decoded data set"),
    "environment.num_classes": Column("classes of the data set", "1"),
    "environment.packing": Column("runs trained side by side in its cohort", "1"),
}
_DATA: Final = {
    "dataset.name": Column("registered name of the data set"),
    "dataset.data_seed": Column("names the draw of generated points"),
    "dataset.depth": Column("refinements of the Koch snowflake", "1"),
    "dataset.factor": Column("radius of the inner circle over that of the outer", "1"),
    "dataset.margin": Column("pixels trimmed on each side before scaling", "pixel"),
    "dataset.noise": Column("standard deviation of the noise on generated points", "1"),
    "dataset.resolution": Column("height and width of an image", "pixel"),
    "dataset.subset": Column("training examples kept; null for all", "example"),
    "dataset.test_size": Column("test examples; null for all", "example"),
    "dataset.train_size": Column(
        "training examples, before a subset is taken", "example"
    ),
    "dataset.validation_size": Column("validation examples", "example"),
    "augmentation.name": Column("registered name of the augmentation, or none"),
    "augmentation.flip": Column("whether half of the images are mirrored"),
    "augmentation.magnitude": Column("strength of the operations, bin 0 to 30", "1"),
    "augmentation.num_ops": Column("random operations an image", "1"),
    "augmentation.pad": Column("zeros added on each side before the crop", "pixel"),
}
_MODEL: Final = {
    "model.name": Column("registered name of the model"),
    "model.activation": Column("activation function: relu, gelu, silu or tanh"),
    "model.depth": Column("layers, stages or blocks, as the architecture counts", "1"),
    "model.dim": Column("numbers a token of a transformer", "1"),
    "model.dropout": Column("probability of dropping an activation", "1"),
    "model.heads": Column("attention heads a block", "1"),
    "model.logit_scale": Column("factor of the network's last output", "1"),
    "model.norm": Column("normalisation: batch, group, layer or none"),
    "model.patch": Column("side of a patch of a transformer", "pixel"),
    "model.skip": Column("whether the network has shortcuts"),
    "model.widen": Column("multiplier of the channels of a wide ResNet", "1"),
    "model.width": Column(
        "hidden units of a perceptron; elsewhere a multiplier of the channels", "1"
    ),
}
_TRAINING: Final = {
    "objective.name": Column("registered name of the training loss"),
    "objective.label_smoothing": Column("weight of the uniform target", "1"),
    "optimizer.name": Column("registered name of the optimizer"),
    "optimizer.lr": Column("peak learning rate", "1"),
    "optimizer.beta1": Column("decay of the mean gradient (Lion: its weight)", "1"),
    "optimizer.beta2": Column(
        "decay of the mean squared gradient (Lion: of the momentum)", "1"
    ),
    "optimizer.eps": Column("added to the root of the mean squared gradient", "1"),
    "optimizer.l2": Column("penalty: added to the gradient, times the weights", "1"),
    "optimizer.momentum": Column("momentum of stochastic gradient descent", "1"),
    "optimizer.nesterov": Column("whether the momentum looks ahead"),
    "optimizer.weight_decay": Column(
        "decoupled weight decay, multiplied by the learning rate in force", "1"
    ),
    "regularizer.name": Column("penalty beside the loss, or none"),
    "controller.name": Column("what may change the run while it trains, or none"),
    "schedule.name": Column("registered name of the learning-rate schedule"),
    "schedule.cooldown_frac": Column("share of the run in which the rate falls", "1"),
    "schedule.factor": Column("multiplier of the rate at each milestone", "1"),
    "schedule.milestones": Column("shares of the run where the rate is cut, as JSON"),
    "schedule.warmup_epochs": Column("epochs in which the rate rises", "epoch"),
}
_SIGNALS: Final = {
    "name": Column("value of the column signal in curves"),
    "meaning": Column("what is measured"),
    "unit": Column("unit of the values"),
    "range": Column("smallest and largest possible value, as an interval"),
    "probe": Column("what records it: train, evaluate or the name of a probe"),
    "citation": Column("source of the definition"),
    "estimator_version": Column("raised when a name starts to mean another number"),
    "params_json": Column("arguments of the probe, as JSON"),
    "forward_passes": Column("forward passes over its images for one value", "1"),
    "backward_passes": Column("backward passes over its images for one value", "1"),
    "probe_seconds_per_run": Column("time of its probe, mean over runs", "s"),
    "probe_forward_images_per_run": Column(
        "images its probe passed forward, mean over runs", "image"
    ),
    "probe_backward_images_per_run": Column(
        "images its probe passed backward, mean over runs", "image"
    ),
    "probe_share_of_train_seconds": Column(
        "time of its probe as a share of the time of training", "1"
    ),
    "probe_share_of_train_passes": Column(
        "passes of its probe as a share of those of training, a backward pass counted "
        "as two forward ones",
        "1",
    ),
}

_CONFIGURED: Final = {**_RUNS, **_COSTS, **_DATA, **_MODEL, **_TRAINING}
_CURVES: Final = {
    "run_id": _RUN,
    "segment": _SEGMENT,
    "signal": _SIGNAL,
    "steps": _STEPS,
    "values": _VALUES,
}

EXACT: Final[dict[str, dict[str, Column]]] = {
    "runs": _CONFIGURED,
    "curves": _CURVES,
    "ood": {
        "run_id": _RUN,
        "set": Column("name of the out-of-distribution set"),
        "corruption": Column("name of the corruption, none for a natural shift"),
        "severity": Column("1 (mild) to 5 (strong), 0 for a natural shift", "1"),
        "correct": Column("images classified correctly", "image"),
        "n": Column("images", "image"),
        "loss": Column("mean cross-entropy; null for a diverged run", "nat"),
    },
    "events": {
        "run_id": _RUN,
        "step": Column("updates completed", "update"),
        "kind": Column("what happened, such as diverged or no_value"),
        "detail_json": Column("particulars, as JSON"),
    },
    "signals": _SIGNALS,
    "hidden_runs": {**_CONFIGURED, "window": _WINDOW, "run_id": _CODE},
    "hidden_curves": {**_CURVES, "run_id": _CODE},
    "hidden_roles": {
        "task": Column("name of the task"),
        "version": Column("version of the task"),
        "window": _WINDOW,
        "run_id": Column("id of a public run, or random id of a hidden one"),
        "role": Column("train: to be learnt from; test: to be predicted"),
    },
}
"""Columns whose names are known, by table."""

_SPLIT: Final = "(test|validation|train)"
_PART: Final = (
    "(dataset|augmentation|model|objective|optimizer|schedule|regularizer|controller)"
)
_RULES: Final = (
    (
        rf"final\.{_SPLIT}_correct",
        Column("{0} images classified correctly at the end of the run", "image"),
    ),
    (rf"final\.{_SPLIT}_n", Column("{0} images scored", "image")),
    (
        rf"final\.{_SPLIT}_loss",
        Column("mean {0} cross-entropy at the end; null if diverged", "nat"),
    ),
    (
        rf"final\.{_SPLIT}_accuracy",
        Column("share of {0} images classified correctly at the end of the run", "1"),
    ),
    (
        r"ood\.(.+)_accuracy",
        Column("mean accuracy over the cells of the shifted set {0}", "1"),
    ),
    (r"cost\.probe\.(.+)_s", Column("time of the probe {0}", "s")),
    (
        r"cost\.probe\.(.+)_(forward|backward)_images",
        Column("images that the probe {0} passed {1}", "image"),
    ),
    (rf"{_PART}\.(.+)", Column("argument `{1}` of the {0}")),
    (r"recording\.(.+)", Column("argument `{0}` of the recording")),
    (
        r"final\.(.+)",
        Column("score `{0}` at the end of the run, as its source gives it"),
    ),
    (r"ood\.(.+)", Column("score `{0}` on shifted data, as its source gives it")),
    (r"cost\.(.+)_s", Column("time spent on `{0}`", "s")),
    (r"cost\.(.+)", Column("cost `{0}`, as its source gives it")),
    (r"environment\.(.+)", Column("`{0}` of the environment that the run trained in")),
    (r"foreign\.(.+)", Column("`{0}` of the run, as its source gives it")),
)
"""Patterns of names of columns of runs and what they mean; the first match counts."""
