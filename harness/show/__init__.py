"""A corpus, or one of its runs, at a glance: as text and as a figure."""

from harness.show.figure import corpus_figure
from harness.show.glance import find_run
from harness.show.run_figure import run_figure
from harness.show.text import corpus_text, run_text

__all__ = ["corpus_figure", "corpus_text", "find_run", "run_figure", "run_text"]
