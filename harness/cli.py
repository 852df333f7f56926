"""The command line. Imports what a command needs inside its function."""

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from harness import __version__
from harness.console import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Folder,
    Json,
    answer,
    fail,
    usage,
)
from harness.curve_commands import FIT_EPILOG, IMPORT_EPILOG, fit, import_
from harness.errors import RuncastError
from harness.fitting.several import SeveralValues
from harness.hub_commands import DOWNLOAD_EPILOG, PUBLISH_EPILOG, download, publish
from harness.leaderboard_commands import leaderboard
from harness.merge_command import MERGE_EPILOG, merge
from harness.replay_command import REPLAY_EPILOG, replay
from harness.status_command import STATUS_EPILOG, status
from harness.task_commands import (
    PREDICT_EPILOG,
    REPRODUCE_EPILOG,
    SCORE_EPILOG,
    TASKS_EPILOG,
    predict,
    reproduce,
    score,
    tasks,
)

EXIT_CTRL_C: Final = 130
"""What typer makes of Ctrl-C in a command."""

app = typer.Typer(
    help="Train grids of runs, record what can be seen early, build run corpora, "
    "and ask who can forecast how each run ends.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; a known error becomes one message and an exit code."""
    sys.path.append(str(Path.cwd()))  # `module:attribute` may name a file here
    try:
        app()
    except RuncastError as error:
        fail(str(error), EXIT_FAILED)
    except OSError as error:  # the system refuses a path, such as one too long
        fail(f"{error.strerror or error}: {error.filename}", EXIT_FAILED)
    except SystemExit as stop:
        if stop.code == EXIT_CTRL_C:
            again = shlex.join(["harness", *sys.argv[1:]])
            fail(f"stopped; to go on: {again}", EXIT_INTERRUPTED)
        raise


@app.command(
    epilog="Example: harness generate --grid t4 --profile digits --out runs/t4"
)
def generate(
    grid: Annotated[
        str, typer.Option(help="Grid: pilot, t1, t4, t8, t10, edge, yours.")
    ],
    out: Annotated[Path, typer.Option(help="Corpus folder; resumed if it exists.")],
    profile: Annotated[
        str | None,
        typer.Option(
            help="What the grid is run on: cifar10 (default on CUDA), digits, smoke."
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Worker processes (default: cores).")
    ] = None,
    threads: Annotated[
        int,
        typer.Option(min=1, help="Threads of a worker; part of what fixes the bits."),
    ] = 1,
    pack: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Runs that train together on a GPU (default: tried, the fastest).",
        ),
    ] = None,
    execution: Annotated[
        str,
        typer.Option(
            help="How steps are run: eager, graph (CUDA graphs), compiled, or auto: "
            "eager on a CPU, the fastest that was tried on a GPU."
        ),
    ] = "auto",
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic", help="The same bits every time on one type of GPU."
        ),
    ] = False,
    executor: Annotated[str, typer.Option(help="local or ray.")] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Ray cluster, or auto for the one that runs on this machine (default: "
            "RAY_ADDRESS, else one is started here for the time of the grid).",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, or cuda:0,cuda:1 (default: best).")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Train only the first runs.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="RUNCAST_DATA_DIR", help="Local mirror of data sets."),
    ] = None,
    evals_per_epoch: Annotated[
        int | None, typer.Option(min=1, max=20, help="Evaluations an epoch (4).")
    ] = None,
    probes: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: noise, curvature, plateau, all, none, or names of "
            "probes (default: the profile's)."
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Seconds without a single update after which a worker is killed and "
            "its cohort tried again, once; 0: never.",
        ),
    ] = 1800.0,
    shard: Annotated[
        str,
        typer.Option(metavar="I/N", help="Train the I-th of N parts of the grid."),
    ] = "1/1",
    allow_version: Annotated[
        bool,
        typer.Option("--allow-version", help="Resume a folder of another version."),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            help="Key file of a private grid, made if missing: the same design with "
            "secret seeds and learning rates, so that nobody can train the runs again."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print runs, time and disk; train nothing."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a grid and write a run corpus; the same command again resumes."""
    from harness import command

    with usage():
        request = command.Request(
            grid=grid,
            profile=profile,
            folder=out,
            jobs=jobs,
            threads=threads,
            packing=pack,
            execution=execution,
            deterministic=deterministic,
            executor=executor,
            ray_address=ray_address,
            device=device,
            limit=limit,
            data_dir=data_dir,
            evals_per_epoch=evals_per_epoch,
            probes=None if probes is None else _names(probes),
            timeout_s=timeout or None,
            shard=shard,
            allow_version=allow_version,
            key=key,
        )
        prepared = command.prepare(request)
    if dry_run:
        report = command.dry_run(prepared)
        answer(report, command.dry_run_text(report), as_json)
        return
    result = command.run(prepared)
    again = shlex.join(["harness", *sys.argv[1:]])
    answer(result, command.result_text(result, again), as_json)
    if result["ending"] == "interrupted":
        raise typer.Exit(EXIT_INTERRUPTED)
    if result["ending"] != "done" or result["failed"]:
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="Example: harness tables runs/t4")
def tables(folder: Folder, as_json: Json = False) -> None:
    """Build the tables of a folder whose runs were trained elsewhere."""
    from harness.generate import finish

    rows = finish(folder)["rows"]
    counts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    answer({"rows": rows}, f"corpus: {counts} (rows)", as_json)


