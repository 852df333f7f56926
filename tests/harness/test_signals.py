"""`harness signals`: the dictionary with prices, and signals computed from curves."""

import json
import subprocess
import sys

import polars as pl
import pytest
from typer.testing import CliRunner

from harness import signals
from harness.cli import app
from harness.corpus import Corpus
from harness.early.table import early_signals

RUNNER = CliRunner()


def test_the_dictionary_is_listed_with_prices(built_folder):
    table = signals.recorded(Corpus.open(built_folder))
    text = signals.recorded_text(table)
    assert table["name"].to_list()[0] == "train_loss"
    assert "train_loss" in text.splitlines()[1]
    # 0.01 of 1.5 seconds went into logging: tests/harness/conftest.py
    assert "0.7 %" in text.splitlines()[1]


def test_computed_signals_are_written_and_summed_up(built_folder, tmp_path):
    out = tmp_path / "early.parquet"
    arguments = ["--window", "0.5", "--name", "sotl", "--out", str(out), "--json"]
    result = RUNNER.invoke(app, ["signals", str(built_folder), *arguments])
    assert result.exit_code == 0, result.output
    table = early_signals(Corpus.open(built_folder), until=0.5, names=["sotl"])
    assert pl.read_parquet(out).equals(table)
    first = json.loads(result.stdout)[0]
    values = table.filter(pl.col("signal") == first["signal"])["value"]
    assert (first["runs"], first["ok"]) == (len(values), values.count())
    assert first["median"] == pytest.approx(values.median())


def test_a_table_may_be_csv(built_folder, tmp_path):
    out = tmp_path / "early.csv"
    corpus = Corpus.open(built_folder)
    table = signals.computed(corpus, 0.5, ["last_loss"], out)
    assert pl.read_csv(out)["run_id"].to_list() == table["run_id"].to_list()
    assert "last_loss" in signals.summary_text(signals.summary(table))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "sotl"], "need --window"),
        (["--out", "x.parquet"], "need --window"),
        (["--window", "20"], "share"),
        (["--window", "0.2", "--name", "sottl"], "did you mean 'sotl'"),
        (["--window", "0.2", "--out", "x.xlsx"], "ending in .parquet or .csv"),
    ],
)
def test_wrong_options_are_explained(built_folder, arguments, said):
    result = RUNNER.invoke(app, ["signals", str(built_folder), *arguments])
    assert result.exit_code == 2
    assert said in result.stderr


def test_torch_is_not_loaded(built_folder):
    code = (
        "import sys\n"
        "from harness import signals\n"
        "from harness.corpus import Corpus\n"
        f"signals.computed(Corpus.open({str(built_folder)!r}), 0.2, None, None)\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
