"""What a comparison amounts to: the same bits, within the noise of seeds, neither."""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import polars as pl

from harness import seed_noise
from harness.compare import (
    AT_END,
    SignalReport,
    compare,
    environment_changes,
)
from harness.record import RunRecord
from harness.replay.recorded import Recorded
from harness.seed_noise import ACCURACY

FIXES_BITS: Final = (
    "runcast",
    "torch",
    "device",
    "threads",
    "machine",
    "cpu_capability",
    "execution",
)
"""What of an environment may change the last digits of a measurement."""

Verdict = Literal["bitwise", "within-tolerance", "differs"]


class SeedNoise(NamedTuple):
    """How far the final test accuracy varies with the seed alone."""

    sd: float | None
    """Standard deviation (n - 1); None: unknown."""
    source: str
    """What it was taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A run compared with its record."""

    run_id: str
    corpus: str
    verdict: Verdict
    reason: str
    """Why not a better one, or what the best one says."""
    first_step: int | None
    """First step at which a signal differs."""
    first_signals: tuple[str, ...]
    """The signals that differ there."""
    accuracy: tuple[float | None, float | None]
    """Final test accuracy, recorded and replayed."""
    noise: SeedNoise
    signals: tuple[SignalReport, ...]
    environment: dict[str, tuple[Any, Any]]
    """What the environments tell differently, recorded and here."""


def judge(recorded: Recorded, replayed: RunRecord) -> Replay:
    """Compare a replay with its record.

    "bitwise": every value has the same bits. "within-tolerance": |difference of the
    final test accuracy| <= the standard deviation among seeds, see `seed_noise_of`.
    "differs": neither, or what rounding does not explain: the status differs, or the
    run ends with the same bits, in the same environment (`FIXES_BITS`, as far as it is
    recorded), although a value on the way differs.
    """
    record = recorded.record
    signals = compare(record, replayed)
    noise = seed_noise_of(recorded)
    accuracy = _accuracy(record), _accuracy(replayed)
    first = min(
        (s.first_step for s in signals if s.first_step is not None), default=None
    )
    verdict, reason = _verdict(record, replayed, signals, accuracy, noise)
    return Replay(
        run_id=recorded.config.run_id,
        corpus=recorded.corpus,
        verdict=verdict,
        reason=reason,
        first_step=first,
        first_signals=tuple(
            s.signal for s in signals if first is not None and s.first_step == first
        ),
        accuracy=accuracy,
        noise=noise,
        signals=signals,
        environment=environment_changes(record.environment, replayed.environment),
    )


def seed_noise_of(recorded: Recorded) -> SeedNoise:
    """Return how far replicates of a run end apart, in final test accuracy.

    Replicates differ in the seed only and ended with the same status; a trajectory that
    was measured twice counts once. The run's own family where it has two of them (the
    run is one), else pooled over the corpus's families, see `harness.seed_noise`.

    Range: [0, 0.71]; unknown where fewer than two families have replicates. Cost: none.

    Example:
        Replicates that end at 0.90, 0.92 and 0.94 have the standard deviation 0.02.
    """
    alike = recorded.runs.filter(
        (pl.col("status") == recorded.record.status) & pl.col(ACCURACY).is_not_null()
    ).unique("trajectory_id", maintain_order=True)
    family = alike.filter(pl.col("family_id") == recorded.config.family_id)[ACCURACY]
    if len(family) > 1:
        sd = family.std(ddof=1)
        assert isinstance(sd, float)
        return SeedNoise(sd, f"{len(family)} replicates of the run")
    pooled = seed_noise.seed_noise(alike)
    if pooled is None:
        return SeedNoise(None, "the folder holds no replicates to take it from")
    return SeedNoise(
        pooled.within,
        f"pooled over {pooled.families} families, as the run has no replicate",
    )


def _verdict(
    record: RunRecord,
    replayed: RunRecord,
    signals: tuple[SignalReport, ...],
    accuracy: tuple[float | None, float | None],
    noise: SeedNoise,
) -> tuple[Verdict, str]:
    if all(signal.agrees for signal in signals):
        return "bitwise", "every recorded number has the same bits"
    if record.status != replayed.status:
        return "differs", f"the run {record.status}, the replay {replayed.status}"
    ends_alike = all(s.agrees for s in signals if s.signal.startswith(AT_END))
    was, here = record.environment, replayed.environment
    if ends_alike and all(was.get(k) in (None, here.get(k)) for k in FIXES_BITS):
        return "differs", (
            "both end with the same bits, and nothing recorded of the environment "
            "explains a value that differs on the way: it was changed, or is measured "
            "otherwise here"
        )
    if noise.sd is None or accuracy[0] is None or accuracy[1] is None:
        return "differs", f"no tolerance is known: {noise.source}"
    far = abs(accuracy[1] - accuracy[0])
    what = f"the final test accuracies are {far:.3g} apart"
    if far <= noise.sd:
        return "within-tolerance", f"{what}, within the standard deviation of seeds"
    return "differs", f"{what}, more than the standard deviation of seeds"


def _accuracy(record: RunRecord) -> float | None:
    correct, n = record.final.get("test_correct"), record.final.get("test_n")
    return correct / n if correct is not None and n else None
