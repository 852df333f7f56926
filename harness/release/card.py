"""`README.md` of a corpus: Hub metadata and what a reader needs, filled from facts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from harness.release.columns import ROWS_ARE
from harness.release.facts import Facts, TableFacts
from harness.release.figures import Picture
from harness.release.licence import bibtex_entry, licence_of
from harness.release.limits import limits
from harness.release.notes import Notes
from harness.release.recorded import prices
from harness.release.sources import ImageSource, sources_of
from harness.release.templates import render
from harness.schema import WINDOW_EDGES

SIZES: Final = (
    ("n<1K", 10**3),
    ("1K<n<10K", 10**4),
    ("10K<n<100K", 10**5),
    ("100K<n<1M", 10**6),
)
"""The Hub's names of sizes, and the number of runs below which each applies."""


class Access(NamedTuple):
    """How the examples of a card address the corpus."""

    source: str
    """First argument of `load_dataset`, as Python: repository, or the folder."""
    revision: str | None
    """Tag of the version; None in a folder."""
    files: str
    """What stands before the path of a file."""
    address: str
    """Argument of `Corpus.open`."""


def card_text(
    facts: Facts, notes: Notes | None = None, figures: Sequence[Picture] = ()
) -> str:
    """Return the card of a corpus, front matter and Markdown.

    Args:
        facts: What is known of it.
        notes: Version, changes and licence; None for a working folder.
        figures: Files in `figures/` to show.
    """
    configs = hub_configs(facts)
    return render(
        "corpus.md.j2",
        front_matter=_front_matter(facts, licence_of(facts, notes), configs),
        facts=facts,
        notes=notes,
        figures=figures,
        licence=licence_of(facts, notes),
        access=_access(notes),
        configs=[config["config_name"] for config in configs],
        limits=limits(facts),
        sources=image_sources(facts),
        signal=_signal(facts),
        prices=prices(facts.signals),
        rows_are=ROWS_ARE,
        edges=WINDOW_EDGES,
        bibtex=None if notes is None else bibtex_entry(facts.name, facts.runs, notes),
    )


def image_sources(facts: Facts) -> list[ImageSource]:
    """Return what is known of the image sets of a corpus."""
    trained = [data.name for data in facts.datasets]
    return sources_of([*trained, *(shift.name for shift in facts.shifts)])


def hub_configs(facts: Facts) -> list[dict[str, Any]]:
    """Return what `load_dataset` may be asked for, each with its files.

    The first W percent of all curves are `curves-wW`: whoever streams them reads no
    file of a later segment. A table without rows is left out, for `datasets` cannot
    load it.
    """
    globs: dict[str, list[str]] = {}
    for table in facts.tables:
        if table.rows:
            globs[table.name] = [f"{table.name}/*.parquet"]
        if table.rows and table.name == "curves":
            globs |= _windows(table)
    return [
        {
            "config_name": name,
            **({"default": True} if name == "runs" else {}),
            "data_files": [{"split": "train", "path": _path(paths)}],
        }
        for name, paths in globs.items()
    ]


def _windows(table: TableFacts) -> dict[str, list[str]]:
    """Return the globs of the first segments, cumulative, for each window."""
    present = {int(name.split("-")[1]) for name in table.files}
    found = {}
    for last, percent in enumerate(WINDOW_EDGES[:-1]):
        inside = [k for k in range(last + 1) if k in present]
        if inside:
            found[f"curves-w{percent:02d}"] = [
                f"curves/segment-{k}-*.parquet" for k in inside
            ]
    return found


def _path(globs: list[str]) -> str | list[str]:
    return globs[0] if len(globs) == 1 else globs


def _front_matter(
    facts: Facts, licence: str, configs: Sequence[Mapping[str, Any]]
) -> str:
    """Return the metadata that the Hub reads, as YAML between two rules."""
    from huggingface_hub import DatasetCardData

    below = (label for label, edge in SIZES if facts.runs < edge)
    data = DatasetCardData(
        license=licence,
        pretty_name=facts.name,
        size_categories=[next(below, "1M<n<10M")],
        task_categories=["tabular-regression", "time-series-forecasting"],
        tags=["learning-curves", "training-dynamics", "benchmark", "runcast"],
        configs=list(configs),
    )
    return f"---\n{data.to_yaml()}\n---"


def _access(notes: Notes | None) -> Access:
    if notes is None or notes.repo is None:
        return Access("here", None, "", ".")
    at = f"{notes.repo}@v{notes.version}"
    return Access(f'"{notes.repo}"', f"v{notes.version}", f"hf://datasets/{at}/", at)


def _signal(facts: Facts) -> str | None:
    """Return the signal of the examples: the training loss if there is one."""
    names = [signal.name for signal in facts.signals if signal.runs]
    return "train_loss" if "train_loss" in names else next(iter(names), None)
