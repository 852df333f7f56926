"""What a corpus does not tell, and which questions it therefore does not answer."""

from collections.abc import Callable
from typing import Final, NamedTuple

import polars as pl

from harness.corpus import Corpus
from harness.foreign import IMPORTED, PARTS, SEED, UNKNOWN
from harness.schema import RUNS, SIGNALS


class Missing(NamedTuple):
    """Something that no run, or not every run, of a corpus has."""

    what: str
    """One of `WHATS`."""
    why: str
    """How many runs have it, in a sentence."""
    consequence: str
    """What cannot be asked or answered without."""
    runs: int
    """Runs that have it; 0: none."""


WHATS: Final = {
    "final_test_accuracy": "how accurate a run ends, which of two runs ends better",
    "final_test_loss": "the test loss at the end",
    "ood_accuracy": "how accurate a run ends on shifted data",
    "divergence": "whether a run will diverge: all that is known ended alike",
    "train_loss": "training curves: signals, laws and baselines that begin with them",
    "every_update": "laws and sums over the training loss: they need it at every "
    "update (import with --step-scale to count in intervals of logging)",
    "validation_curve": "validation curves, and when one is at its best",
    "lr_curve": "laws that see the learning rate, such as the multi-power law; whether "
    "a knee is the schedule's",
    "grad_norm": "signals of the gradient norm",
    "probes": "curvature, plateau and gradient noise as predictors",
    "configuration": "predictors and controls that see hyper-parameters",
    "data_and_model": "questions across data sets or architectures",
    "replicates": "the noise between seeds, so no ceiling of a score is known; every "
    "run counts as a family of its own",
    "steps_per_epoch": "anything in epochs: an epoch is one step",
    "costs": "the price of signals in seconds; the observed share of a run is known",
}
"""What may be missing, and what cannot be asked without."""


def missing(corpus: Corpus) -> list[Missing]:
    """Return what is missing in a corpus, in the order of `WHATS`.

    What only some runs have is in it too, with their number; failed runs do not count.
    Of replicates, runs are those that have another run in their family.

    Cost: reads the table of runs and the steps, not the values, of the curves.

    Example:
        A corpus of `harness generate` without probes lacks "probes" alone, if some of
        its runs diverged and it has seeds.
    """
    runs = corpus.runs().filter(pl.col("status") != "failed")
    lengths = runs.select("run_id", "num_steps", "diverged_step")
    curves = curve_sizes(corpus).join(lengths, on="run_id")
    found = {what: count(corpus, runs, curves) for what, count in _COUNTS.items()}
    return [
        Missing(what, _why(count, len(runs)), WHATS[what], count)
        for what, count in found.items()
        if not count or (count < len(runs) and what != "divergence")
    ]


def _why(count: int, total: int) -> str:
    if count == 0:
        return f"none of {total:,} runs has it"
    return f"{count:,} of {total:,} runs have it"


def curve_sizes(corpus: Corpus) -> pl.DataFrame:
    """Return a row a run and signal: n, how many values, and last, the last step."""
    files = [n for n in corpus.manifest["files"] if n.startswith("curves/")]
    rows = pl.scan_parquet([corpus.path(name) for name in files], glob=False)
    steps = pl.col("steps").list
    return (
        rows.select("run_id", "signal", n=steps.len(), last=steps.last())
        .group_by("run_id", "signal")
        .agg(pl.col("n").sum(), pl.col("last").max())
        .collect()
    )


Count = Callable[[Corpus, pl.DataFrame, pl.DataFrame], int]


def _having(*names: str) -> Count:
    """Return what counts the runs that have one of some columns."""

    def count(_: Corpus, runs: pl.DataFrame, __: pl.DataFrame) -> int:
        known = [pl.col(name).is_not_null() for name in names if name in runs.columns]
        return int(runs.select(pl.any_horizontal(known).sum()).item()) if known else 0

    return count


