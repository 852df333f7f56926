"""Event files: `scalars.tfevents` was written by TensorBoard's own writer, 2.21."""

import math
import shutil
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.importers.event_file import masked_crc, scalars

FILE = Path(__file__).with_name("scalars.tfevents")
"""Tags old (simple_value), new/f4, new/f8 (tensors) with the values below; new/i4 and
new/i8 with 7, 0, -3; and a vector and a text at three steps."""
FLOATS = {0: 2.5, 1: 0.0, 2: math.nan, 3_000_000: math.inf}


def test_the_checksum_is_that_of_the_standard():
    crc = 0xE3069283  # of b"123456789": RFC 3720
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc(b"123456789") == masked


def test_both_forms_of_scalars_are_read():
    found: dict[str, dict[int, float | None]] = {}
    for tag, step, value in scalars(FILE):
        found.setdefault(tag, {})[step] = value
    for tag in ("old", "new/f4", "new/f8"):
        assert str(found[tag]) == str(FLOATS)
    assert found["new/i4"] == found["new/i8"] == {0: 7, 1: 0, 2: -3}
    assert set(found["vector"].values()) == set(found["text"].values()) == {None}


def test_folders_are_runs_and_what_is_no_scalar_is_counted(load, curves_of, tmp_path):
    for run in ("x/a", "x/b"):
        (tmp_path / "logs" / run).mkdir(parents=True)
        shutil.copy(FILE, tmp_path / "logs" / run / "events.out.tfevents.1.host")
    corpus, done = load(
        tmp_path / "logs", format="tensorboard", renamed={"old": "train_loss"}
    )
    curves = curves_of(corpus)
    assert {run for run, _ in curves} == {"x/a", "x/b"}
    raised = {step + 1: value for step, value in FLOATS.items()}
    assert str(curves["x/a", "train_loss"]) == str(raised)
    assert done.dropped == {"values that are no scalars (images, texts)": 12}


def test_a_file_that_ends_early_is_read_as_far_as_it_goes(load, curves_of, tmp_path):
    cut = tmp_path / "run" / "events.out.tfevents.1.host"
    cut.parent.mkdir()
    cut.write_bytes(FILE.read_bytes()[:-3])
    corpus, done = load(cut, format="tensorboard")
    assert curves_of(corpus)["run", "new/i4"] == {0: 7.0, 1: 0.0}
    assert "ends within a record" in done.notes[0]


def test_every_changed_byte_is_found(tmp_path):
    whole = FILE.read_bytes()
    path = tmp_path / "events"
    for place in range(0, len(whole), 3):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]
        )
        with pytest.raises(DataError, match="is damaged"):
            list(scalars(path))


@pytest.mark.parametrize(
    "content", [b"run_id,signal,step,value\na,x,1,1\n", b"PAR1" * 9]
)
def test_another_file_is_no_event_file(load, tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(DataError, match="it is no event file"):
        load(path, format="tensorboard")


def test_a_folder_without_event_files_is_explained(load, tmp_path):
    with pytest.raises(DataError, match="has no event file"):
        load(tmp_path, format="tensorboard", out=tmp_path / "c")


def test_what_torch_writes_is_read(load, curves_of, tmp_path):
    pytest.importorskip("tensorboard", reason="torch writes event files through it")
    from torch.utils.tensorboard import SummaryWriter

    for new_style in (False, True):
        with SummaryWriter(str(tmp_path / f"logs/{new_style}")) as writer:
            for step in range(5):
                writer.add_scalar("x", 1 / (step + 1), step, new_style=new_style)
    corpus, _ = load(tmp_path / "logs", format="tensorboard")
    for curve in curves_of(corpus).values():
        assert list(curve.values()) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
