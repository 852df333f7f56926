"""Train a recorded run again, alone and on this machine, and compare every number."""

from harness.compare import SignalReport, compare, environment_changes
from harness.replay.recorded import Recorded, find
from harness.replay.report import document, report_text
from harness.replay.retrain import Options, prepare, retrain
from harness.replay.verdict import Replay, SeedNoise, Verdict, judge, seed_noise_of

__all__ = [
    "Options",
    "Recorded",
    "Replay",
    "SeedNoise",
    "SignalReport",
    "Verdict",
    "compare",
    "document",
    "environment_changes",
    "find",
    "judge",
    "prepare",
    "report_text",
    "retrain",
    "seed_noise_of",
]
