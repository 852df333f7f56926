"""What scoring takes: all tasks of a real corpus, and tables of up to 100,000 runs.

One submission is one predictor on every task that the corpus can be asked, scored with
the reference, 1,000 resamples, ceilings, tests, costs and incremental skill: at most
2 s of one core for 432 runs. Scoring must grow linearly with the runs, but for
logarithms. Processor time of one thread; reading, asking and answering are not in it.
Floor: what any bootstrap of families does, drawing them and one product with weights.

    benchmarks/bench_scoring.py CORPUS       # default: corpora/t4-digits
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.errors import DataError
from harness.executors.local import cpu_environment
from harness.spec import Part
from tasks.answering import answer, quantile_name
from tasks.availability import unavailable
from tasks.base import TASKS, Task, Visibility
from tasks.evaluate import evaluate
from tasks.prediction import Charge
from tasks.question import Answers, ask
from tasks.sealed import Entry, Sealed, judge, sealed
from tasks.statistics.bootstrap import cluster_bootstrap

ROUNDS = 3
RESAMPLES = 1000
REPLICATES = 3
FOLDS = 5
PREDICTORS = 17
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
TASK = Task(
    name="synthetic",
    version="1",
    question="How does it end?",
    kind="value",
    target=Part("column", {"name": "final.test_accuracy"}),
    visibility=Visibility(until=0.2),
    metrics=("mae", "rmse", "r2", "spearman", "kendall", "crps", "coverage"),
)


def seconds(action: Callable[[], object]) -> float:
    """Return the median processor seconds of an action."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return statistics.median(found)


def floor(num_runs: int) -> float:
    """Return the seconds of drawing families and one product with their weights."""
    losses = np.random.default_rng(0).random((2, num_runs))
    families = np.arange(num_runs) // REPLICATES

    def mean(weights: np.ndarray) -> np.ndarray:
        return np.asarray(losses @ weights)

    return seconds(lambda: cluster_bootstrap(mean, families, resamples=RESAMPLES))


def asked(corpus: Corpus) -> dict[str, Sealed]:
    """Return every task that the corpus can be asked, with the median's answers."""
    found = {}
    for name in TASKS.names():
        task = TASKS.get(name)()
        if unavailable(task, corpus):
            continue
        try:
            question, answers = ask(corpus, task)
        except DataError:
            continue
        reference = answer(question, Part("median"))
        found[name] = sealed(corpus, question, answers, reference)
    return found


def noisy(found: Sealed, number: int) -> Entry:
    """Return the reference's answers, disturbed: a predictor that knows a little."""
    random = np.random.default_rng(number)
    table = found.reference
    change = pl.Series(np.exp(0.05 * random.normal(size=len(table))))
    columns = [name for name in table.columns if name not in ("id", "epoch", "reason")]
    scaled = table.with_columns(pl.col(columns) * change)
    if found.task.kind == "probability":
        scaled = scaled.with_columns(pl.col(columns).clip(0, 1))
    return Entry(table=scaled, charge=Charge(signals=None, settings=True))


def submissions(corpus: Corpus) -> None:
    """Print what a submission, and many predictors together, take by task."""
    tasks = asked(corpus)
    alone, together, floors = {}, {}, {}
    for name, found in tasks.items():
        entries = {f"p{i}": noisy(found, i) for i in range(PREDICTORS - 1)}
        judge(found, {"p0": entries["p0"]}, resamples=RESAMPLES)  # warm
        one = {"p0": entries["p0"]}
        alone[name] = seconds(partial(judge, found, one, resamples=RESAMPLES))
        together[name] = seconds(partial(judge, found, entries, resamples=RESAMPLES))
        floors[name] = floor(len(found.answers.ids))
        print(
            f"{name:32s} {len(found.answers.ids):5d} runs  1 + reference "
            f"{alone[name]:6.3f} s  {PREDICTORS} {together[name]:6.3f} s  "
            f"floor {floors[name]:6.3f} s"
        )
    print(
        f"{'one submission':32s} {len(tasks):5d} tasks {sum(alone.values()):16.3f} s  "
        f"{PREDICTORS} {sum(together.values()):6.3f} s  "
        f"floor {sum(floors.values()):6.3f} s"
    )


def synthetic(num_runs: int) -> tuple[Answers, dict[str, pl.DataFrame], np.ndarray]:
    """Return truth, tables of a predictor and the reference, and controls."""
    random = np.random.default_rng(0)
    ids = [f"e-{i:07}" for i in range(num_runs)]
    families = np.arange(num_runs) // REPLICATES
    mean = random.normal(size=families[-1] + 1)[families]
    truth = mean + 0.3 * random.normal(size=num_runs)
    answers = Answers(
        ids=tuple(ids),
        run_ids=tuple(ids),
        families=tuple(families.astype(str)),
        values=truth,
        curves=(),
        context={},
        runs=pl.DataFrame(
            {
                "num_steps": np.full(num_runs, 100),
                "batch_size": 32,
                "fold": families % FOLDS,
            }
        ),
        replicated=pl.DataFrame({"family_id": families.astype(str), "value": truth}),
    )
    tables = {}
    for name, said in (
        ("median", np.zeros(num_runs)),
        ("p0", truth + 0.4 * random.normal(size=num_runs)),
    ):
        quantiles = {
            quantile_name(level): said + 2 * level - 1 for level in TASK.levels
        }
        table = {"id": ids, "prediction": said, **quantiles}
        empty = pl.lit(None, pl.String)
        tables[name] = pl.DataFrame(table).with_columns(reason=empty)
    controls = np.column_stack([mean, random.normal(size=(num_runs, 19))])
    return answers, tables, controls


def growth() -> None:
    """Print what a submission to one task takes as the corpus grows."""
    for num_runs in SIZES:
        answers, tables, controls = synthetic(num_runs)
        scored = partial(evaluate, TASK, answers, tables, controls=controls)
        took = seconds(partial(scored, corpus="", corpus_sha256=""))
        least = floor(num_runs)
        print(
            f"{num_runs:7d} runs  {took:8.3f} s  {1e6 * took / num_runs:7.1f} us a run"
            f"  {took / least:5.1f} floors",
            flush=True,
        )


def main() -> None:
    """Print the tables."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "corpora/t4-digits")
    print(f"load {os.getloadavg()[0]:.1f}; {RESAMPLES} resamples")
    if folder.is_dir():
        submissions(Corpus.open(folder))
    else:
        print(f"{folder} is no corpus: hand one over for the table of its tasks")
    print(f"one task, {len(TASK.metrics)} metrics, 20 controls, 1 + reference")
    growth()


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | cpu_environment(1)
        )
    main()
