"""Commands on curves that other programs wrote: `harness fit` and `harness import`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.console import Json, answer, usage

FIT_EPILOG = (
    "Example: harness fit multi-power --train A.csv B.csv --test C.csv --json. "
    "The protocol of arXiv 2503.12811, whose files count updates from 0 and begin "
    "after the warm-up: --warmup-steps 2160 --first-step 0. With --params, a file such "
    'as {"law": "power", "parameters": {"alpha": 0.5, "log_c": 0.7}}, nothing is '
    "fitted."
)
IMPORT_EPILOG = "Example: harness import runs.csv --format long --out c"


def fit(
    law: Annotated[
        str,
        typer.Argument(
            metavar="LAW",
            help="multi-power (columns step, lr, loss), power, shifted-power or "
            "two-segment (step, loss), loss-to-loss (two files with tokens or step, "
            "and loss; or one with l0, l1).",
        ),
    ],
    train: Annotated[
        list[Path] | None,
        typer.Option(help="Files to fit, .csv or .parquet; losses in nat."),
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(help="Files to forecast; laws of one curve fit their beginning."),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(help="Share of a test file that such a law is fitted on (0.2)."),
    ] = None,
    warmup_steps: Annotated[
        int | None,
        typer.Option(
            help="Updates of a linear warm-up before the first rows, 0: none "
            "(default: guessed, and told)."
        ),
    ] = None,
    peak_lr: Annotated[
        float | None,
        typer.Option(help="Rate at its end (default: that of the first row)."),
    ] = None,
    first_step: Annotated[
        int,
        typer.Option(help="Number that the files give to the first update, 0 or 1."),
    ] = 1,
    e0: Annotated[
        float | None, typer.Option(help="Floor of L0, in nat (default: fitted).")
    ] = None,
    e1: Annotated[
        float | None, typer.Option(help="Floor of L1, in nat (default: fitted).")
    ] = None,
    params: Annotated[
        Path | None, typer.Option(help="Score these parameters; fit nothing.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the parameters here, for --params.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Write the figure here: .png, .pdf or .svg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit a law to loss curves in files and score it on others."""
    from harness.fitting import answer as telling
    from harness.fitting.request import Request

    with usage():
        request = Request(
            law=law,
            train=tuple(train or ()),
            test=tuple(test or ()),
            until=until,
            first_step=first_step,
            warmup_steps=warmup_steps,
            peak_lr=peak_lr,
            e0=e0,
            e1=e1,
            params=params,
            save=save,
            figure=figure,
        )
        found = telling.fit_files(request)
    answer(telling.document(found), telling.answer_text(found), as_json)
    for said in telling.write_files(request, found):
        typer.echo(said, err=True)


def import_(
    files: Annotated[list[Path], typer.Argument(help="Files of curves.")],
    out: Annotated[Path, typer.Option(help="New corpus folder.")],
    format: Annotated[str, typer.Option(help="long, wandb, tensorboard, yours.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the corpus (default: that of --out).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="CSV or Parquet, a row a run: run_id and facts.")
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--map", help="OLD=NEW name of a signal or column; repeatable."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Signal or column to leave out; repeatable."),
    ] = None,
    steps_per_epoch: Annotated[
        int | None, typer.Option(min=1, help="Updates an epoch (default: 1).")
    ] = None,
    num_steps: Annotated[
        int | None, typer.Option(min=1, help="Planned updates (default: last step).")
    ] = None,
    step_scale: Annotated[
        float | None,
        typer.Option(help="Updates that one step of the files is (default: 1)."),
    ] = None,
    first_step: Annotated[
        int | None,
        typer.Option(min=0, max=1, help="What the files call the first update."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn curves of other programs into a corpus; tell what it cannot answer."""
    from harness.corpus import Corpus
    from harness.importers import convert
    from harness.importers.report import report_text
    from tasks.listing import askable_text, list_tasks

    with usage():
        request = convert.Request(
            files=files,
            format=format,
            out=out,
            name=name,
            config=config,
            renamed=convert.pairs(rename or []),
            left_out=frozenset(drop or ()),
            steps_per_epoch=steps_per_epoch,
            num_steps=num_steps,
            step_scale=step_scale,
            first_step=first_step,
        )
        done = convert.import_corpus(request)
    rows = list_tasks(Corpus.open(out))
    tasks = {row["task"]: row["unavailable"] for row in rows}
    text = f"{report_text(done)}\n\n{askable_text(rows)}"
    answer(done.to_json() | {"tasks": tasks}, text, as_json)
