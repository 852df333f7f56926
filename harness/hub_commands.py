"""Commands that let a corpus travel: `harness publish` and `harness download`."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from harness.console import EXIT_USAGE, Json, answer, fail, say, usage

PUBLISH_EPILOG = (
    "Example: harness publish runs/t4 --to ORG/t4-cifar10. Log in first (`hf auth "
    "login`, or HF_TOKEN); any interruption is mended by the same command."
)
DOWNLOAD_EPILOG = (
    "Example: harness download ORG/t4-cifar10 --revision v1.0.0 --out corpora/t4"
)


def publish(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Corpus folder, or targets of --blind."),
    ],
    to: Annotated[
        str, typer.Option(help="ORG/NAME on the Hub, or a folder (a new one: ./NAME).")
    ],
    version: Annotated[
        str | None, typer.Option(help="Such as 1.1.0 (default: 1.0.0, the first).")
    ] = None,
    changes: Annotated[
        str | None, typer.Option(help="What is new since the last version.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="As the Hub spells it (default: cc-by-4.0).")
    ] = None,
    author: Annotated[
        list[str] | None, typer.Option(help="Whom to cite; repeatable.")
    ] = None,
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public", help="Of a new repository (default: the account's)."
        ),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Hide runs; their ends go to --targets.")
    ] = False,
    targets: Annotated[
        Path | None, typer.Option(help="--blind: private folder for what is hidden.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="--blind: file of the private key.")
    ] = None,
    hide: Annotated[
        float | None, typer.Option(help="--blind: share of families (default: 0.25).")
    ] = None,
    hidden: Annotated[
        Path | None, typer.Option(help="--blind: or a corpus to hide whole.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="--blind: only this task; repeatable.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="--blind: another public corpus to check; repeatable."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="--blind: a check that may fail; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Release a corpus: card, figures, metadata, version; to the Hub or a folder."""
    from harness.release.command import Request, publish_corpus, publish_secret
    from tasks.blind.command import BlindOptions, blinded, targets_package
    from tasks.blind.targets import CARD

    only_blind = (targets, key, hide, hidden, task, against, accept)
    if not blind and any(option is not None for option in only_blind):
        fail("options of --blind are given without it", EXIT_USAGE)
    with usage(), contextlib.ExitStack() as stack:
        if (folder / CARD).exists():
            done = publish_secret(targets_package(folder), to, say=say)
        else:
            if blind:
                if targets is None or key is None:
                    raise ValueError("--blind needs --targets FOLDER and --key FILE")
                options = BlindOptions(
                    folder=folder,
                    targets=targets,
                    key=key,
                    hide=hide,
                    hidden=hidden,
                    tasks=task,
                    against=against or (),
                    accept=accept or (),
                    version=version,
                )
                folder = stack.enter_context(blinded(options, say))
            request = Request(
                folder=folder,
                to=to,
                version=version,
                changes=changes,
                licence=licence,
                authors=tuple(author or ()),
                private=private,
            )
            done = publish_corpus(request, say=say)
    text = (
        f"{done['outcome']}: {done['corpus']} {done['version']} at {done['to']}, "
        f"{done['files']} files, {done['bytes'] / 1e6:,.1f} MB"
    )
    answer(done, text, as_json)


def download(
    source: Annotated[
        str,
        typer.Argument(
            metavar="REPO_OR_DIR", help="ORG/NAME, ORG/NAME@v1.0.0, or a folder."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder (default: the Hub client's cache, for work offline)."
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Such as v1.0.0 (default: the newest version).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring a corpus from the Hub to a folder or the cache, every byte compared."""
    from harness.hub.address import Address, checked_repo
    from harness.hub.download import copy, download, fill_cache, newest

    repo, _, named = source.partition("@")
    if named and revision and named != revision:
        fail(f"{source} names {named}, --revision names {revision}", EXIT_USAGE)
    with usage():
        if Path(source).is_dir():
            if revision:
                fail(f"{source} is a folder: leave --revision out", EXIT_USAGE)
            if out is None:
                raise ValueError(f"{source} is a folder: name another with --out")
            manifest = copy(Path(source), out, say=say)
        else:
            checked_repo(repo)
            address = Address(repo, named or revision or newest(repo))
            source = str(address)
            if out is None:
                out, manifest, _ = fill_cache(address, say=say)
            else:
                manifest = download(address, out, say=say)
    text = (
        f"{manifest['name']} {manifest['version']} in {out}: "
        f"{manifest['rows']['runs']:,} runs"
    )
    done = {
        "corpus": manifest["name"],
        "version": manifest["version"],
        "from": source,
        "out": str(out),
        "rows": manifest["rows"],
        "manifest_sha256": manifest["manifest_sha256"],
    }
    answer(done, text, as_json)