def _recorded(*signals: str) -> Count:
    """Return what counts the runs that have a curve of one of some signals."""

    def count(_: Corpus, __: pl.DataFrame, curves: pl.DataFrame) -> int:
        return curves.filter(pl.col("signal").is_in(signals))["run_id"].n_unique()

    return count


def _ood(corpus: Corpus, runs: pl.DataFrame, curves: pl.DataFrame) -> int:
    names = [c for c in runs.columns if c.startswith("ood.")]
    return _having(*names)(corpus, runs, curves)


def _final_loss(corpus: Corpus, runs: pl.DataFrame, curves: pl.DataFrame) -> int:
    """Count the runs with a test loss; a diverged run needs none if some run has it."""
    done = runs.filter(pl.col("status") != "diverged")
    count = _having("final.test_loss")(corpus, done, curves)
    return count + len(runs) - len(done) if count else 0


def _diverged(_: Corpus, runs: pl.DataFrame, __: pl.DataFrame) -> int:
    return int((runs["status"] == "diverged").sum())


def _every_update(_: Corpus, __: pl.DataFrame, curves: pl.DataFrame) -> int:
    """Count the runs with a training loss at each update, up to their divergence."""
    end = pl.coalesce(
        pl.min_horizontal(pl.col("diverged_step") - 1, "num_steps"), "num_steps"
    )
    loss = curves.filter(pl.col("signal") == "train_loss")
    return len(loss.filter((pl.col("n") >= end) & (pl.col("last") >= end)))


def _probed(corpus: Corpus, _: pl.DataFrame, curves: pl.DataFrame) -> int:
    dictionary = corpus.signals().filter(pl.col("probe") != IMPORTED)["name"]
    probed = set(dictionary) - {signal.name for signal in SIGNALS}
    return curves.filter(pl.col("signal").is_in(list(probed)))["run_id"].n_unique()


def _configured(_: Corpus, runs: pl.DataFrame, __: pl.DataFrame) -> int:
    told = [c for c in runs.columns if is_setting(c)]
    if not told:
        return 0
    known = [
        pl.col(c).is_not_null()
        & (pl.col(c).cast(pl.String) != UNKNOWN if c in PARTS else True)
        for c in told
    ]
    return int(runs.select(pl.any_horizontal(known).sum()).item())


def is_setting(column: str) -> bool:
    """Tell whether a column of the table `runs` is configuration, known before."""
    prefixes = ("final.", "ood.", "cost.", "environment.", "foreign.")
    other = (*RUNS.names, SEED, "probes")
    return column not in other and not column.startswith(prefixes)


def _identified(_: Corpus, runs: pl.DataFrame, __: pl.DataFrame) -> int:
    if runs.is_empty():  # a corpus without runs has no such columns
        return 0
    known = [pl.col(name) != UNKNOWN for name in ("dataset.name", "model.name")]
    return int(runs.select(pl.all_horizontal(known).sum()).item())


def _replicated(_: Corpus, runs: pl.DataFrame, __: pl.DataFrame) -> int:
    return int(runs["family_id"].is_duplicated().sum())


def _epochs(corpus: Corpus, runs: pl.DataFrame, __: pl.DataFrame) -> int:
    origin = corpus.manifest.get("origin")
    if origin is None or origin["steps_per_epoch"] is not None:
        return len(runs)
    return int((runs["steps_per_epoch"] > 1).sum())


_COUNTS: Final[dict[str, Count]] = {
    "final_test_accuracy": _having("final.test_accuracy"),
    "final_test_loss": _final_loss,
    "ood_accuracy": _ood,
    "divergence": _diverged,
    "train_loss": _recorded("train_loss"),
    "every_update": _every_update,
    "validation_curve": _recorded("val_loss", "val_accuracy"),
    "lr_curve": _recorded("lr"),
    "grad_norm": _recorded("grad_norm"),
    "probes": _probed,
    "configuration": _configured,
    "data_and_model": _identified,
    "replicates": _replicated,
    "steps_per_epoch": _epochs,
    "costs": _having("cost.train_s"),
}
