import json
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.publish import build
from harness.schema import SCHEMA_VERSION


def truncated(records, signal, until):
    """Return {run_id: [(step, value), ...]} up to a share of the steps, by a loop."""
    found = {}
    for record in records:
        pairs = [
            (int(step), float(value))
            for step, value in zip(*record.curves.get(signal, ((), ())), strict=True)
            if round(until * 100, 9) * record.num_steps >= 100 * int(step)
        ]
        if pairs:
            found[record.config.run_id] = pairs
    return found


def joined(frame):
    """Return the same mapping from the rows of a table of curves."""
    found = {}
    for row in frame.sort("segment").to_dicts():
        pairs = list(zip(row["steps"], row["values"], strict=True))
        found.setdefault(row["run_id"], []).extend(pairs)
    return found


@pytest.mark.parametrize("signal", ["train_loss", "val_loss"])
@pytest.mark.parametrize(
    "until", [0.04, 0.1, 0.2, 0.3, 0.5, 1.0, 0.07, 0.15, 1 / 3, 0.001]
)
def test_an_early_window_is_the_truncated_curve(
    corpus_folder, some_records, signal, until
):
    frame = Corpus.open(corpus_folder).curves([signal], until=until)
    expected = truncated(some_records, signal, until)
    np.testing.assert_equal(joined(frame), expected)
    assert frame.columns == ["run_id", "segment", "signal", "steps", "values"]
    assert set(frame["signal"]) <= {signal}


def test_an_early_window_touches_no_later_file(corpus_folder):
    for path in (corpus_folder / "curves").glob("segment-[345]-*"):
        path.write_bytes(b"x" * path.stat().st_size)
    corpus = Corpus.open(corpus_folder)
    assert set(corpus.curves(until=0.2)["segment"]) == {0, 1, 2}
    with pytest.raises(CorpusError, match=r"segment-3-00000\.parquet has changed"):
        corpus.curves(until=0.21)


def test_all_signals_of_chosen_runs(corpus_folder, some_records):
    record = some_records[3]
    frame = Corpus.open(corpus_folder).curves(run_ids=[record.config.run_id])
    assert set(frame["run_id"]) == {record.config.run_id}
    assert set(frame["signal"]) == set(record.curves)
    for signal in record.curves:
        part = frame.filter(pl.col("signal") == signal)
        expected = truncated([record], signal, 1.0)
        np.testing.assert_equal(joined(part), expected)


def test_only_row_groups_of_chosen_runs_are_read(
    corpus_folder, some_records, monkeypatch
):
    monkeypatch.setattr("harness.publish.GROUP_VALUES", 100)
    build(corpus_folder, name="b", grids={})
    opened = []
    read = pq.ParquetFile.read_row_groups

    def counting(file, groups, *arguments):
        opened.extend(groups)
        return read(file, groups, *arguments)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counting)
    corpus = Corpus.open(corpus_folder)
    for record in some_records[:3]:
        opened.clear()
        frame = corpus.curves(["train_loss"], run_ids=[record.config.run_id])
        assert len(opened) == len(frame) == 6
        expected = truncated([record], "train_loss", 1.0)
        np.testing.assert_equal(joined(frame), expected)


def test_windows_of_shares_are_checked(corpus_folder):
    corpus = Corpus.open(corpus_folder)
    for until in (0, -1, 1.01, float("nan")):
        with pytest.raises(ValueError, match="expected a share"):
            corpus.curves(until=until)


def test_unknown_signals_and_no_signals_are_empty(corpus_folder):
    corpus = Corpus.open(corpus_folder)
    assert corpus.curves(["sharpness"]).is_empty()
    assert corpus.curves([]).is_empty()
    assert corpus.curves(run_ids=[]).is_empty()


def test_a_folder_without_manifest_says_how_to_finish(tmp_path):
    with pytest.raises(CorpusError, match="harness status"):
        Corpus.open(tmp_path)
    with pytest.raises(CorpusError, match="is not a folder"):
        Corpus.open(tmp_path / "nothing")


def test_missing_and_resized_files_are_refused_on_open(corpus_folder):
    path = corpus_folder / "ood" / "part-00000.parquet"
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    with pytest.raises(CorpusError, match="has changed"):
        Corpus.open(corpus_folder)
    path.unlink()
    with pytest.raises(CorpusError, match="is missing"):
        Corpus.open(corpus_folder)


