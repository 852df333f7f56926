"""`DATASHEET.md` of a corpus: the questions of Gebru et al. (2021), answered."""

from harness.release.card import image_sources
from harness.release.facts import Facts
from harness.release.licence import licence_of
from harness.release.limits import limits
from harness.release.notes import Notes
from harness.release.templates import render


def datasheet_text(facts: Facts, notes: Notes | None = None) -> str:
    """Return the datasheet of a corpus: 57 questions, none left open.

    Source: Gebru et al. 2021, Datasheets for Datasets, doi 10.1145/3458723.

    Args:
        facts: What is known of it.
        notes: Version and licence; None for a working folder.
    """
    return render(
        "datasheet.md.j2",
        facts=facts,
        notes=notes,
        licence=licence_of(facts, notes),
        limits=limits(facts),
        sources=image_sources(facts),
    )
