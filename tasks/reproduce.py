"""Every baseline on every task of a corpus: predictions, scores, tables, figures.

predictions/<task>.parquet   predictor, id, prediction, q0.05 ..., reason
scores.parquet               a row a task, predictor and metric
scores.md                    the main ones, to be read
pairs.parquet                a row a task and pair of predictors: how they differ
showdown.csv                 signals against the end of the run (task 8)
reproduce.json               what could not be asked and why; canaries; versions
figures/*.png
"""

import contextlib
import functools
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from harness import __version__
from harness.corpus import Corpus
from harness.errors import PredictorError
from harness.spec import Part
from harness.storage import replacing, write_parquet, write_text
from tasks.answering import Answered, answer
from tasks.availability import unavailable
from tasks.base import TASKS
from tasks.canary import FIRES, canary
from tasks.figures import cost_figure, skill_figure, task_figure
from tasks.pairwise import pairwise
from tasks.prediction import PREDICTORS
from tasks.question import ask
from tasks.report import score_markdown
from tasks.sealed import Entry, judge, sealed
from tasks.showdown.table import showdown
from tasks.showdown.view import showdown_figure, showdown_text

THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
"""Environment variables by which libraries are told how many threads to use."""
SHOWDOWN: Final = "noise-showdown"
"""Name under which the analysis is run among the tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for."""

    corpus: Path
    """Corpus folder."""
    out: Path
    """Folder for the results; files of the same names are replaced."""
    tasks: Sequence[str] | None = None
    """Names of tasks; None: all, and the showdown."""
    predictors: Sequence[str] | None = None
    """Registered names or `module:attribute`; None: all registered ones."""
    resamples: int = 1000
    """Resamples behind each interval."""
    seed: int = 0
    """Names the draws."""
    jobs: int | None = None
    """Processes; None: one a core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What one task gave."""

    task: str
    """Its name."""
    unavailable: str | None = None
    """Why it cannot be asked of the corpus."""
    scores: pl.DataFrame | None = None
    """Rows of `tasks.evaluate`; of the showdown, its table."""
    pairs: pl.DataFrame | None = None
    """Rows of `tasks.pairwise`."""
    predictions: pl.DataFrame | None = None
    """All predictors' answers."""
    canary_p: float | None = None
    """Probability that names and order tell as much by chance."""
    failed: tuple[str, ...] = ()
    """Messages of predictors that crashed."""
    seconds: float = 0.0
    """What it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What all tasks gave."""

    corpus: str
    """Name of the corpus."""
    scores: pl.DataFrame
    """All rows, tasks in order of their names."""
    results: tuple[TaskResult, ...]
    """A result a task."""
    seconds: float
    """What it took."""
    files: list[str] = field(default_factory=list)
    """What was written, relative to the folder."""

    @property
    def failed(self) -> list[str]:
        """Messages of predictors that crashed."""
        return [message for result in self.results for message in result.failed]

    def to_json(self) -> dict[str, Any]:
        """Return what `reproduce.json` holds."""
        return {
            "corpus": self.corpus,
            "runcast": __version__,
            "seconds": round(self.seconds, 1),
            "unavailable": {
                r.task: r.unavailable for r in self.results if r.unavailable
            },
            "canary_p": {
                r.task: r.canary_p for r in self.results if r.canary_p is not None
            },
            "seconds_by_task": {r.task: round(r.seconds, 2) for r in self.results},
            "failed": self.failed,
            "files": self.files,
        }


def reproduce(
    request: Request, say: Callable[[str], None] = lambda _: None
) -> Reproduction:
    """Run predictors on tasks and write everything below `request.out`.

    Results do not depend on the number of processes. A task's predictions are written
    as soon as it is done.

    Args:
        request: What is asked for.
        say: Is told a line of progress after every task.

    Raises:
        CorpusError: The folder is no finished corpus.
        KeyError: No task or predictor is called so.
    """
    started = time.perf_counter()
    corpus = Corpus.open(request.corpus)
    names = _ordered(request)
    predictors = request.predictors or PREDICTORS.names()
    for predictor in predictors:
        PREDICTORS.get(predictor)
    jobs = min(request.jobs or os.cpu_count() or 1, len(names))
    results = []
    for result in _results(request, names, tuple(predictors), jobs, say):
        results.append(result)
        _write_task(request.out, result)
        say(_progress(result, len(results), len(names), started))
    results.sort(key=lambda result: result.task)
    scores = [r.scores for r in results if r.scores is not None and r.task != SHOWDOWN]
    done = Reproduction(
        corpus=corpus.name,
        scores=pl.concat(scores) if scores else pl.DataFrame(),
        results=tuple(results),
        seconds=time.perf_counter() - started,
    )
    done.files.extend(_write_all(request.out, done))
    write_text(request.out / "reproduce.json", json.dumps(done.to_json(), indent=1))
    return done


def _results(
    request: Request,
    names: Sequence[str],
    predictors: tuple[str, ...],
    jobs: int,
    say: Callable[[str], None],
) -> Iterator[TaskResult]:
    """Yield what the tasks give as they are done.

    An interruption lets the tasks that run come to their end and begins no other.
    """
    if jobs == 1:
        for name in names:
            yield run_task(request.corpus, name, predictors, request)
        return
    # no fork: polars and BLAS have threads
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        with _workers_start():
            running = [
                pool.submit(run_task, request.corpus, name, predictors, request)
                for name in names
            ]
        try:
            for future in as_completed(running):
                yield future.result()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            say("stopping: running tasks come to their end; what is done is kept")
            raise


