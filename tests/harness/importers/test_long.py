"""The long format: what is read, what is refused, and where the message points."""

import gzip
import math

import polars as pl
import pytest

from harness.errors import DataError
from harness.importers.tabular import BLOCK_BYTES
from harness.verify import verify

HEADER = "run_id,signal,step,value"


def test_curves_are_sorted_and_keep_what_is_not_finite(write, load, curves_of):
    rows = ["a,train_loss,3,inf", "a,train_loss,1,2.5", "a,train_loss,2,NaN"]
    corpus, done = load(write("x.csv", HEADER, *rows, "b,acc,0,-inf", "b,acc,5,"))
    curves = curves_of(corpus)
    loss = curves["a", "train_loss"]
    assert list(loss) == [1, 2, 3]
    assert loss[1] == 2.5
    assert math.isnan(loss[2])
    assert loss[3] == math.inf
    assert curves["b", "acc"] == {0: -math.inf}
    assert done.dropped == {"rows without a value": 1}
    assert (done.runs, done.curves, done.values) == (2, 2, 4)
    assert verify(corpus.folder) == []


def test_the_last_of_repeated_values_counts_and_they_are_counted(
    write, load, curves_of
):
    rows = ["a,x,1,1", "a,x,2,5", "a,x,1,1", "a,x,2,6", "a,x,3,nan", "a,x,3,nan"]
    corpus, done = load(write("x.csv", HEADER, *rows))
    steps = curves_of(corpus)["a", "x"]
    assert [steps[1], steps[2]] == [1, 6]
    assert done.dropped == {
        "repeated values, equal": 2,
        "earlier values of a step that has a later one in the files": 1,
    }


def test_columns_become_configuration_scores_and_families(write, load):
    header = f"{HEADER},optimizer,lr,seed,depth,final_test_accuracy,ood_c10_accuracy"
    rows = [
        "a,loss,1,2,sgd,0.1,0,18,0.9,0.5",
        "a,loss,2,1,,,,,,",
        "b,loss,1,2,sgd,0.1,1,18,0.8,",
        "c,loss,1,2,sgd,0.3,0,18,0.7,0.4",
    ]
    corpus, done = load(write("x.csv", header, *rows))
    runs = {row["foreign.run"]: row for row in corpus.runs().iter_rows(named=True)}
    assert runs["a"]["optimizer.name"] == "sgd"
    assert runs["a"]["optimizer.lr"] == 0.1
    assert (runs["a"]["seed"], runs["a"]["depth"]) == (0, 18)
    assert runs["a"]["model.name"] == "unknown"
    assert runs["a"]["final.test_accuracy"] == 0.9
    assert runs["a"]["final.validation_accuracy"] is None
    assert runs["b"]["ood.c10_accuracy"] is None
    assert runs["c"]["ood.c10_accuracy"] == 0.4
    assert runs["a"]["family_id"] == runs["b"]["family_id"]
    assert runs["a"]["family_id"] != runs["c"]["family_id"]
    assert done.families == 2


def test_without_configuration_every_run_is_a_family_and_the_card_says_so(write, load):
    corpus, _ = load(write("x.csv", f"{HEADER},seed", "a,x,1,1,0", "b,x,1,1,1"))
    assert corpus.runs()["family_id"].n_unique() == 2
    card = (corpus.folder / "README.md").read_text()
    assert "each is a family of its own" in card
    assert "license: unknown" in card


