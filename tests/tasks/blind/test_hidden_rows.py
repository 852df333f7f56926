"""`harness verify` finds what is shown of hidden runs beyond their windows."""

import polars as pl
import pytest

from harness.manifest import read_manifest, write_manifest
from harness.verify import verify
from tasks.blind.hidden import ROLES_FILE, RUNS_FILE, curves_file
from tests.tasks.blind.making import planted

W04 = curves_file("w04")
RATES = curves_file("w20-rates")
BATCH = pl.col("batch_size").fill_null(1)


def longer(table, signal, by):
    """Return curves of which those of a signal go on for some steps."""
    mine = pl.col("signal") == signal
    far = pl.col("steps").list.max() + by
    steps = pl.concat_list("steps", far.cast(pl.Int32))
    values = pl.concat_list("values", pl.lit(0.5, pl.Float32))
    return table.with_columns(
        steps=pl.when(mine).then(steps).otherwise("steps"),
        values=pl.when(mine).then(values).otherwise("values"),
    )


def renamed(table, old, new):
    return table.with_columns(pl.col("signal").replace(old, new))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (RUNS_FILE, lambda t: t.with_columns(pl.lit(0.9).alias("final.test_accuracy")),
         "has the column(s) final.test_accuracy, which no window shows"),
        (RUNS_FILE, lambda t: t.with_columns(seed=pl.lit(1), status=pl.lit("")),
         "has the column(s) seed, status, which no window shows"),
        (RUNS_FILE, lambda t: t.with_columns(BATCH),
         "batch_size is shown, which the window hides: x-"),
        (RUNS_FILE, lambda t: t.with_columns(window=pl.lit("w05")),
         "run of a window that the manifest does not tell: x-"),
        (W04, lambda t: longer(t, "train_loss", 1), "steps after its window: x-"),
        (RATES, lambda t: longer(t, "train_loss", 1), "steps after its window: x-"),
        (RATES, lambda t: longer(t, "planned_lr", 1), "steps after its window: x-"),
        (W04, lambda t: t.with_columns(pl.lit(0.9).alias("final.test_accuracy")),
         "has the column(s) final.test_accuracy, which no window shows"),
        (W04, lambda t: renamed(t, "train_loss", "final_loss"),
         "a signal that its window does not show: x-"),
        (W04, lambda t: renamed(t, "lr", "planned_lr"),
         "a signal that its window does not show: x-"),
        (RATES, lambda t: renamed(t, "lr", "val_loss"),
         "a signal that its window does not show: x-"),
        (ROLES_FILE, lambda t: t.with_columns(accuracy=pl.lit(0.9)),
         "has the column(s) accuracy, which no window shows"),
    ],
)  # fmt: skip
def test_what_no_window_shows_is_found(made, tmp_path, name, change, told):
    copy = planted(made, tmp_path, name, change).folder
    found = [str(p) for p in verify(copy) if p.path == copy / name]
    assert any(told in problem for problem in found), found


def test_a_final_score_may_be_shown_where_its_window_says_so(made, tmp_path):
    score = pl.when(window="w04").then(0.9).alias("final.test_loss")
    copy = planted(made, tmp_path, RUNS_FILE, lambda t: t.with_columns(score)).folder
    manifest = read_manifest(copy)
    for window, count in (("w04", 0), ("w20-rates", 1)):
        for name, told in manifest["blind"]["windows"].items():
            told["finals"] = ["final.test_loss"] if name == window else []
        write_manifest(copy, manifest, manifest["files"])
        assert len(found := verify(copy)) == count
    assert "final.test_loss is shown, which the window hides: x-" in found[0].what


def test_a_run_in_the_file_of_another_window_is_found(made, tmp_path):
    other = pl.read_parquet(made.folder / RATES).filter(signal="train_loss")
    copy = planted(made, tmp_path, W04, lambda t: pl.concat([t, other])).folder
    found = [p.what for p in verify(copy) if p.path == copy / W04]
    assert any(what.startswith("run of another window: x-") for what in found)


def test_without_windows_in_the_manifest_nothing_may_be_shown(made, tmp_path):
    copy = planted(made, tmp_path, RUNS_FILE, lambda t: t).folder
    assert verify(copy) == []
    manifest = read_manifest(copy)
    del manifest["blind"]["windows"]
    write_manifest(copy, manifest, manifest["files"])
    told = {p.path.relative_to(copy).as_posix() for p in verify(copy)}
    assert told == {RUNS_FILE, W04, RATES}
