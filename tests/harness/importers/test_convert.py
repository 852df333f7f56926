"""An import as a whole: round trip, steps, identity, early signals, robustness."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from harness import show
from harness.cli import app
from harness.corpus import Corpus
from harness.early.table import early_signals
from harness.errors import DataError
from harness.importers import convert
from harness.importers.gather import Gather
from harness.importers.points import POINTS, Context, Points
from harness.registry import IMPORTERS
from harness.seeds import stream
from harness.verify import verify

HEADER = "run_id,signal,step,value"
RUNNER = CliRunner()


def exported(corpus: Corpus) -> pl.DataFrame:
    """Return a corpus in the long format, with columns of its table of runs."""
    facts = ["num_steps", "steps_per_epoch", "status", "diverged_step"]
    settings = ["optimizer.name", "optimizer.lr", "batch_size", "seed"]
    runs = corpus.runs(["run_id", *facts, *settings, "final.test_accuracy"])
    curves = corpus.curves().explode("steps", "values").drop("segment")
    return curves.rename({"steps": "step", "values": "value"}).join(runs, on="run_id")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_exported_corpus_comes_back_the_same(built_folder, tmp_path, load, kind):
    before = Corpus.open(built_folder)
    table = exported(before).sample(fraction=1.0, shuffle=True, seed=1)
    path = tmp_path / f"long.{kind}"
    table.write_csv(path) if kind == "csv" else table.write_parquet(path)
    after, _ = load(path)
    names = after.runs(["run_id", "foreign.run"])
    keys = ["run_id", "segment", "signal"]
    found = after.curves().join(names, on="run_id").drop("run_id")
    found = found.rename({"foreign.run": "run_id"}).select(before.curves().columns)
    assert found.sort(keys).equals(before.curves().sort(keys))
    columns = ["optimizer.lr", "seed", "final.test_accuracy", "status", "num_steps"]
    one = before.runs(["run_id", "family_id", *columns]).sort("run_id")
    two = after.runs(["foreign.run", "family_id", *columns]).sort("foreign.run")
    both = one.join(two, left_on="run_id", right_on="foreign.run")
    for column in columns:
        assert both[column].equals(both[f"{column}_right"]), column
    pairs = both.select("family_id", "family_id_right").unique()
    assert (
        len(pairs) == one.filter(pl.col("status") != "failed")["family_id"].n_unique()
    )
    assert verify(after.folder) == []


def foreign_rows(num: int) -> list[str]:
    """Return random curves with gaps, jumps, repeats and values that are not finite."""
    rows = []
    for index in range(num):
        noise = stream(index, "foreign")
        length = int(noise.integers(1, 400))
        steps = np.sort(noise.choice(400, size=min(length, 400), replace=False))
        for signal in (
            "train_loss",
            "val_loss",
            "lr",
            "grad_norm",
            "val_accuracy",
            "z",
        ):
            if noise.random() < 0.3:
                continue
            kept = steps[noise.random(len(steps)) < noise.choice([1.0, 0.7, 0.05])]
            value = noise.choice([1e-3, 1.0, 1e3]) * (1 + kept) ** -noise.uniform(-1, 1)
            value *= np.exp(0.2 * noise.standard_normal(len(kept)))
            if signal == "val_accuracy":
                value = noise.random(len(kept))
            value[noise.random(len(kept)) < 0.01] = noise.choice(
                [np.nan, np.inf, -np.inf]
            )
            if signal != "val_accuracy" and noise.random() < 0.1:
                value = -value
            if noise.random() < 0.1:
                value[:] = 1.0 if signal != "val_accuracy" else 0.5
            rows += [
                f"r{index},{signal},{step},{v}"
                for step, v in zip(kept.tolist(), value.tolist(), strict=True)
            ]
    return rows


@pytest.mark.parametrize("steps_per_epoch", [None, 7])
def test_early_signals_of_random_foreign_curves_raise_nothing(
    write, load, steps_per_epoch
):
    num = 200 if steps_per_epoch else 40
    rows = foreign_rows(num)
    stream(0, "order").shuffle(rows)
    corpus, done = load(write("x.csv", HEADER, *rows), steps_per_epoch=steps_per_epoch)
    assert done.runs > 0.9 * num
    assert verify(corpus.folder) == []
    for until in (0.2, 0.55):
        table = early_signals(corpus, until=until)
        assert table["run_id"].n_unique() == done.runs
        assert table.filter(pl.col("status") == "ok")["value"].is_finite().all()
    assert "families" in show.corpus_text(corpus)
    for run in ("r0", "r1", "r2"):
        assert "curves" in show.run_text(corpus, run)


def test_steps_that_count_from_zero_are_raised_by_one(write, load, curves_of, tmp_path):
    rows = ["a,train_loss,0,3", "a,train_loss,1,2", "a,val_loss,1,4", "b,val_loss,0,1"]
    path = write("x.csv", HEADER, *rows)
    corpus, done = load(path, out=tmp_path / "auto")
    curves = curves_of(corpus)
    assert curves["a", "train_loss"] == {1: 3, 2: 2}
    assert curves["a", "val_loss"] == {2: 4}
    assert curves["b", "val_loss"] == {1: 1}
    assert "steps count from 0" in done.notes[0]
    kept, done = load(path, out=tmp_path / "kept", first_step=1)
    assert curves_of(kept)["a", "train_loss"] == {1: 2}
    assert curves_of(kept)["b", "val_loss"] == {0: 1}
    assert done.dropped == {"values of updates at step 0, before the first update": 1}


def test_a_rate_at_step_zero_does_not_decide_where_there_is_a_loss(
    write, load, curves_of
):
    path = write("x.csv", HEADER, "a,train_loss,1,3", "a,lr,0,1", "a,lr,1,1")
    corpus, _ = load(path)
    assert curves_of(corpus)["a", "lr"] == {1: 1}


def test_epochs_and_tokens_become_updates_by_a_scale(write, load, curves_of, tmp_path):
    epochs = write("epochs.csv", HEADER, "a,x,0.5,1", "a,x,1,2", "a,x,2,3")
    corpus, _ = load(epochs, step_scale=10, steps_per_epoch=10, out=tmp_path / "e")
    assert list(curves_of(corpus)["a", "x"]) == [5, 10, 20]
    assert corpus.runs(["num_steps", "steps_per_epoch"]).row(0) == (20, 10)
    tokens = write("tokens.csv", HEADER, "a,x,524288,1", "a,x,5242880000,2")
    corpus, _ = load(tokens, step_scale=1 / 524288, out=tmp_path / "t")
    assert list(curves_of(corpus)["a", "x"]) == [1, 10_000]


def test_a_loss_that_ends_without_finite_values_diverged(write, load):
    rows = ["a,train_loss,1,nan", "a,train_loss,2,1", "a,train_loss,3,inf"]
    rows += ["b,train_loss,1,nan", "b,train_loss,2,1", "c,train_loss,1,nan"]
    corpus, _ = load(write("x.csv", HEADER, *rows))
    runs = corpus.runs(["foreign.run", "status", "diverged_step"]).sort("foreign.run")
    assert runs.rows() == [
        ("a", "diverged", 3),
        ("b", "completed", None),
        ("c", "diverged", 1),
    ]


def test_ids_depend_on_the_given_id_and_the_collection_only(write, load, tmp_path):
    plain = write("a.csv", HEADER, "a,x,1,1")
    told = write("b.csv", f"{HEADER},lr", "a,x,1,1,3", "b,x,1,1,4")
    ids = [
        set(load(p, name=n, out=tmp_path / o)[0].runs()["run_id"])
        for p, n, o in ((plain, "c", "1"), (told, "c", "2"), (plain, "d", "3"))
    ]
    assert ids[0] < ids[1]
    assert not ids[0] & ids[2]
    assert {len(i) for i in ids[1]} == {22}


def test_strange_names_are_harmless(write, load, tmp_path):
    strange = ["../../etc/x", "=HYPERLINK(1)", "| x | <b>", "a" * 3000, "$x^{$", "\\"]
    rows = [f"{name},{name},1,1,{name[:9]},0.5" for name in strange]
    header = f"{HEADER},optimizer,final_test_accuracy"
    corpus, done = load(write("x.csv", header, *rows), name="$y^{$")
    assert done.runs == len(strange)
    assert set(corpus.runs()["foreign.run"]) == set(strange)
    assert all(
        path.is_relative_to(corpus.folder) for path in tmp_path.rglob("*.parquet")
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "x.csv"]
    card = (corpus.folder / "README.md").read_text()
    assert "<b>" not in card
    assert "| x | " not in card
    assert "=HYPERLINK" in show.run_text(corpus, "=HYPERLINK(1)")
    show.corpus_figure(corpus).savefig(tmp_path / "corpus.svg")
    show.run_figure(corpus, "$x^{$").savefig(tmp_path / "run.svg")
    assert verify(corpus.folder) == []


def test_facts_may_come_from_a_file_of_their_own(write, load):
    path = write("x.csv", HEADER, "a,x,1,1", "b,x,1,1")
    config = write(
        "c.csv", "Name,lr,environment.host,State", "a,0.1,n1,ok", "z,1,n2,ok"
    )
    corpus, done = load(path, config=config, left_out={"State"})
    rates = corpus.runs(["foreign.run", "optimizer.lr", "environment.host"])
    assert rates.sort("foreign.run").rows() == [("a", 0.1, "n1"), ("b", None, None)]
    assert any("1 runs have facts but no curve, such as 'z'" in n for n in done.notes)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["run,lr", "a,1"], "lacks a column run_id or Name"),
        (["run_id,lr", "a,1", "a,2"], "'lr': got '1' and '2'"),
        ([], "it has nothing"),
    ],
)
def test_a_wrong_file_of_facts_is_explained(write, load, lines, said):
    path = write("x.csv", HEADER, "a,x,1,1")
    with pytest.raises(DataError, match=said):
        load(path, config=write("c.csv", *lines))


def test_a_folder_that_holds_something_is_left_alone(write, load, corpus_folder):
    path = write("x.csv", HEADER, "a,x,1,1")
    before = {p: p.read_bytes() for p in corpus_folder.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match="is not empty"):
        load(path, out=corpus_folder)
    assert before == {p: p.read_bytes() for p in before}


def test_a_failure_half_way_leaves_nothing(write, load, tmp_path):
    path = write("x.csv", HEADER, "a,x,1,1", "b,x,7,1")
    with pytest.raises(DataError, match="after its 5 planned"):
        load(path, num_steps=5)
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_many_buckets_give_what_one_gives(tmp_path):
    rows = [row.split(",") for row in foreign_rows(30)]
    frame = pl.DataFrame(
        [[r, s, float(t), float(v)] for r, s, t, v in rows], schema=POINTS, orient="row"
    )
    found = []
    for size in (1, 1 << 40):
        gather = Gather(
            tmp_path / str(size),
            collection="c",
            size=size,
            context=Context(),
            scale=None,
        )
        for part in frame.iter_slices(700):
            gather.add(Points(part, "x.csv", {}))
        found.append(list(gather.runs(first_step=1)))
    assert len(list((tmp_path / str(1 << 40)).iterdir())) > 20
    assert [run.name for run in found[0]] == [run.name for run in found[1]]
    for one, many in zip(*found, strict=True):
        assert one.curves.keys() == many.curves.keys()
        for signal, curve in one.curves.items():
            np.testing.assert_array_equal(curve.steps, many.curves[signal].steps)
            np.testing.assert_array_equal(curve.values, many.curves[signal].values)


def own_importer(paths, context):
    """Return one value, as an importer that a user wrote may."""
    row = {"run": "mine", "signal": "x", "step": 3.0, "value": 1.0}
    yield Points(pl.DataFrame([row], schema=POINTS), str(paths[0]), {})


def test_an_importer_of_ones_own_is_named_by_module_and_attribute(
    write, load, curves_of
):
    corpus, _ = load(write("x"), format=f"{__name__}:own_importer")
    assert curves_of(corpus) == {("mine", "x"): {3: 1.0}}
    assert IMPORTERS.names() == ["long", "tensorboard", "wandb"]


def test_the_command_reports_as_text_and_as_data(write, tmp_path):
    rows = [f"a,loss,{10 * k},{k}" for k in range(1, 5)]
    path = write("x.csv", HEADER, *rows)
    common = ["import", str(path), "--format", "long", "--map", "loss=train_loss"]
    text = RUNNER.invoke(app, [*common, "--out", str(tmp_path / "one")])
    assert text.exit_code == 0, text.output
    assert "1 runs (1 completed) in 1 families, 1 curves, 4 values" in text.output
    assert "--step-scale" in text.output
    assert "final_test_accuracy: none of 1 runs has it" in text.output
    assert max(map(len, text.output.splitlines()[1:])) <= 80
    data = RUNNER.invoke(app, [*common, "--out", str(tmp_path / "two"), "--json"])
    found = json.loads(data.stdout)
    assert found["signals"] == [
        {"name": "train_loss", "runs": 1, "values": 4, "known": True}
    ]
    assert "lr_curve" in {each["what"] for each in found["missing"]}
    for command in (["verify"], ["show"], ["signals"], ["status"]):
        done = RUNNER.invoke(app, [*command, str(tmp_path / "two")])
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "lomg"], "did you mean 'long'"),
        (["--format", "long", "--map", "loss"], "expected OLD=NEW"),
        (["--format", "long", "--map", "p=q"], "--map names 'p'"),
    ],
)
def test_wrong_options_are_explained_at_the_command_line(
    write, tmp_path, options, said
):
    path = write("x.csv", HEADER, "a,x,1,1")
    done = RUNNER.invoke(app, ["import", str(path), "--out", str(tmp_path), *options])
    assert done.exit_code != 0


def test_importing_loads_no_torch(write, tmp_path):
    path = write("x.csv", HEADER, "a,train_loss,1,1")
    program = (
        "import sys; from pathlib import Path; from harness.importers import convert;"
        "convert.import_corpus(convert.Request(files=[Path(sys.argv[1])], "
        "format='long', out=Path(sys.argv[2])));"
        "sys.exit('torch' in sys.modules or 'harness.train' in sys.modules)"
    )
    arguments = [sys.executable, "-c", program, str(path), str(tmp_path / "c")]
    assert subprocess.run(arguments, check=False).returncode == 0


def test_pairs_are_split_at_the_last_equals_sign():
    assert convert.pairs(["a=b=c", "x=y"]) == {"a=b": "c", "x": "y"}
