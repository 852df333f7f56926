"""Every column that can be published says what it means."""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from harness.importers.convert import Request, import_corpus
from harness.manifest import TABLES
from harness.probing import account
from harness.registry import (
    AUGMENTATIONS,
    DATASETS,
    MODELS,
    OBJECTIVES,
    OPTIMIZERS,
    PROBES,
    SCHEDULES,
    settable,
)
from harness.release.columns import EXACT, Column, describe
from harness.schema import CURVES, EVENTS, OOD_TABLE, RUNS
from tests.tasks.full_corpus import build_full

CORPORA = Path(__file__).resolve().parents[3] / "corpora"
PARTS = {
    "dataset": DATASETS,
    "augmentation": AUGMENTATIONS,
    "model": MODELS,
    "objective": OBJECTIVES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}


def described(folder: Path, *, imported: bool = False) -> dict[tuple[str, str], Column]:
    """Return the description of every column of a corpus."""
    return {
        (table, column): describe(table, column, imported=imported)
        for table in TABLES
        for path in sorted((folder / table).glob("*.parquet"))
        for column in pq.read_schema(path).names
    }


@pytest.mark.parametrize("name", ["t4", "t1", "t8", "edge"])
def test_every_column_of_the_reference_corpora_has_a_specific_meaning(name):
    found = described(CORPORA / f"{name}-digits")
    assert len(found) > 100
    generic = [name for name, says in found.items() if "`" in says.meaning]
    assert not generic, f"describe in harness/release/columns.py: {generic}"


def test_every_column_of_synthetic_corpora_is_described(built_folder, tmp_path):
    assert ("curves", "values") in described(built_folder)
    full = build_full(tmp_path / "full", seeds=1).folder
    assert ("ood", "severity") in described(full)


def test_every_argument_of_every_registered_part_has_a_specific_meaning():
    missing = [
        f"{kind}.{argument} (of {name})"
        for kind, registry in PARTS.items()
        for name in registry.names()
        for argument in ("name", *settable(registry.get(name)))
        if f"{kind}.{argument}" not in EXACT["runs"]
    ]
    assert not missing, f"describe these in harness/release/columns.py: {missing}"


def test_no_description_outlives_the_argument_it_describes():
    known = {
        f"{kind}.{argument}"
        for kind, registry in PARTS.items()
        for name in registry.names()
        for argument in ("name", *settable(registry.get(name)))
    }
    said = {c for c in EXACT["runs"] if c.split(".")[0] in PARTS}
    assert said == known


@pytest.mark.parametrize("probe", PROBES.names())
def test_the_price_of_every_probe_is_described_with_its_unit(probe):
    column = f"cost.{account(probe)}"
    assert describe("runs", f"{column}_s") == (f"time of the probe {probe}", "s")
    forward = describe("runs", f"{column}_forward_images")
    assert forward == (f"images that the probe {probe} passed forward", "image")
    backward = describe("runs", f"{column}_backward_images")
    assert backward.meaning == f"images that the probe {probe} passed backward"


@pytest.mark.parametrize(
    ("table", "schema"),
    [("runs", RUNS), ("curves", CURVES), ("ood", OOD_TABLE), ("events", EVENTS)],
)
def test_every_column_of_the_schema_is_described_and_in_one_line(table, schema):
    for column in schema.names:
        meaning = describe(table, column).meaning
        assert meaning
        assert "\n" not in meaning
        assert not meaning.endswith(".")


@pytest.mark.parametrize(
    ("column", "meaning", "unit"),
    [
        ("final.test_correct", "test images classified correctly", "image"),
        ("final.validation_loss", "mean validation cross-entropy", "nat"),
        ("final.train_accuracy", "share of train images", "1"),
        ("final.bleu", "score `bleu` at the end of the run, as its source gives", ""),
        ("ood.digits-corrupted_accuracy", "shifted set digits-corrupted", "1"),
        ("ood.gap", "score `gap` on shifted data", ""),
        ("cost.probe.own.mod:Probe_s", "time of the probe own.mod:Probe", "s"),
        ("cost.queue_s", "time spent on `queue`", "s"),
        ("cost.dollars", "cost `dollars`, as its source gives it", ""),
        ("optimizer.rho", "argument `rho` of the optimizer", ""),
        ("environment.cluster", "`cluster` of the environment", ""),
        ("foreign.sweep", "`sweep` of the run, as its source gives it", ""),
        ("recording.every", "argument `every` of the recording", ""),
    ],
)
def test_names_that_follow_a_rule_are_described_by_it(column, meaning, unit):
    found = describe("runs", column)
    assert meaning in found.meaning
    assert found.unit == unit


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("runs", "depth"),
        ("runs", "final."),
        ("curves", "final.test_n"),
        ("x", "run_id"),
    ],
)
def test_a_column_outside_all_rules_is_refused_by_name(table, column):
    said = rf"column '{column}' of the table '{table}' is described nowhere: add it to"
    with pytest.raises(KeyError, match=said):
        describe(table, column)


def test_a_setting_of_an_imported_run_may_have_any_name(tmp_path):
    rows = {"run_id": ["a", "b"], "step": [1, 1], "signal": ["loss", "loss"]}
    path = tmp_path / "log.csv"
    pl.DataFrame({**rows, "value": [2.0, 1.0], "depth": [3, 4]}).write_csv(path)
    import_corpus(Request(files=[path], format="long", out=tmp_path / "corpus"))
    found = described(tmp_path / "corpus", imported=True)
    said = "setting `depth` of the imported run, as its source gives it"
    assert found["runs", "depth"].meaning == said
    assert found["runs", "foreign.run"] == ("id of the run as its source gives it", "")