@app.command(epilog="Example: harness verify runs/t4")
def verify(folder: Folder, as_json: Json = False) -> None:
    """Check every byte of a corpus against its manifest, and the tables' sense."""
    from harness import verify as checking

    problems = checking.verify(folder)
    lines = [f"{p.kind}: {p.path}: {p.what}" for p in problems]
    text = "\n".join(lines) or f"{folder}: every file is as it was written"
    answer([dataclasses.asdict(p) for p in problems], text, as_json)
    if problems:
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="Example: harness show runs/t4 r-1f --figure run.png")
def show(
    folder: Folder,
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run id or its beginning.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Write the figure here: .png, .pdf or .svg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a corpus at a glance, or one run: as text, and as a figure if asked."""
    import polars as pl

    from harness import show as showing
    from harness.corpus import Corpus

    corpus = Corpus.open(folder)
    if run is None:
        data, text = corpus.manifest, showing.corpus_text(corpus)
    else:
        with usage():
            run = showing.find_run(corpus, run)
        data = corpus.runs().row(by_predicate=pl.col("run_id") == run, named=True)
        text = showing.run_text(corpus, run)
    answer(data, text, as_json)
    if figure is not None:
        picture = (
            showing.run_figure(corpus, run) if run else showing.corpus_figure(corpus)
        )
        with usage():
            picture.savefig(figure, dpi=150)
        typer.echo(f"figure: {figure}", err=True)


@app.command(epilog="Example: harness signals runs/t4 --window 0.2 --out early.parquet")
def signals(
    folder: Folder,
    window: Annotated[
        float | None,
        typer.Option(help="Compute signals of the curves up to this share of a run."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Compute only these; may be given several times."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the computed table: .parquet or .csv.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what a corpus records and its price, or compute signals of its curves."""
    from harness import signals as telling
    from harness.corpus import Corpus

    corpus = Corpus.open(folder)
    if window is None:
        if out is not None or name:
            fail("--out and --name need --window, such as 0.2", EXIT_USAGE)
        found = telling.recorded(corpus)
        answer(found.to_dicts(), telling.recorded_text(found), as_json)
        return
    with usage():
        table = telling.computed(corpus, window, name, out)
    summary = telling.summary(table)
    answer(summary.to_dicts(), telling.summary_text(summary), as_json)


app.command(epilog=STATUS_EPILOG)(status)
app.command(epilog=MERGE_EPILOG)(merge)
app.command(epilog=REPLAY_EPILOG)(replay)
app.command(cls=SeveralValues, epilog=FIT_EPILOG)(fit)
app.command("import", epilog=IMPORT_EPILOG)(import_)
app.command(epilog=TASKS_EPILOG)(tasks)
app.command(epilog=PREDICT_EPILOG)(predict)
app.command(epilog=SCORE_EPILOG)(score)
app.command(epilog=REPRODUCE_EPILOG)(reproduce)
app.command(epilog=PUBLISH_EPILOG)(publish)
app.command(epilog=DOWNLOAD_EPILOG)(download)
app.add_typer(leaderboard, name="leaderboard")


@app.command(epilog="Example: harness doctor --data-dir ~/data")
def doctor(
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="RUNCAST_DATA_DIR", help="Local mirror of data sets."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look over this machine: Python, torch, devices, disk, data sets, Hub."""
    from harness import doctor as looking

    found = looking.checks(Path.cwd(), data_dir=data_dir)
    answer([dataclasses.asdict(c) for c in found], looking.checks_text(found), as_json)
    if not all(check.ok for check in found):
        raise typer.Exit(EXIT_FAILED)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print it.")] = False,
) -> None:
    """Exit codes: 0 done, 1 failed, 2 bad usage, 75 interrupted and resumable."""
    if version:
        typer.echo(f"runcast {__version__}")
        raise typer.Exit
