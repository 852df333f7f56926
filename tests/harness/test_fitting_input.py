"""What `harness fit` reads: files that are refused, parameters, rates filled in."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from harness.fitting.answer import fit_files
from harness.fitting.files import check_ascending, check_unique, read_columns
from harness.fitting.rates import fill_rates
from harness.fitting.request import Given, Request
from harness.fitting.several import spread
from tests.harness.fits.published_curves import HELD_OUT, TRAINING, published_rates

T = np.arange(10, 4001, 10)
UPDATES, WARMUP = 3000, 100
SHARE = np.linspace(0, 1, UPDATES - WARMUP)
DECAYS = {
    "constant": np.ones(len(SHARE)),
    "two": np.where(SHARE < 0.5, 1.0, 0.3),
    "three": np.select([SHARE < 0.3, SHARE < 0.6], [1.0, 0.5], 0.05),
    "line": 1 - 0.95 * np.maximum(SHARE - 0.7, 0) / 0.3,
}


def write(path: Path, **columns) -> Path:
    table = pl.DataFrame({name: np.asarray(c) for name, c in columns.items()})
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path)
    return path


@pytest.mark.parametrize("every", [1, 10, 50])
@pytest.mark.parametrize("name", ["constant", "two", "three", "line"])
def test_rates_of_stages_and_lines_are_restored(name, every):
    rates = np.r_[np.linspace(0, 1, WARMUP), DECAYS[name]]
    first = WARMUP + 50
    begin = np.flatnonzero(np.abs(np.diff(rates)) > 0.1) + 2  # logged too, as usual
    at = np.union1d(np.arange(first, UPDATES + 1, every), begin)
    filled = fill_rates(at, rates[at - 1], warmup_steps=WARMUP).rates
    np.testing.assert_allclose(filled, rates[: at[-1]], atol=1e-3 if every > 1 else 0)
    off = np.abs(filled - rates[: at[-1]])
    assert (off > 1e-9).mean() < 0.02


def test_rates_of_the_published_schedules_are_restored(shared_data):
    for name in (*TRAINING, *HELD_OUT):
        path = shared_data / "multi_power_law" / "25" / f"{name}.csv"
        table = read_columns(path, ("step", "lr"))
        at = table.values["step"].astype(int) + 1
        filled = fill_rates(at, table.values["lr"], warmup_steps=2160).rates
        off = np.abs(filled - published_rates(name)[: at[-1]]).max() / 3e-4
        # exponential decay begins between two rows: a corner of straight lines
        assert off < (2e-3 if name.startswith("wsd_") else 6e-5)


def test_what_comes_before_the_first_row_is_told():
    at, lr = np.array([100, 110, 120]), np.array([1.0, 1.0, 0.9])
    guess = fill_rates(at, lr)
    assert guess.note == "warm-up from 0 at update 1 to 1 at update 99 (guessed)"
    np.testing.assert_allclose(guess.rates[:100], np.r_[np.linspace(0, 1, 99), 1.0])
    none = fill_rates(at, lr, warmup_steps=0)
    assert none.note == "no warm-up: rate 1 at update 1"
    assert set(none.rates[:110]) == {1.0}
    peak = fill_rates(at, lr, warmup_steps=11, peak_lr=2.0)
    assert peak.rates[10] == 2.0
    assert peak.rates[99] == 1.0
    inside = fill_rates(np.array([10, 20, 30]), np.array([0.9, 1.9, 2.0]))
    np.testing.assert_allclose(inside.rates[:20], np.arange(20) / 10)
    near = fill_rates(np.array([10, 20, 30]), np.ones(3))
    assert near.note == "no warm-up: rate 1 at update 1 (guessed)"
    given = fill_rates(np.array([10, 20]), np.array([0.9, 1.9]), warmup_steps=50)
    assert given.note == "warm-up from 0 at update 1 to 0.9 at update 10"
    assert fill_rates(np.arange(1, 4), np.ones(3)).note == ""


def test_a_jump_happens_at_the_row_that_shows_it():
    filled = fill_rates(np.array([1, 4, 7, 10]), np.array([1.0, 1.0, 0.1, 0.1]))
    assert filled.rates.tolist() == [1.0] * 6 + [0.1] * 4
    last = fill_rates(np.array([1, 4, 7]), np.array([1.0, 1.0, 0.1]))
    assert last.rates.tolist() == [1.0] * 6 + [0.1]


def test_unusable_warm_ups_are_refused():
    with pytest.raises(ValueError, match="warm-up is -1 updates"):
        fill_rates(np.array([1, 2]), np.ones(2), warmup_steps=-1)
    with pytest.raises(ValueError, match=r"peak of the rate is 0\.0"):
        fill_rates(np.array([1, 2]), np.ones(2), peak_lr=0.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON document"),
        ("[]", 'such as {"law": "power", "parameters": {"alpha": 1.0, "log_c": 1.0}}'),
        ('{"law": "power"}', "expected a document such as"),
        ('{"law": "x", "parameters": {"alpha": 1}}', "holds parameters of 'x'"),
        ('{"law": "power", "parameters": {}}', "has the parameters none"),
        ('{"law": "power", "parameters": {"alpha": 1}}', "expected alpha, log_c"),
        (
            '{"law": "power", "parameters": {"alpha": NaN, "log_c": 0}}',
            "alpha is nan, expected a finite number",
        ),
        (
            '{"law": "power", "parameters": {"alpha": "1", "log_c": 0}}',
            "alpha is '1', expected",
        ),
        (
            '{"law": "power", "parameters": {"a.csv": {"alpha": 1, "log_c": 0}}}',
            r"no parameters for b\.csv, only for a\.csv",
        ),
    ],
)
def test_unusable_parameters_are_explained(tmp_path, text, said):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        Given(path, "power").of("b.csv")
    with pytest.raises(ValueError, match="there is no such file"):
        Given(tmp_path / "q.json", "power")


GOOD = "step,lr,loss\n10,0.1,2.0\n20,0.1,1.5\n30,0.1,1.2\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; expected a header"),
        ("step,lr,loss\n", "has a header and no rows"),
        ("Step,lr,train_loss\n1,2,3\n", "no column step, loss; .*rename 'Step' to"),
        ("a;b;c\n1;2;3\n", "separate the cells by commas"),
        ("epoch,lr,loss\n1,2,3\n", "no column step; expected step, lr, loss, found ep"),
        ("step,lr,loss,loss\n1,2,3,4\n", "several columns called loss"),
        ("step,lr,loss\n1,2\n", "line 2: has 2 cells, expected 3"),
        ("step,lr,loss\n1,0.1,abc\n", "line 2: loss is 'abc', expected a loss in nat"),
        ("step,lr,loss\n1,0.1,\n", "line 2: loss is empty, expected"),
        ("step,lr,loss\n1,0.1,nan\n", "line 2: loss is 'nan', .*leave the row out"),
        ("step,lr,loss\n1,0.1,inf\n", "line 2: loss is inf, expected"),
        ("step,lr,loss\n\n1,0.1,-1\n", "line 3: loss is -1, expected"),
        ("step,lr,loss\n1,0.1,0\n", "line 2: loss is 0, expected .* > 0"),
        ("step,lr,loss\n1.5,0.1,1\n", r"line 2: step is 1\.5, .* whole number of up"),
        ("step,lr,loss\n-1,0.1,1\n", "line 2: step is -1, expected a whole"),
        ("step,lr,loss\n1,-0.1,1\n", r"line 2: lr is -0\.1, expected a learning rate"),
        (GOOD + "25,0.1,1\n", "line 5: step is 25 after 30 of line 4.*sort the rows"),
        (GOOD + "30,0.1,1\n", "line 5: step is again 30 of line 4; keep one row"),
        (GOOD[:24], "has 1 rows, expected at least 2"),
        (GOOD.replace("10,", "0,", 1), "step is 0, before the first update.*--first"),
        (GOOD.replace("0.1", "0"), "every lr is 0"),
        (GOOD.replace("30,", "3e9,"), "line 4: step is 3e.09, more than .* tokens"),
    ],
)
def test_bad_files_are_refused_with_line_and_remedy(tmp_path, text, said):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)bad\.csv.*{said}"):
        fit_files(Request(law="multi-power", train=(path,)))


def test_all_problems_of_a_file_are_told_at_once(tmp_path):
    rows = [f"{i},0.1,{'x' if i % 2 else 1}" for i in range(1, 40)]
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(["step,lr,loss", *rows]))
    with pytest.raises(
        ValueError,
        match=r"20 problems\n.*line 2: .*\n.*and 12 more".replace(".*", "(?s:.*)"),
    ):
        read_columns(path, ("step", "loss"))


def test_bad_parquet_is_refused_with_its_row(tmp_path):
    path = write(tmp_path / "a.parquet", step=T, loss=np.where(T == 30, np.nan, 1.0))
    with pytest.raises(ValueError, match="row 3: loss is nan, expected"):
        read_columns(path, ("step", "loss"))
    words = write(tmp_path / "b.parquet", step=["a", "b"], loss=[1.0, 2.0])
    with pytest.raises(ValueError, match="row 1: step is 'a'"):
        read_columns(words, ("step", "loss"))
    (tmp_path / "c.parquet").write_text("step,loss\n")
    with pytest.raises(ValueError, match="is not readable Parquet"):
        read_columns(tmp_path / "c.parquet", ("step", "loss"))


def test_files_of_no_known_kind_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        read_columns(tmp_path / "none.csv", ("loss",))
    with pytest.raises(ValueError, match=r"ending in \.csv or \.parquet"):
        read_columns(tmp_path / "a.xlsx", ("loss",))
    (tmp_path / "latin.csv").write_bytes(b"step,loss\n\xff,1\n")
    with pytest.raises(ValueError, match="no CSV text in UTF-8"):
        read_columns(tmp_path / "latin.csv", ("step", "loss"))


def test_csv_may_have_a_mark_spaces_quotes_and_blank_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfstep, "loss" ,x\r\n1, 2.5,a\r\n\r\n3,"4e-1",b\r\n')
    table = read_columns(path, ("step", "loss"))
    assert table.values["step"].tolist() == [1, 3]
    assert table.values["loss"].tolist() == [2.5, 0.4]
    assert [table.at(0), table.at(1)] == ["line 2", "line 4"]
    check_ascending(table)
    check_unique(table, "step")


@pytest.mark.parametrize(
    ("column", "factor"), [("step", 5000), ("lr", 5000.0), ("loss", 5000.0)]
)
def test_files_in_different_units_are_refused(tmp_path, column, factor):
    columns = {"step": 100 * T, "lr": 1e-3 + 0 * T, "loss": 2.0 * T**-0.1}
    a = write(tmp_path / "a.csv", **columns)
    b = write(tmp_path / "b.csv", **columns | {column: columns[column] * factor})
    with pytest.raises(ValueError, match=f"{column} of .*b.csv .* not the same unit"):
        fit_files(Request(law="multi-power", train=(a, b)))


def test_pairs_that_cannot_be_made_are_explained(tmp_path):
    a = write(tmp_path / "a.csv", tokens=[1.0, 2.0], loss=[2.0, 1.0])
    b = write(tmp_path / "b.csv", tokens=[1e9, 2e9], loss=[2.0, 1.0])
    c = write(tmp_path / "c.csv", step=[1, 2], loss=[2.0, 1.0])
    d = write(tmp_path / "d.csv", tokens=[1.0, 2.0, 1.0], loss=[2.0, 1.0, 1.5])
    for files, said in (
        ((a, b), r"no tokens in common \(1 \.\. 2 and 1e\+09 \.\. 2e\+09\)"),
        ((a, c), "share no column tokens or step"),
        ((a, d), "line 4: tokens is again 1 of line 2; keep one row a value"),
        ((a, b, c), "takes two files .* got 3"),
        ((a,), "has no column l0, l1"),
    ):
        with pytest.raises(ValueError, match=said):
            fit_files(Request(law="loss-to-loss", train=files))


def test_words_behind_an_option_of_several_values_are_its_values():
    names = {"--train", "--test"}
    line = "law --train a b --test=c d --until 0.2 e --train f -- --train g"
    spelled = (
        "law --train a --train b --test=c --test d --until 0.2 e --train f -- --train g"
    )
    assert " ".join(spread(line.split(), names)) == spelled
