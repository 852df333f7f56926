"""Exports of Weights & Biases: panels of many runs and histories of one."""

import pytest

from harness.errors import DataError


def quoted(*cells: str) -> str:
    return ",".join(f'"{cell}"' for cell in cells)


def test_a_panel_has_a_column_a_run_and_its_envelopes_are_left_out(
    write, load, curves_of
):
    path = write(
        "panel.csv",
        quoted(
            "Step",
            "eager-sky-1 - loss",
            "eager-sky-1 - loss__MIN",
            "eager-sky-1 - loss__MAX",
            "lr - sweep - 2 - loss",
            "lr - sweep - 2 - _step",
        ),
        quoted("1", "2.5", "2.4", "2.6", "", "1"),
        quoted("2", "NaN", "1", "1", "1.5", "2"),
        quoted("4", "Infinity", "1", "1", "1.25", "4"),
    )
    corpus, done = load(path, format="wandb", renamed={"loss": "train_loss"})
    curves = curves_of(corpus)
    assert len(curves) == 2
    assert str(curves["eager-sky-1", "train_loss"]) == "{1: 2.5, 2: nan, 4: inf}"
    assert curves["lr - sweep - 2", "train_loss"] == {2: 1.5, 4: 1.25}
    assert done.notes[0] == "panel.csv was read as a panel of 2 runs"
    assert done.dropped["columns of envelopes (__MIN, __MAX) and of the service"] == 3


def test_panels_of_several_metrics_are_one_corpus(write, load, curves_of):
    loss = write("loss.csv", quoted("Step", "a - loss"), quoted("1", "2"))
    rate = write("lr.csv", quoted("Step", "a - lr"), quoted("1", "0.1"))
    corpus, _ = load(loss, rate, format="wandb")
    assert set(curves_of(corpus)) == {("a", "loss"), ("a", "lr")}


def test_a_history_is_a_run_called_as_its_file(write, load, curves_of):
    path = write(
        "run7.csv",
        ",_step,_runtime,_timestamp,train/loss,val/loss,image,epoch",
        '0,1,0.5,1.7e9,2.5,,"{""path"": ""x.png""}",0',
        "1,2,0.6,1.7e9,2.25,1.5,,0",
        "2,,0.6,1.7e9,9,,,0",
    )
    corpus, done = load(
        path,
        format="wandb",
        renamed={"train/loss": "train_loss", "val/loss": "val_loss"},
        left_out={"epoch"},
    )
    assert curves_of(corpus) == {
        ("run7", "train_loss"): {1: 2.5, 2: 2.25},
        ("run7", "val_loss"): {2: 1.5},
    }
    assert done.notes[0] == "run7.csv was read as the history of run 'run7'"
    assert done.dropped["cells of 'image' that are no numbers"] == 1
    assert done.dropped["values without a step of 0 or more"] == 1


def test_histories_of_one_name_are_told_apart_by_their_folders(write, load, curves_of):
    paths = [
        write(f"{folder}/history.csv", "_step,x", f"1,{value}")
        for value, folder in enumerate(("a", "b"))
    ]
    corpus, _ = load(*paths, format="wandb")
    expected = {("a/history", "x"): {1: 0.0}, ("b/history", "x"): {1: 1.0}}
    assert curves_of(corpus) == expected


def test_a_column_may_name_the_runs_of_a_history(write, load, curves_of):
    path = write("all.csv", "Name,_step,x", "a,1,2", "b,1,3")
    corpus, _ = load(path, format="wandb")
    assert curves_of(corpus) == {("a", "x"): {1: 2.0}, ("b", "x"): {1: 3.0}}


def test_the_file_of_the_runs_page_gives_the_configuration(write, load):
    path = write("panel.csv", quoted("Step", "a - loss"), quoted("1", "2"))
    page = write(
        "runs.csv", quoted("Name", "lr", "best_acc"), quoted("a", "0.1", "0.9")
    )
    with pytest.raises(DataError, match="'best_acc' is called like an outcome"):
        load(path, format="wandb", config=page)
    renamed = {"best_acc": "final.best_acc"}
    corpus, _ = load(path, format="wandb", config=page, renamed=renamed)
    row = corpus.runs().row(0, named=True)
    assert (row["optimizer.lr"], row["final.best_acc"]) == (0.1, 0.9)


def test_another_axis_has_to_be_named(write, load, curves_of):
    path = write("panel.csv", quoted("epoch", "a - loss"), quoted("3", "2"))
    with pytest.raises(
        DataError, match=r"no column _step or Step; .*--map epoch=_step"
    ):
        load(path, format="wandb")
    corpus, _ = load(path, format="wandb", renamed={"epoch": "_step"})
    assert curves_of(corpus) == {("a", "loss"): {3: 2.0}}
