"""Commands of the leaderboard: `harness leaderboard check`, `add`, `build`, ..."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.console import EXIT_FAILED, EXIT_USAGE, Json, answer, fail, say, usage

leaderboard = typer.Typer(
    help="Check submissions, score and rank them, and build the page.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Corpora = Annotated[
    list[Path] | None,
    typer.Option(
        "--corpus",
        help="Corpus folder or ORG/NAME@v1.0.0; repeatable (default: all in corpora/).",
    ),
]
Submissions = Annotated[
    Path, typer.Option("--submissions", help="Folder of submissions.")
]
Submission = Annotated[Path, typer.Argument(metavar="FOLDER", help="Submission.")]
TargetsOption = Annotated[
    Path | None, typer.Option("--targets", help="Private folder of hidden runs' ends.")
]
LedgerOption = Annotated[
    Path | None, typer.Option("--ledger", help="File of what was announced.")
]
Resamples = Annotated[
    int, typer.Option(min=1, help="Resamples of families behind each interval.")
]
PLACE = Path("leaderboard/submissions")
CLOSED_VERSIONS = Path("leaderboard/closed")


@contextlib.contextmanager
def _refusing(what: Path) -> Iterator[None]:
    """Turn a rejection, and wrong names and values, into a message and an exit code."""
    from leaderboard.problems import Rejected

    with usage():
        try:
            yield
        except Rejected as error:
            fail(f"{what}: rejected, {error}", EXIT_FAILED)


@leaderboard.command(
    epilog="Example: harness leaderboard check mine --corpus corpora/t4-digits"
)
def check(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Submissions.")
    ],
    corpus: Corpora = None,
    as_json: Json = False,
) -> None:
    """Tell everything that is wrong with submissions; nothing of them is run."""
    from leaderboard.boards import open_corpora
    from leaderboard.problems import Rejected
    from leaderboard.store import checked

    with usage():
        corpora = open_corpora(corpus)
    lines, found = [], []
    for folder in folders:
        row: dict[str, Any] = {"folder": str(folder)}
        try:
            stored = checked(folder, corpora)
        except Rejected as error:
            row["problems"] = [problem.to_json() for problem in error.problems]
            lines.append(f"{folder}: rejected, {error}")
        else:
            row |= {
                "problems": [],
                "name": stored.valid.submission.name,
                "tasks": sorted(stored.valid.tables),
                "sha256": stored.valid.sha256,
            }
            lines.append(
                f"{folder}: fine: {row['name']}, {len(row['tasks'])} tasks, "
                f"sha256 {row['sha256'][:12]}"
            )
        found.append(row)
    answer(found, "\n".join(lines), as_json)
    if any(row["problems"] for row in found):
        raise typer.Exit(EXIT_FAILED)


@leaderboard.command(
    epilog="Example: harness leaderboard examples --corpus corpora/t4-digits "
    "--task final-acc/w20 --out examples.csv"
)
def examples(
    corpus: Annotated[Path, typer.Option(help="Corpus folder or ORG/NAME@v1.0.0.")],
    task: Annotated[str, typer.Option(help="Name of the task.")],
    out: Annotated[Path, typer.Option(help="CSV: id, run_id, fold, epochs.")],
    public: Annotated[
        bool, typer.Option("--public", help="Of a blind corpus the public runs.")
    ] = False,
) -> None:
    """Write what a task asks for, to answer it without `harness predict`."""
    from harness.corpus import Corpus
    from harness.storage import write_text
    from leaderboard.boards import examples_of

    with usage():
        table = examples_of(Corpus.open(corpus), task, public=public)
    write_text(out, table.write_csv())
    typer.echo(f"{len(table)} examples of {task} in {out}")


@leaderboard.command(
    epilog="Example: harness leaderboard add mine --corpus corpora/t4-digits"
)
def add(
    folder: Submission,
    corpus: Corpora = None,
    submissions: Submissions = PLACE,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of an older one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a submission and copy it to the others."""
    from leaderboard.boards import open_corpora
    from leaderboard.store import add

    with _refusing(folder):
        done = add(folder, submissions, open_corpora(corpus), instead=replace)
    place = submissions / done.folder
    row = {"folder": str(place), "sha256": done.valid.sha256}
    answer(row, f"{done.valid.submission.name}: in {place}", as_json)


