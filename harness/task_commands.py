"""Commands on prediction tasks: `harness tasks`, `predict`, `score`, `reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.console import EXIT_FAILED, EXIT_USAGE, Json, answer, fail, say, usage

TASKS_EPILOG = "Example: harness tasks --corpus corpora/t4-digits"
PREDICT_EPILOG = (
    "Example: harness predict --corpus corpora/t4-digits --predictor mine:Shifted "
    "--out mine --task final-acc/w20. Your code runs as it is: on your own machine "
    "only run code that you trust."
)
SCORE_EPILOG = "Example: harness score mine --corpus corpora/t4-digits"
REPRODUCE_EPILOG = (
    "Example: harness reproduce --corpus corpora/t4-digits --out scores/t4-digits"
)

CorpusOption = Annotated[Path, typer.Option("--corpus", help="Corpus folder.")]
TaskOption = Annotated[
    list[str] | None,
    typer.Option("--task", help="Only this task; repeatable (default: all)."),
]
Resamples = Annotated[
    int, typer.Option(min=1, help="Resamples of families behind each interval.")
]


def tasks(
    corpus: Annotated[
        Path | None,
        typer.Option(help="Corpus folder: adds its runs, ceilings and what it lacks."),
    ] = None,
    task: TaskOption = None,
    as_json: Json = False,
) -> None:
    """List the prediction tasks; with a corpus, those that can be asked of it."""
    from harness.corpus import Corpus
    from tasks.listing import list_tasks, tasks_text

    opened = None if corpus is None else Corpus.open(corpus)
    with usage():
        rows = list_tasks(opened, task)
    answer(rows, tasks_text(rows), as_json)


def predict(
    corpus: CorpusOption,
    predictor: Annotated[
        str,
        typer.Option(
            help="Registered name, or module:attribute of a class with fit and "
            "predict or of a scikit-learn estimator."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Submission folder, made or added to.")],
    task: TaskOption = None,
    argument: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE, an argument; repeatable."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What tables call it (default: the predictor's name)."),
    ] = None,
    public: Annotated[
        bool,
        typer.Option(
            "--public",
            help="Of a blind corpus: cross-validate on its public runs (default: "
            "answer for its hidden runs).",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Let a predictor answer the tasks of a corpus; writes a submission folder."""
    from tasks import commands

    with usage():
        request = commands.PredictRequest(
            corpus=corpus,
            part=commands.predictor_part(predictor, argument or ()),
            out=out,
            tasks=task,
            name=name or predictor,
            public=public,
        )
        if ":" in predictor:
            say(f"{predictor} runs as you, with all that you may do: know whose it is")
        done = commands.predict(request, say=say)
    answer(done, commands.predict_text(done), as_json)
    if done["failed"]:
        raise typer.Exit(EXIT_FAILED)


def score(
    submission: Annotated[
        Path, typer.Argument(metavar="SUBMISSION", help="Folder of `harness predict`.")
    ],
    corpus: CorpusOption,
    task: TaskOption = None,
    targets: Annotated[
        Path | None, typer.Option(help="Private folder of a blind corpus's targets.")
    ] = None,
    resamples: Resamples = 1000,
    out: Annotated[
        Path | None, typer.Option(help="Write all scores: .parquet or .csv.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a submission against the truth in a corpus, with intervals."""
    from tasks import commands
    from tasks.report import score_text

    if out is not None and out.suffix not in (".parquet", ".csv"):
        fail(f"--out is {out}, expected a file ending in .parquet or .csv", EXIT_USAGE)
    with usage():
        rows = commands.score(
            submission, corpus, tasks=task, targets=targets, resamples=resamples
        )
    answer(rows.to_dicts(), score_text(rows), as_json)
    if out is not None:
        commands.write_scores(out, rows)
        say(f"scores: {out}")


def reproduce(
    corpus: CorpusOption,
    out: Annotated[
        Path, typer.Option(help="Folder for predictions, scores, tables, figures.")
    ],
    task: TaskOption = None,
    predictor: Annotated[
        list[str] | None,
        typer.Option(help="Only this predictor; repeatable (default: all baselines)."),
    ] = None,
    resamples: Resamples = 1000,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: cores).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run every baseline on every task of a corpus: predictions, scores, figures."""
    from tasks.report import score_text
    from tasks.reproduce import Request, reproduce, summary

    with usage():
        request = Request(
            corpus=corpus,
            out=out,
            tasks=task,
            predictors=predictor,
            resamples=resamples,
            jobs=jobs,
        )
        done = reproduce(request, say=say)
    text = f"{score_text(done.scores)}\n\n{summary(done)}"
    answer(done.to_json(), text, as_json)
    if done.failed:
        raise typer.Exit(EXIT_FAILED)
