"""What `harness import` did, as text and as data."""

import re
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from harness.corpus import Corpus
from harness.importers.missing import Missing, curve_sizes, missing
from harness.importers.points import Context
from harness.schema import SIGNALS


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of foreign files."""

    folder: Path
    """The corpus folder."""
    name: str
    """Name of the corpus."""
    runs: int
    families: int
    """Groups of replicates; as many as runs where nothing tells them."""
    statuses: dict[str, int]
    """Runs by status."""
    curves: int
    """Pairs of a run and a signal."""
    values: int
    signals: list[dict[str, Any]]
    """name, runs, values, and whether the name is one that tasks know."""
    dropped: dict[str, int]
    """Values that were left out, by reason."""
    notes: list[str]
    """How the files were understood, and hints."""
    missing: list[Missing]
    """What the corpus does not tell."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        data = asdict(self)
        return {**data, "missing": [each._asdict() for each in self.missing]}


_LIKELY: Final = {
    "train_loss": r"^loss$|train.*loss|loss.*train",
    "val_loss": r"(val|eval|dev).*loss|loss.*(val|eval|dev)",
    "val_accuracy": r"(val|eval|dev).*acc|acc.*(val|eval|dev)",
    "lr": r"(^|\W)(lr|learning_rate)$|(^|\W)lr\W",
    "grad_norm": r"grad.*norm",
}
"""What signals are often called elsewhere; a guess is a hint and changes nothing."""


def report(corpus: Corpus, context: Context) -> Report:
    """Return what became of the files that were imported into `corpus`."""
    runs = corpus.runs(["status", "family_id"])
    sizes = curve_sizes(corpus)
    known = {signal.name for signal in SIGNALS}
    signals = sizes.group_by("signal").agg(runs=pl.len(), values=pl.col("n").sum())
    lacking = missing(corpus)
    found = [
        {"name": name, "runs": count, "values": values, "known": name in known}
        for name, count, values in signals.sort("signal").iter_rows()
    ]
    return Report(
        folder=corpus.folder,
        name=corpus.name,
        runs=len(runs),
        families=runs["family_id"].n_unique(),
        statuses=dict(runs["status"].value_counts().sort("status").rows()),
        curves=len(sizes),
        values=int(sizes["n"].sum()),
        signals=found,
        dropped=dict(context.dropped),
        notes=[*context.notes, *_hints([s["name"] for s in found], sizes)],
        missing=lacking,
    )


def report_text(done: Report) -> str:
    """Return the report as text of about 80 columns."""
    statuses = ", ".join(f"{n:,} {status}" for status, n in done.statuses.items())
    lines = [
        f"{done.folder}: {done.name}",
        f"{done.runs:,} runs ({statuses}) in {done.families:,} families, "
        f"{done.curves:,} curves, {done.values:,} values",
        "",
        f"{'signal':40}{'runs':>10}{'values':>14}",
    ]
    for signal in done.signals:
        mark = "" if signal["known"] else "  under its own name"
        counts = f"{signal['runs']:>10,}{signal['values']:>14,}"
        lines.append(f"  {signal['name']:38}{counts}{mark}")
    if done.dropped:
        lines += ["", "left out"]
        lines += [f"  {n:>12,} {reason}" for reason, n in done.dropped.items()]
    if done.notes:
        lines += ["", "to be known"]
        lines += [line for note in done.notes for line in _filled(f"- {note}")]
    if done.missing:
        lines += ["", "missing, and what cannot be asked or answered without it"]
        for each in done.missing:
            lines += _filled(f"{each.what}: {each.why}; {each.consequence}")
    return "\n".join(lines)


def _filled(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        79,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _hints(names: list[str], sizes: pl.DataFrame) -> list[str]:
    """Return what the user may want to say at the next try."""
    hints = []
    for name, pattern in _LIKELY.items():
        if name not in names:
            likely = [n for n in names if re.search(pattern, n.lower())]
            if likely:
                hints.append(f"if {likely[0]!r} is {name}: --map {likely[0]}={name}")
    loss = sizes.filter((pl.col("signal") == "train_loss") & (pl.col("n") > 1))
    if len(loss):
        every = loss.select((pl.col("last") / pl.col("n")).median()).item()
        if every >= 1.5:
            hints.append(
                f"the training loss has a value about every {every:.3g} updates; laws "
                "and sums want one every step: --step-scale counts intervals of "
                f"logging instead, such as {1 / round(every):.6g}"
            )
    return hints
