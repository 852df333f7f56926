"""One submission scored: on public runs in full, on hidden ones by the ladder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.corpus import Corpus
from leaderboard.boards import board, open_corpora, truth_of
from leaderboard.hidden.version import announce, close, truth_of_half, write_closed
from leaderboard.ranking.standing import standing
from leaderboard.store import checked, corpus_of, entrant, stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """What scoring hidden runs takes."""

    targets: Path
    """Private folder."""
    ledger: Path
    """What was announced, and is added to."""
    team: str
    """Account of the pull request."""
    anew: bool
    """Whether it is scored again for nothing, after a metric was mended."""


def score_submission(
    folder: Path, corpora: Sequence[Path] | None, hidden: Hidden | None
) -> dict[str, Any]:
    """Return the scores of a submission, or what is announced of them.

    Args:
        folder: The submission.
        corpora: Corpus folders or addresses; None: all in `corpora`.
        hidden: Targets and ledger; None: only public runs are scored.

    Raises:
        Rejected: Something is wrong with it.
        ValueError: The team's quota is spent.
    """
    opened = open_corpora(corpora)
    one = entrant(checked(folder, opened), folder.parent)
    corpus = corpus_of(one.submission, opened)
    asked = board(corpus, hidden=one.submission.hidden)
    done: dict[str, Any] = {
        "folder": str(folder),
        "name": one.name,
        "board": asked.name,
        "corpus_version": asked.version,
        "submission_sha256": one.sha256,
    }
    if asked.hidden and hidden is not None:
        truth = truth_of_half(corpus, hidden.targets, "public")
        told = announce(
            one,
            asked,
            truth,
            hidden.ledger,
            team=hidden.team.lower(),
            now=datetime.now(UTC),
            free=hidden.anew,
        )
        return done | {
            "announced": dict(told.line.scores),
            "repeated": told.repeated,
            "left_today": told.left_today,
            "left": told.left,
            "flags": list(told.flags),
        }
    if asked.hidden or hidden is not None:
        return done | {"announced": {}}
    said = standing(asked, truth_of(corpus), [one])
    main = said.rows.filter(primary=True, predictor=one.name)
    columns = ["task", "task_version", "metric", "value", "low", "high"]
    columns += ["skill", "skill_low", "skill_high", "declined", "targets_sha256"]
    return done | {"scores": main.select(columns).to_dicts()}


def scored_text(done: dict[str, Any]) -> str:
    """Return what `score_submission` found, as text."""
    head = f"{done['name']} on {done['board']} {done['corpus_version']}"
    if "scores" in done:
        lines = [f"{head}: skill (1: perfect, 0: the reference) [95 %]"]
        for row in done["scores"]:
            skill = "undefined"
            if row["skill"] is not None:
                ends = (row["skill_low"], row["skill_high"])
                skill = "{:6.3f} [{:.3f}, {:.3f}]".format(row["skill"], *ends)
            lines.append(f"  {row['task']:32} {row['metric']:12} {skill}")
        return "\n".join(lines)
    if not done["announced"]:
        if done["board"].endswith("-hidden"):
            return f"{head}: only maintainers can score it, who hold the targets"
        return f"{head}: answers for public runs, of which nothing is announced"
    again = ", as before" if done["repeated"] else ""
    lines = [f"{head}: announced{again} (skill on the public half)"]
    lines += [f"  {subject:40} {v:5.2f}" for subject, v in done["announced"].items()]
    lines.append(f"{done['left_today']} left today, {done['left']} on this version")
    return "\n".join([*lines, *(f"look at this: {flag}" for flag in done["flags"])])


def close_version(
    corpus: Path,
    targets: Path,
    submissions: Path,
    out: Path,
    *,
    resamples: int,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Score all submissions to a hidden board on the private half; return the file.

    Args:
        corpus: The blind corpus, a folder or an address on the Hub.
        targets: Its private folder.
        submissions: Folder of submissions.
        out: Folder of closed versions.
        resamples: Behind each interval.
        say: Is told a line after every task.

    Raises:
        Rejected: Something is wrong with a submission.
        ValueError: Nobody answered, or it was closed before with other scores.
    """
    opened = Corpus.open(corpus)
    asked = board(opened, hidden=True)
    entrants = [entrant(one, submissions) for one in stored(submissions, asked)]
    found = close(opened, targets, entrants, resamples=resamples, say=say)
    return write_closed(out, found)