@leaderboard.command(
    epilog="Example: harness leaderboard score mine --corpus corpora/t4-digits"
)
def score(
    folder: Submission,
    corpus: Corpora = None,
    targets: TargetsOption = None,
    ledger: LedgerOption = None,
    team: Annotated[
        str | None, typer.Option(help="--targets: account of the pull request.")
    ] = None,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew", help="--targets: after a metric was mended; costs no quota."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Score a submission on public runs; with --targets announce hidden ones."""
    from leaderboard.scoring import Hidden, score_submission, scored_text

    told = (targets, ledger, team)
    if any(told) and not all(told):
        fail("--targets, --ledger and --team go together", EXIT_USAGE)
    hidden = None
    if targets is not None and ledger is not None and team is not None:
        hidden = Hidden(targets=targets, ledger=ledger, team=team, anew=anew)
    with _refusing(folder):
        done = score_submission(folder, corpus, hidden)
    answer(done, scored_text(done), as_json)


@leaderboard.command(
    epilog="Example: harness leaderboard close --corpus ORG/t4@v1.0.0 --targets targets"
)
def close(
    corpus: Annotated[str, typer.Option(help="The blind corpus.")],
    targets: Annotated[Path, typer.Option(help="Its private folder.")],
    submissions: Submissions = PLACE,
    out: Annotated[
        Path, typer.Option(help="Folder of closed versions.")
    ] = CLOSED_VERSIONS,
    resamples: Resamples = 1000,
    as_json: Json = False,
) -> None:
    """Reveal everybody's scores on the private half of a version that is over."""
    from leaderboard.scoring import close_version

    with _refusing(submissions):
        path = close_version(
            Path(corpus), targets, submissions, out, resamples=resamples, say=say
        )
    answer({"closed": str(path)}, f"closed: {path}", as_json)


@leaderboard.command(epilog="Example: harness leaderboard build --out site")
def build(
    out: Annotated[Path, typer.Option(help="Folder for the site; files replaced.")],
    corpus: Corpora = None,
    submissions: Submissions = PLACE,
    ledger: LedgerOption = None,
    closed: Annotated[
        Path, typer.Option(help="Folder of closed versions.")
    ] = CLOSED_VERSIONS,
    resamples: Resamples = 1000,
    as_json: Json = False,
) -> None:
    """Score and rank all submissions and write the static site."""
    from leaderboard.page.site import Request, build_site

    with _refusing(submissions):
        request = Request(
            corpora=corpus,
            submissions=submissions,
            out=out,
            ledger=ledger,
            closed=closed,
            resamples=resamples,
        )
        done = build_site(request, say=say)
    text = "\n".join(
        f"{b['name']}: {b['entries']} entries, {b['tasks']} tasks"
        for b in done["boards"]
    )
    text += f"\n{done['files']} files, {done['bytes'] / 1e6:.1f} MB in {out}: "
    answer(done, f"{text}harness leaderboard serve --site {out}", as_json)


@leaderboard.command(epilog="Example: harness leaderboard serve --site site")
def serve(
    site: Annotated[Path, typer.Option(help="What `build` wrote.")] = Path("site"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free.")] = 8000,
) -> None:
    """Show a built site on this machine, until Ctrl-C."""
    from leaderboard.page.serve import server

    try:
        running = server(site, port)
    except FileNotFoundError as error:
        fail(str(error), EXIT_USAGE)
    except OSError as error:
        fail(f"port {port}: {error.strerror}; choose another, --port 0", EXIT_FAILED)
    with running:
        typer.echo(f"http://127.0.0.1:{running.server_address[1]}/ (Ctrl-C stops)")
        with contextlib.suppress(KeyboardInterrupt):
            running.serve_forever()