@contextlib.contextmanager
def _workers_start() -> Iterator[None]:
    """Let processes that start have one thread each, and not hear of interruptions.

    They share the cores; and what ignores a signal when it starts another program hands
    that on, so that Ctrl-C reaches this process alone.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_task(
    folder: Path, name: str, predictors: Sequence[str], request: Request
) -> TaskResult:
    """Return what one task gives: ask, answer, score."""
    started = time.perf_counter()
    corpus = _opened(folder)
    if name == SHOWDOWN:
        table = showdown(corpus, resamples=request.resamples, seed=request.seed)
        spent = time.perf_counter() - started
        return TaskResult(task=name, scores=table, seconds=spent)
    task = TASKS.get(name)()
    why = unavailable(task, corpus)
    if why is not None:
        return TaskResult(task=name, unavailable=why)
    question, answers = ask(corpus, task)
    answered: dict[str, Answered] = {}
    failed = []
    for predictor in dict.fromkeys([task.reference, *predictors]):
        try:
            answered[predictor] = answer(question, Part(predictor))
        except PredictorError as error:
            failed.append(str(error))
    if task.reference not in answered:
        return TaskResult(task=name, failed=tuple(failed))
    truth = sealed(corpus, question, answers, answered[task.reference])
    entries = {
        predictor: Entry(table=found.table, charge=found.charge)
        for predictor, found in answered.items()
    }
    draws = {"resamples": request.resamples, "seed": request.seed}
    rows = judge(truth, entries, **draws)
    pairs = pairwise(truth, entries, **draws)
    tables = [
        found.table.insert_column(0, pl.lit(predictor).alias("predictor"))
        for predictor, found in answered.items()
    ]
    return TaskResult(
        task=name,
        scores=rows,
        pairs=pairs,
        predictions=pl.concat(tables, how="diagonal"),
        canary_p=canary(question, answers, seed=request.seed).p,
        failed=tuple(failed),
        seconds=time.perf_counter() - started,
    )


def summary(done: Reproduction) -> str:
    """Return what was not asked and why, and where the canaries stand."""
    lines = [
        f"{r.task}: not asked: {r.unavailable}" for r in done.results if r.unavailable
    ]
    suspects = [
        f"{r.task}: names or order foretell the target (p = {r.canary_p:.3f})"
        for r in done.results
        if r.canary_p is not None and r.canary_p <= FIRES
    ]
    tried = sum(r.canary_p is not None for r in done.results)
    lines += suspects or [f"canary: names and order foretell nothing, {tried} tasks"]
    lines += done.failed
    lines.append(f"{len(done.scores):,} scores in {done.seconds:.0f} s")
    return "\n".join(lines)


@functools.lru_cache(maxsize=1)
def _opened(folder: Path) -> Corpus:
    """Return the corpus, opened once a process."""
    return Corpus.open(folder)


def _ordered(request: Request) -> list[str]:
    """Return the names of what is run; long windows, which take longest, first."""
    if request.tasks is not None:
        names = list(dict.fromkeys(request.tasks))
        for name in names:
            if name != SHOWDOWN:
                TASKS.get(name)
        return names
    until = {name: TASKS.get(name)().visibility.until for name in TASKS.names()}
    return [SHOWDOWN, *sorted(until, key=lambda name: (-until[name], name))]


def _progress(result: TaskResult, done: int, total: int, started: float) -> str:
    spent = time.perf_counter() - started
    left = spent / done * (total - done)
    what = "cannot be asked" if result.unavailable else f"{result.seconds:.1f} s"
    return f"{done}/{total} {result.task}: {what}; about {left:.0f} s left"


def _write_task(out: Path, result: TaskResult) -> None:
    if result.predictions is None:
        return
    *folders, last = result.task.split("/")
    path = out.joinpath("predictions", *folders, f"{last}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write_parquet(temporary, result.predictions.to_arrow())


def _write_all(out: Path, done: Reproduction) -> Iterator[str]:
    """Write scores, tables and figures; yield their names."""
    if len(done.scores):
        with replacing(out / "scores.parquet") as temporary:
            write_parquet(temporary, done.scores.to_arrow())
        yield "scores.parquet"
        write_text(out / "scores.md", score_markdown(done.scores))
        yield "scores.md"
        pairs = pl.concat([r.pairs for r in done.results if r.pairs is not None])
        with replacing(out / "pairs.parquet") as temporary:
            write_parquet(temporary, pairs.to_arrow())
        yield "pairs.parquet"
    pictures = _pictures(done)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for name, draw in pictures.items():
        with replacing(out / "figures" / f"{name}.png") as temporary:
            draw().savefig(temporary, format="png")
        yield f"figures/{name}.png"
    for result in done.results:
        if result.task == SHOWDOWN and result.scores is not None:
            with replacing(out / "showdown.csv") as temporary:
                result.scores.write_csv(temporary)
            yield "showdown.csv"
            write_text(out / "showdown.txt", showdown_text(result.scores) + "\n")
            yield "showdown.txt"


def _pictures(done: Reproduction) -> dict[str, Callable[[], Any]]:
    """Return what draws each figure, by its name."""
    scores = done.scores
    pictures: dict[str, Callable[[], Any]] = {}
    for result in done.results:
        if result.task == SHOWDOWN and result.scores is not None:
            pictures["showdown"] = functools.partial(showdown_figure, result.scores)
        elif result.scores is not None and len(result.scores):
            pictures[result.task.replace("/", "-")] = functools.partial(
                task_figure, scores, result.task
            )
    if len(scores):
        pictures["skill"] = functools.partial(skill_figure, scores)
        windows = sorted(
            t for t in scores["task"].unique() if t.startswith("final-acc/")
        )
        if windows:
            pictures["cost"] = functools.partial(cost_figure, scores, windows)
    return pictures
