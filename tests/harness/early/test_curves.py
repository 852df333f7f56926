"""Curves up to a window: what is read, and how it is arranged."""

import subprocess
import sys

import numpy as np
import pytest

from harness.corpus import Corpus
from harness.early.curves import Recorded, early_curves, last_step


@pytest.mark.parametrize("until", [0.1, 0.37, 1.0])
def test_the_arrays_hold_what_a_loop_over_the_records_finds(
    long_corpus, long_records, until
):
    blocks = list(early_curves(long_corpus, until))
    assert [(b.num_steps, b.steps_per_epoch, len(b)) for b in blocks] == [
        (240, 6, 9),
        (960, 24, 9),
    ]
    records = {r.config.run_id: r for r in long_records}
    for block in blocks:
        assert list(block.run_ids) == sorted(block.run_ids)
        assert block.end == int(until * block.num_steps)
        assert block.num_epochs == block.end // block.steps_per_epoch
        for row, run_id in enumerate(block.run_ids):
            expected = records.pop(run_id).curves
            for name, dense in (("train_loss", block.loss), ("lr", block.rate)):
                values = np.full(block.end, np.nan, np.float32)
                for step, value in zip(*expected.get(name, ((), ())), strict=True):
                    if step <= block.end:
                        values[step - 1] = value
                np.testing.assert_array_equal(dense[row], values)
            for name, found in block.recorded.items():
                part = slice(*found.offsets[row : row + 2])
                pairs = [
                    (step, value)
                    for step, value in zip(*expected.get(name, ((), ())), strict=True)
                    if step <= block.end
                ]
                steps, values = found.steps[part], found.values[part]
                assert list(zip(steps, values, strict=True)) == pairs
    assert [r.status for r in records.values()] == ["failed"]


def test_signals_of_the_dictionary_are_there_before_anything_is_measured(long_corpus):
    block = next(early_curves(long_corpus, 0.04))
    assert list(block.recorded) == [
        "grad_norm",
        "lambda_1",
        "noise_scale",
        "train_accuracy_eval",
        "train_ce",
        "train_loss_eval",
        "val_accuracy",
        "val_loss",
    ]
    assert block.recorded["noise_scale"].unit == "image"
    assert not len(block.recorded["noise_scale"].values)


def test_runs_measured_at_the_same_steps_come_together():
    recorded = Recorded(
        unit="1",
        offsets=np.array([0, 2, 2, 3, 5]),
        steps=np.array([0, 5, 5, 0, 5], np.int32),
        values=np.arange(5, dtype=np.float32),
    )
    found = [
        (a.rows.tolist(), a.steps.tolist(), a.values.tolist()) for a in recorded.alike()
    ]
    assert found == [([0, 3], [0, 5], [[0, 1], [3, 4]]), ([2], [5], [[2]])]


def test_only_segments_up_to_the_window_are_read(corpus_folder):
    for path in (corpus_folder / "curves").glob("segment-[345]-*"):
        path.write_bytes(b"x" * path.stat().st_size)
    blocks = list(early_curves(Corpus.open(corpus_folder), 0.2))
    assert [block.end for block in blocks] == [20]


@pytest.mark.parametrize("until", [0.001, 0.07, 0.1, 0.29, 1 / 3, 0.57, 1.0])
def test_the_last_step_is_the_one_at_which_the_corpus_cuts(until):
    percent = round(until * 100, 9)
    lengths = np.arange(1, 100)
    expected = [
        max(step for step in range(n + 1) if 100 * step <= percent * n) for n in lengths
    ]
    assert last_step(until, lengths).tolist() == expected


def test_unknown_runs_and_shares_out_of_range_are_refused(long_corpus):
    with pytest.raises(KeyError, match="1 of 1 run ids are not in the corpus early"):
        next(early_curves(long_corpus, 0.2, ["r-0"]))
    with pytest.raises(ValueError, match="until is 0, expected a share"):
        next(early_curves(long_corpus, 0))


@pytest.mark.slow
def test_early_signals_need_no_torch():
    code = (
        "import sys; from harness.registry import CURVE_SIGNALS; CURVE_SIGNALS.names();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
