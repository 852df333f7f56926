"""Synthetic runs: real configurations and plausible numbers, made without training.

And one thread, where bits are promised for one.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.publish import build
from harness.record import Curve, Event, OodResult, RunRecord
from harness.seeds import stream
from harness.spec import Part, Recording, RunConfig

EPOCHS, STEPS_PER_EPOCH = 5, 20
CELLS = [(c, s) for c in ("gaussian_noise", "fog", "contrast") for s in (1, 3, 5)]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Bits are promised for one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(seed: int = 0, *, optimizer: str = "sgd", lr: float = 0.1) -> RunConfig:
    """Return a resolved-looking configuration that needs no registry."""
    return RunConfig(
        dataset=Part("digits", {"validation_size": 200}, resolved=True),
        model=Part("patchnet", {"width": 16}, resolved=True),
        optimizer=Part(optimizer, {"lr": lr, "betas": (0.9, 0.99)}, resolved=True),
        schedule=Part("cosine", {"warmup_epochs": 1.0}, resolved=True),
        objective=Part("cross_entropy", {"label_smoothing": 0.0}, resolved=True),
        batch_size=32,
        epochs=EPOCHS,
        seed=seed,
        recording=Recording(ood=(Part("corrupted", resolved=True),)),
    )


def record(
    seed: int = 0,
    *,
    status: str = "completed",
    num_steps: int = EPOCHS * STEPS_PER_EPOCH,
    ood: bool = True,
    **factors: Any,
) -> RunRecord:
    """Return a run whose loss falls as a power law with noise of its own."""
    run = config(seed, **factors)
    if status == "failed":
        return RunRecord(
            config=run,
            status="failed",
            num_steps=0,
            steps_per_epoch=0,
            error="Traceback:\n  ...\nRuntimeError: out of memory",
        )
    noise = stream(seed, f"test/{run.run_id}")
    last = num_steps if status == "completed" else num_steps // 2 + 1
    steps = np.arange(1, last + 1, dtype=np.int32)
    loss = 2.3 * steps**-0.3 * np.exp(0.1 * noise.standard_normal(last))
    every = np.arange(0, last + 1, 5, dtype=np.int32)
    val = 2.3 * (every + 1.0) ** -0.3
    curves = {
        "train_loss": (steps, loss),
        "grad_norm": (steps, loss**2),
        "lr": (steps, 0.1 * np.cos(steps / last)),
        "val_loss": (every, val),
        "val_accuracy": (every, np.exp(-val / 2)),
    }
    correct = int(noise.integers(150, 200))
    final: dict[str, Any] = {"test_correct": correct, "test_n": 200, "test_loss": 0.5}
    diverged = status == "diverged"
    if diverged:
        curves["train_loss"][1][-1] = np.nan
        final["test_loss"] = None
    return RunRecord(
        config=run,
        status=status,
        num_steps=num_steps,
        steps_per_epoch=num_steps // EPOCHS,
        curves={k: Curve(s, np.asarray(v, np.float32)) for k, (s, v) in curves.items()},
        events=(Event(last, "diverged", {"reason": "loss not finite"}),) * diverged,
        final=final,
        ood=tuple(
            OodResult("corrupted", c, s, max(0, correct - 9 * s), 200, 0.125 * s)
            for c, s in CELLS * ood
        ),
        costs={"train_s": 1.5, "eval_s": 0.25, "log_s": 0.01},
        environment={"torch": "2.15.0", "device": "cpu", "threads": 1},
        diverged_step=last if diverged else None,
    )


@pytest.fixture(scope="session")
def make_record() -> Callable[..., RunRecord]:
    """A function that makes a synthetic run, see `record`."""
    return record


@pytest.fixture(scope="session")
def some_records() -> list[RunRecord]:
    """Twelve runs of two optimizers: eleven finished, two of them diverged, one not."""
    factors = [
        (o, rate, s) for o in ("sgd", "adamw") for rate in (0.1, 1.0) for s in range(3)
    ]
    status = ["completed"] * 9 + ["diverged", "diverged", "failed"]
    return [
        record(s, status=state, optimizer=o, lr=rate)
        for (o, rate, s), state in zip(factors, status, strict=True)
    ]


@pytest.fixture(scope="session")
def built_folder(
    tmp_path_factory: pytest.TempPathFactory, some_records: list[RunRecord]
) -> Path:
    """A finished corpus of `some_records`, not to be changed."""
    folder = tmp_path_factory.mktemp("built") / "corpus"
    for one in some_records:
        one.save(folder / "shards")
    grids = {r.config.run_id: ("t4/digits",) for r in some_records}
    build(folder, name="test-corpus", grids=grids)
    return folder


@pytest.fixture
def corpus_folder(tmp_path: Path, built_folder: Path) -> Path:
    """A copy of the finished corpus that a test may change."""
    return Path(shutil.copytree(built_folder, tmp_path / "corpus"))
