"""Croissant metadata: valid without a warning, and mlcroissant reads every cell."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlcroissant as mlc
import polars as pl
import pytest

from harness.importers.convert import Request, import_corpus
from harness.manifest import read_manifest, write_manifest
from harness.release.columns import describe
from harness.release.croissant import croissant_text
from harness.release.notes import Change, Notes
from harness.storage import sha256_of

pytestmark = [  # mlcroissant 1.1 is behind rdflib 7 and pandas 3.1
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning"),
]
FIRST = Change(version="1.2.0", released="2026-11-20", text="First release.")
NOTES = Notes(version="1.2.0", released="2026-11-20", changes=(FIRST,))
ON_HUB = Notes(
    version="1.2.0",
    released="2026-11-20",
    changes=(FIRST,),
    repo="lab/some-corpus",
    authors=("Ada Lovelace", "The runcast developers"),
)
MINIMAL = (
    "rai:dataLimitations",
    "rai:dataBiases",
    "rai:personalSensitiveInformation",
    "rai:dataUseCases",
    "rai:dataSocialImpact",
    "rai:hasSyntheticData",
    "prov:wasDerivedFrom",
    "prov:wasGeneratedBy",
)
"""What the evaluations and data sets track of NeurIPS 2026 asks for."""


def write(folder: Path, notes: Notes = NOTES) -> Path:
    """Write the metadata of a corpus into it; return where."""
    path = folder / "croissant.json"
    path.write_text(croissant_text(folder, read_manifest(folder), notes))
    return path


def opened(path: Path, **options: Any) -> mlc.Dataset:
    """Return the data set, which has neither errors nor warnings."""
    dataset = mlc.Dataset(str(path), **options)
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    return dataset


def plain(value: Any) -> Any:
    """Return a cell as mlcroissant gives it: text as bytes, a scalar NaN as None."""
    if isinstance(value, list):
        return [v if isinstance(v, float) else plain(v) for v in value]
    if isinstance(value, str):
        return value.encode()
    return None if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.parametrize("table", ["runs", "curves", "ood", "events", "signals"])
def test_every_cell_is_what_polars_reads(corpus_folder, table):
    dataset = opened(write(corpus_folder))
    frame = pl.read_parquet(corpus_folder / table / "*.parquet")
    found = list(dataset.records(table))
    assert len(found) == len(frame) > 0
    for record, row in zip(found, frame.iter_rows(named=True), strict=True):
        expected = {f"{table}/{name}": plain(value) for name, value in row.items()}
        # as text, in which NaN equals itself; mlcroissant leaves it a float32
        text = repr(record).replace("np.float32(nan)", "nan")
        assert text == repr(expected)


def test_a_nan_in_a_curve_stays_one(corpus_folder):
    records = opened(write(corpus_folder)).records("curves")
    lists = [record["curves/values"] for record in records]
    assert sum(math.isnan(value) for values in lists for value in values) == 2


def test_a_table_of_several_files_is_read_whole(corpus_folder):
    frame = pl.read_parquet(corpus_folder / "runs" / "*.parquet")
    fields = read_manifest(corpus_folder)
    for number, part in enumerate((frame[:5], frame[5:])):
        part.write_parquet(corpus_folder / "runs" / f"part-{number:05d}.parquet")
    names = [*fields["files"], "runs/part-00001.parquet"]
    write_manifest(corpus_folder, fields, names)
    found = opened(write(corpus_folder)).records("runs")
    ids = [record["runs/run_id"].decode() for record in found]
    assert ids == frame["run_id"].to_list()


def test_the_command_of_mlcroissant_finds_nothing_to_warn_of(corpus_folder):
    script = Path(sys.executable).with_name("mlcroissant")
    command = [script, "validate", "--jsonld", write(corpus_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.rstrip().endswith("Done.")
    assert "WARNING" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_file_is_listed_with_its_size_and_digest(corpus_folder):
    data = json.loads(write(corpus_folder).read_text())
    objects = [d for d in data["distribution"] if d["@type"] == "cr:FileObject"]
    assert {o["contentUrl"] for o in objects} == {
        path.relative_to(corpus_folder).as_posix()
        for path in corpus_folder.rglob("*")
        if path.is_file() and path.name not in ("corpus.json", "croissant.json")
        if path.parent.name != "shards"
    }
    for found in objects:
        path = corpus_folder / found["contentUrl"]
        assert found["sha256"] == sha256_of(path)
        assert found["contentSize"] == f"{path.stat().st_size} B"


def test_a_flipped_byte_of_a_table_is_refused_by_mlcroissant(corpus_folder):
    dataset = opened(write(corpus_folder))
    path = corpus_folder / "runs" / "part-00000.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(mlc.GenerationError, match=r"Download\(runs/part-0") as caught:
        list(dataset.records("runs"))
    assert "not identical with the reference" in str(caught.value.__cause__)


def test_equal_arguments_give_equal_text(corpus_folder):
    manifest = read_manifest(corpus_folder)
    one = croissant_text(corpus_folder, manifest, NOTES)
    assert one == croissant_text(corpus_folder, manifest, NOTES)
    assert one != croissant_text(corpus_folder, manifest, ON_HUB)
    assert str(corpus_folder) not in one


def test_what_a_release_says_about_itself(corpus_folder):
    data = json.loads(write(corpus_folder, ON_HUB).read_text())
    assert data["name"] == "test-corpus"
    assert data["version"] == "1.2.0"
    assert data["datePublished"].startswith("2026-11-20")
    assert data["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert data["url"] == "https://huggingface.co/datasets/lab/some-corpus"
    assert [c["name"] for c in data["creator"]] == list(ON_HUB.authors)
    assert "author = {{Ada Lovelace} and {The runcast developers}}" in data["citeAs"]
    assert "year = {2026}" in data["citeAs"]
    assert data["description"].startswith("12 training runs of neural networks")
    assert "url" not in json.loads(write(corpus_folder).read_text())


def test_every_field_has_the_meaning_of_its_column_and_lists_are_repeated(
    corpus_folder,
):
    data = json.loads(write(corpus_folder).read_text())
    sets = {s["@id"]: {f["name"]: f for f in s["field"]} for s in data["recordSet"]}
    assert list(sets) == ["runs", "curves", "ood", "events", "signals"]
    for table, fields in sets.items():
        schema = pl.read_parquet_schema(next((corpus_folder / table).glob("*.parquet")))
        assert list(fields) == list(schema)
        for name, kind in schema.items():
            meaning, unit = describe(table, name)
            assert fields[name]["description"].startswith(meaning)
            assert f"[{unit}]" in fields[name]["description"] or not unit
            assert fields[name].get("repeated", False) == isinstance(kind, pl.List)
    types = {f["name"]: f["dataType"] for f in sets["runs"].values()}
    assert types["final.test_accuracy"] == "sc:Float"
    assert types["num_steps"] == "sc:Integer"
    assert types["grids"] == types["status"] == "sc:Text"


def test_the_responsible_ai_fields_of_neurips_are_there_and_true(corpus_folder):
    data = json.loads(write(corpus_folder).read_text())
    assert not [name for name in MINIMAL if data.get(name) in (None, "", [])]
    assert data["prov:wasDerivedFrom"] == [{"@type": "Dataset", "name": "digits"}]
    assert "of the grids t4/digits" in data["rai:dataCollection"]
    assert "hidden" not in data["description"]


def test_a_blind_release_says_what_is_hidden_and_its_tables_are_read(corpus_folder):
    hidden = pl.DataFrame(
        {
            "window": ["w20"],
            "run_id": ["h-1"],
            "num_steps": [100],
            "steps_per_epoch": [20],
            "optimizer.lr": [0.1],
        }
    )
    (corpus_folder / "hidden_runs").mkdir()
    name = "hidden_runs/part-00000.parquet"
    hidden.write_parquet(corpus_folder / name)
    fields = read_manifest(corpus_folder)
    fields["rows"]["hidden_runs"] = 1
    write_manifest(corpus_folder, fields, [*fields["files"], name])
    dataset = opened(write(corpus_folder))
    (record,) = dataset.records("hidden_runs")
    assert record["hidden_runs/run_id"] == b"h-1"
    assert record["hidden_runs/optimizer.lr"] == 0.1
    assert "Some runs are hidden" in dataset.metadata.description
    assert any("Targets of the hidden" in t for t in dataset.metadata.data_limitations)


def test_imported_runs_are_not_said_to_be_trained_here(tmp_path):
    rows = {"run_id": ["a", "b"], "step": [1, 1], "signal": ["loss", "loss"]}
    path = tmp_path / "log.csv"
    pl.DataFrame({**rows, "value": [2.0, 1.0], "depth": [3, 4]}).write_csv(path)
    import_corpus(Request(files=[path], format="long", out=tmp_path / "corpus"))
    unknown = Notes(version="1.0.0", released="2026-11-20", changes=(), licence="other")
    dataset = opened(write(tmp_path / "corpus", unknown))
    assert {r["runs/depth"] for r in dataset.records("runs")} == {3, 4}
    said = dataset.metadata.data_collection
    assert said.startswith("Recorded by another program and imported")
    assert "Small image" not in " ".join(dataset.metadata.data_limitations)
    assert dataset.metadata.license == ["other"]


def test_on_the_hub_every_address_is_that_of_the_version(corpus_folder):
    data = json.loads(write(corpus_folder, ON_HUB).read_text())
    kept = "https://huggingface.co/datasets/lab/some-corpus"
    objects = {o["@id"]: o for o in data["distribution"]}
    run_file = objects["runs/part-00000.parquet"]["contentUrl"]
    assert run_file == f"{kept}/resolve/v1.2.0/runs/part-00000.parquet"
    # mlcroissant clones what stands before "/tree/" and fetches what stands after it
    assert objects["repo"]["contentUrl"] == f"{kept}/tree/refs%2Ftags%2Fv1.2.0"
    assert objects["curves-files"]["containedIn"] == {"@id": "repo"}


def test_a_downloaded_release_is_read_where_it_lies(corpus_folder):
    path = write(corpus_folder, ON_HUB)
    single = "runs/part-00000.parquet"
    places = {"repo": corpus_folder, single: corpus_folder / single}
    dataset = opened(path, mapping={k: str(v) for k, v in places.items()})
    assert len(list(dataset.records("runs"))) == 12
    rows = read_manifest(corpus_folder)["rows"]["curves"]
    assert len(list(dataset.records("curves"))) == rows
