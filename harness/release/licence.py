"""`LICENSE` and `CITATION.cff` of a release, and its entry for BibTeX."""

import re
from typing import Any, Final

from harness.release.facts import Facts
from harness.release.notes import LICENCE, Notes
from harness.release.sources import UNKNOWN
from harness.release.templates import bibtex

_CC: Final = "https://creativecommons.org"
LICENCES: Final = {
    "cc-by-4.0": ("CC-BY-4.0", f"{_CC}/licenses/by/4.0/legalcode"),
    "cc-by-sa-4.0": ("CC-BY-SA-4.0", f"{_CC}/licenses/by-sa/4.0/legalcode"),
    "cc-by-nc-4.0": ("CC-BY-NC-4.0", f"{_CC}/licenses/by-nc/4.0/legalcode"),
    "cc0-1.0": ("CC0-1.0", f"{_CC}/publicdomain/zero/1.0/legalcode"),
    "odc-by": ("ODC-By-1.0", "https://opendatacommons.org/licenses/by/1-0/"),
    "mit": ("MIT", "https://spdx.org/licenses/MIT.html"),
    "apache-2.0": ("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
}
"""SPDX identifier and address of the text, by the Hub's name of a licence."""


def licence_of(facts: Facts, notes: Notes | None) -> str:
    """Return the licence of the tables as the Hub spells it, "unknown" if it is."""
    if notes is not None:
        return notes.licence
    return LICENCE if facts.origin is None else UNKNOWN


def licence_text(facts: Facts, notes: Notes) -> str:
    """Return `LICENSE`: which licence, what it covers, whom to name."""
    who = ", ".join(notes.authors)
    head = f"{facts.name} {notes.version}\n\nCopyright {notes.released[:4]} {who}\n\n"
    if notes.licence == UNKNOWN:
        return head + _UNKNOWN
    spdx, address = LICENCES.get(notes.licence, (notes.licence, None))
    where = f"The text of the licence is at\n{address}\n" if address else ""
    return (
        f"{head}SPDX-License-Identifier: {spdx}\n\n"
        "The tables, texts and figures of this corpus are offered under the licence\n"
        f"{spdx}. {where}\n"
        f"Where the licence asks for credit, name {who} and\n"
        f'"{facts.name}", version {notes.version}; CITATION.cff has the particulars.\n'
        "\nNo image is part of this corpus. The images that runs were trained and\n"
        "scored on are under terms of their own, listed in README.md. The program\n"
        "that made the corpus, runcast, is under Apache-2.0.\n"
    )


_UNKNOWN: Final = """\
The licence of this corpus is unknown. Its runs were made elsewhere, and their
source passed on no licence: ask whoever made them before using or sharing them.
"""


def citation_text(facts: Facts, notes: Notes) -> str:
    """Return `CITATION.cff`, format 1.2.0 (doi 10.5281/zenodo.5171937)."""
    from huggingface_hub import CardData

    fields: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this corpus, please cite it as below.",
        "title": _title(facts.name, facts.runs),
        "type": "dataset",
        "authors": [{"name": author} for author in notes.authors],
        "version": notes.version,
        "date-released": notes.released,
        "keywords": ["learning curves", "training dynamics", "benchmark"],
    }
    if notes.licence in LICENCES:
        fields["license"] = LICENCES[notes.licence][0]
    if notes.repo is not None:
        fields["url"] = _address(notes.repo, notes)
    return f"{CardData(**fields).to_yaml()}\n"


def bibtex_entry(name: str, runs: int, notes: Notes) -> str:
    """Return an entry `@misc` for BibTeX.

    Args:
        name: Name of the corpus.
        runs: Number of its runs.
        notes: Version, day and authors.
    """
    words = re.findall(r"[a-z0-9]+", f"{name} {notes.version}".lower())
    fields = {
        "title": f"{{{bibtex(_title(name, runs))}}}",
        "author": " and ".join(f"{{{bibtex(a)}}}" for a in notes.authors),
        "year": notes.released[:4],
        "version": notes.version,
    }
    if notes.repo is not None:
        fields["url"] = _address(notes.repo, notes)
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items()]
    return "\n".join([f"@misc{{{'-'.join(words)},", *lines, "}"])


def _title(name: str, runs: int) -> str:
    return f"{name}: a corpus of {runs:,} training runs"


def _address(repo: str, notes: Notes) -> str:
    return f"https://huggingface.co/datasets/{repo}/tree/v{notes.version}"