def test_no_flipped_byte_is_read(corpus_folder):
    names = list(Corpus.open(corpus_folder).manifest["files"])
    rng = np.random.default_rng(0)
    for name in (n for n in names if n.endswith(".parquet")):
        path = corpus_folder / name
        intact = path.read_bytes()
        damaged = bytearray(intact)
        damaged[rng.integers(len(intact))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        corpus = Corpus.open(corpus_folder)
        table = name.split("/")[0]
        with pytest.raises(CorpusError, match="has changed"):
            getattr(corpus, table)()
        path.write_bytes(intact)


def test_a_changed_manifest_is_refused(corpus_folder):
    path = corpus_folder / "corpus.json"
    text = path.read_text()
    for changed in (
        text.replace(SCHEMA_VERSION, "1.99"),
        text + " ",
        text[:-3],
        "[]",
        "{}",
    ):
        path.write_text(changed)
        with pytest.raises(CorpusError, match=r"corpus\.json (is damaged|differs)"):
            Corpus.open(corpus_folder)


def test_files_that_the_manifest_does_not_know_are_not_read(corpus_folder):
    source = corpus_folder / "runs" / "part-00000.parquet"
    (corpus_folder / "runs" / "part-00001.parquet").write_bytes(source.read_bytes())
    assert len(Corpus.open(corpus_folder).runs()) == 12


def test_polars_reads_every_table_like_the_corpus(corpus_folder):
    corpus = Corpus.open(corpus_folder)
    for table in ("runs", "curves", "ood", "events", "signals"):
        scanned = pl.scan_parquet(corpus_folder / table / "*.parquet").collect()
        assert scanned.equals(getattr(corpus, table)(), null_equal=True)


def test_duckdb_reads_every_table_like_the_corpus(corpus_folder):
    duckdb = pytest.importorskip("duckdb")
    corpus = Corpus.open(corpus_folder)
    with duckdb.connect() as connection:
        for table in ("runs", "curves", "ood", "events", "signals"):
            found = connection.execute(
                f"select count(*) from '{corpus_folder}/{table}/*.parquet'"
            ).fetchone()
            assert found == (corpus.manifest["rows"][table],)
        total = connection.execute(
            "select sum(s), sum(v) from (select unnest(steps) s, unnest(values) v "
            f"from '{corpus_folder}/curves/*.parquet' where signal = 'val_loss')"
        ).fetchone()
    curves = corpus.curves(["val_loss"]).explode("steps", "values")
    assert total[0] == curves["steps"].sum()
    assert total[1] == pytest.approx(curves["values"].cast(pl.Float64).sum())


def test_datasets_reads_every_table_like_the_corpus(
    corpus_folder, tmp_path, make_record
):
    calm = tmp_path / "calm"
    make_record().save(calm / "shards")
    build(calm, name="without-events", grids={})
    script = f"""
import json, os, warnings
warnings.simplefilter("ignore")
import datasets
counts = {{}}
for name in ("runs", "curves", "ood", "events", "signals"):
    table = datasets.load_dataset({str(corpus_folder)!r}, name, split="train")
    stream = datasets.load_dataset(
        {str(corpus_folder)!r}, name, split="train", streaming=True
    )
    rows = list(stream)
    assert json.dumps(rows[:5]) == json.dumps(list(table)[:5])
    counts[name] = [len(table), len(rows)]
offered = datasets.get_dataset_config_names({str(calm)!r})
windows = {{f"curves-w{{percent:02d}}" for percent in (4, 10, 20, 30, 50)}}
assert set(offered) == windows | {{"runs", "curves", "ood", "signals"}}, offered
assert len(datasets.load_dataset({str(calm)!r}, split="train")) == 1
default = datasets.load_dataset({str(corpus_folder)!r}, split="train")
print(json.dumps([counts, default["final.test_accuracy"][:12]]), flush=True)
os._exit(0)  # threads of pyarrow may abort a shutdown: apache/arrow#45214
"""
    environment = {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "PATH": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts, accuracies = json.loads(done.stdout)
    corpus = Corpus.open(corpus_folder)
    assert counts == {k: [n, n] for k, n in corpus.manifest["rows"].items()}
    assert accuracies == corpus.runs()["final.test_accuracy"].to_list()