def test_replicates_may_be_told_by_a_family_column(write, load):
    corpus, _ = load(
        write("x.csv", f"{HEADER},family_id", "a,x,1,1,k", "b,x,1,1,k", "c,x,1,1,l")
    )
    ids = dict(corpus.runs(["foreign.run", "family_id"]).rows())
    assert ids["a"] == ids["b"] != ids["c"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings_are_told_apart(write, load, encoding):
    path = write("x.csv", HEADER, "gr\u00f6\u00dfe,x,1,0.5", encoding=encoding)
    corpus, done = load(path)
    assert corpus.runs()["foreign.run"].to_list() == ["gr\u00f6\u00dfe"]
    assert any("Latin-1" in n for n in done.notes) == (encoding == "latin-1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_quotes_and_compression_are_read(
    write, load, curves_of, delimiter, tmp_path
):
    rows = ["run_id|signal|step|value", '"a, b; c"|x|1|0.5', "", '"q""q"|x|2|1']
    plain = write("x.csv", *(row.replace("|", delimiter) for row in rows))
    packed = tmp_path / "y.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for number, path in enumerate((plain, packed)):
        corpus, _ = load(path, out=tmp_path / f"c{number}")
        expected = {("a, b; c", "x"): {1: 0.5}, ('q"q', "x"): {2: 1.0}}
        assert curves_of(corpus) == expected


def test_a_row_of_a_later_block_is_named_by_its_number_in_the_file(write, load):
    rows = [f"run-{k // 1000:09},signal,{k % 1000},1.25" for k in range(400_000)]
    path = write("x.csv", HEADER, *rows, "a,x,1,oops")
    assert path.stat().st_size > BLOCK_BYTES
    with pytest.raises(DataError, match="row 400002, column 'value': got 'oops'"):
        load(path)


def test_parquet_gives_what_csv_gives(write, load, curves_of, tmp_path):
    path = write("x.csv", f"{HEADER},lr", "7,x,1,0.5,0.1", "7,x,2,,", "8,y,3,NaN,0.2")
    frame = pl.read_csv(path)
    frame.write_parquet(tmp_path / "x.parquet")
    one, _ = load(path, name="c", out=tmp_path / "one")
    two, _ = load(tmp_path / "x.parquet", name="c", out=tmp_path / "two")
    assert one.runs().equals(two.runs())
    assert str(curves_of(one)) == str(curves_of(two))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["run,signal,step,value", "a,x,1,1"], "lacks the column.* run_id; it has run"),
        ([HEADER, "a,x,1,1", "a,x,2,oops"], "row 3, column 'value': got 'oops'"),
        ([HEADER, "a,x,1,1", "a,x,1;5,1"], "row 3, column 'step': got '1;5'"),
        ([HEADER, "a,x,-1,1"], "row 2, column 'step': got '-1', expected a step"),
        ([HEADER, "a,x,,1"], "row 2, column 'step': got ''"),
        ([HEADER, "a,x,inf,1"], "row 2, column 'step': got 'inf'"),
        ([HEADER, "a,x,0.5,1"], "'a'.* step 0.5: .* whole number.*--step-scale"),
        ([HEADER, "a,x,3e9,1"], "step 3e.09: .*at most 100,000,000.*--step-scale"),
        ([HEADER, "a,val_accuracy,1,93"], "'val_accuracy'.*93.0.*divide percentages"),
        ([HEADER, ",x,1,1"], "row 2, column 'run_id': got '', expected a name"),
        ([HEADER, "a,,1,1"], "row 2, column 'signal': got '', expected a name"),
        ([HEADER, "a\x1b[2J,x,1,1"], "without control characters"),
        ([HEADER, "a,x,1"], "(?s)Row #2.*every row needs as many cells"),
        ([f"{HEADER},value", "a,x,1,1,1"], "more than one column called 'value'"),
        ([f"{HEADER},lr", "a,x,1,1,1", "a,x,2,1,2"], "'lr': got '1' and '2'"),
        ([f"{HEADER},lr,learning_rate", "a,x,1,1,1,2"], "means the same as"),
        ([f"{HEADER},best_acc", "a,x,1,1,0.9"], "'best_acc' is called like an outcome"),
        ([f"{HEADER},grids", "a,x,1,1,0.9"], "'grids' is reserved"),
        ([f"{HEADER},final_test_accuracy", "a,x,1,1,93"], "got 93, expected a share"),
        (
            [f"{HEADER},final_test_accuracy", "a,x,1,1,high"],
            "got 'high', expected a nu",
        ),
        ([f"{HEADER},num_steps", "a,x,9,1,5"], "step 9, after its 5 planned"),
        ([f"{HEADER},status", "a,x,9,1,crashed"], "expected one of completed"),
        ([f"{HEADER},a,a.b", "a,x,9,1,5,6"], "'a.b' is both a value and"),
        ([HEADER], "there is no value"),
        ([], "there is no value"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    write, load, tmp_path, lines, said
):
    path = write("x.csv", *lines)
    with pytest.raises(DataError, match=said):
        load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_a_setting_that_sounds_like_an_outcome_may_be_declared_one(write, load):
    path = write("x.csv", f"{HEADER},loss_weight", "a,x,1,1,0.5")
    corpus, _ = load(path, renamed={"loss_weight": "objective.loss_weight"})
    assert corpus.runs()["objective.loss_weight"].to_list() == [0.5]


def test_a_nested_column_is_refused_and_a_missing_fact_contradicts_nothing(
    load, tmp_path
):
    columns = {
        "run_id": ["a", "a"],
        "signal": ["x", "x"],
        "step": [1, 2],
        "value": [1.0, 2.0],
        "lr": [math.nan, 0.1],
        "tags": [["p"], ["q"]],
    }
    path = tmp_path / "x.parquet"
    pl.DataFrame(columns).write_parquet(path)
    with pytest.raises(DataError, match=r"'tags': got a List.*--drop"):
        load(path)
    corpus, _ = load(path, left_out={"tags"})
    assert corpus.runs()["optimizer.lr"].to_list() == [0.1]


def test_names_are_mapped_and_left_out(write, load, curves_of):
    path = write("x.csv", "exp,signal,step,value,note", "a,loss,1,1,p", "a,x,1,2,q")
    corpus, done = load(
        path,
        renamed={"exp": "run_id", "loss": "train_loss"},
        left_out={"x", "note"},
    )
    assert curves_of(corpus) == {("a", "train_loss"): {1: 1.0}}
    assert done.dropped == {"values of signals left out": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"renamed": {"lss": "train_loss"}}, "--map names 'lss'"),
        ({"left_out": {"lss"}}, "--drop names 'lss'"),
        ({"renamed": {"y": "x"}}, "signals 'x' and 'y' would both be called 'x'"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"first_step": 2}, "first_step is 2"),
        ({"step_scale": math.nan}, "step_scale is nan"),
    ],
)
def test_options_that_mean_nothing_are_refused(write, load, options, said):
    path = write("x.csv", HEADER, "a,x,1,1", "a,y,1,1")
    with pytest.raises(ValueError, match=said):
        load(path, **options)
