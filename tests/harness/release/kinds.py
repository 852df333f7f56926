"""Corpora of every kind that a card has to describe, and notes of a release."""

from csv import writer
from pathlib import Path
from typing import Any

from harness.corpus import Corpus
from harness.importers.convert import Request, import_corpus
from harness.publish import build
from harness.release.notes import Change, Notes
from tests.harness.conftest import record

REFERENCE = Path(__file__).resolve().parents[3] / "corpora"
STRANGE = 'a | b <i>*x*</i> ${y}$ ``` "q" \\ %'
KINDS = ("many", "one", "failed", "empty", "imported", "strange")
BLIND = {
    "windows": {"w20": {"until": 0.2, "settings": ["optimizer.name"]}},
    "tasks": {"final": {"version": "1", "window": "w20"}},
    "checks": {"metadata": {"p": 0.41}, "prefix": {"found": 0}},
    "accepted": ["a <b>reason</b>"],
}


def notes(**changes: Any) -> Notes:
    """Return notes of a second version, made for the Hub unless told otherwise."""
    told = (
        Change(version="1.1.0", released="2026-11-22", text="Twelve | more <runs>."),
        Change(version="1.0.0", released="2026-11-01", text="First release."),
    )
    fields = {
        "version": "1.1.0",
        "released": "2026-11-22",
        "changes": told,
        "repo": "org/name",
    }
    return Notes(**{**fields, **changes})


def make(kind: str, folder: Path) -> Corpus:
    """Return a corpus of that kind in a new folder."""
    if kind in ("imported", "strange"):
        return _imported(folder, STRANGE if kind == "strange" else "given")
    runs = {
        "many": [
            record(seed, optimizer=name, lr=lr, status=status)
            for name, lr in (("sgd", 0.1), ("sgd", 1.0), ("adamw", 0.1))
            for seed, status in enumerate(["completed", "diverged", "completed"])
        ],
        "one": [record()],
        "failed": [record(seed, status="failed") for seed in range(2)],
        "empty": [],
    }[kind]
    for run in runs:
        run.save(folder / "shards")
    ids = [run.config.run_id for run in runs]
    build(folder, name=kind, grids={run_id: ("grid/a", "grid/b") for run_id in ids[:2]})
    return Corpus.open(folder)


def _imported(folder: Path, name: str) -> Corpus:
    folder.mkdir(parents=True)
    source = folder / "runs.csv"
    score = "final_test_accuracy"
    # settings may be called as a column of our own counts is
    with source.open("w", newline="") as file:
        rows = writer(file)
        rows.writerow(
            ["run_id", "signal", "step", "value", "optimizer", "runs", "n", score]
        )
        for run in range(3):
            for step in (1, 2, 3):
                row = [f"{name}{run}", name[:20], step, 1 / step, name, run, 2, 0.5]
                rows.writerow(row)
    request = Request(files=[source], format="long", out=folder / "corpus", name=name)
    import_corpus(request)
    return Corpus.open(folder / "corpus")
