"""The explorer's files hold what the corpus, the fits and the submissions say."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from harness.early.curves import early_curves
from harness.early.table import early_signals
from harness.fits.shifted_power import fit_shifted_power
from harness.storage import sha256_of
from leaderboard.page.explorer import LAWS, RUNS_A_GROUP, laws, write_explorer
from tests.leaderboard.explorer.conftest import KNEE, NAMES, SIZE, Site


def test_the_corpus_files_are_copied_byte_for_byte(site: Site) -> None:
    files = site.corpus.manifest["files"]
    copied = {k: v for k, v in files.items() if k.startswith(("runs/", "curves/"))}
    assert len(copied) == 7
    for name, entry in copied.items():
        assert sha256_of(site.explorer / name) == entry["sha256"]


def test_the_description_lists_every_file_with_size_and_digest(site: Site) -> None:
    found = {
        p.relative_to(site.explorer).as_posix(): p
        for p in site.explorer.rglob("*.parquet")
    }
    described = site.description["files"]
    assert set(described) == set(found)
    for name, path in found.items():
        assert described[name] == {
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
        }
    assert json.loads(json.dumps(site.description, allow_nan=False))


@pytest.mark.parametrize(
    ("law", "quantity", "column"),
    [
        ("power_law", "alpha", "exponent"),
        ("power_law", "log_c", "prefactor"),
        ("power_law", "r2", "r2"),
        ("burn_in_power_law", "alpha", "exponent"),
        ("burn_in_power_law", "log_c", "prefactor"),
    ],
)
def test_laws_equal_the_early_signals(
    site: Site, law: str, quantity: str, column: str
) -> None:
    rows = pl.read_parquet(site.explorer / "laws.parquet").filter(pl.col("law") == law)
    for until in (0.2, 0.5):
        signals = early_signals(site.corpus, until, [law])
        wanted = signals.filter(pl.col("signal") == f"{law}.{quantity}")
        found = rows.filter(pl.col("until") == until)
        assert found["run_id"].to_list() == wanted["run_id"].to_list()
        assert found["status"].to_list() == wanted["status"].to_list()
        assert found["last_step"].to_list() == wanted["window_last"].to_list()
        for value, expected in zip(found[column], wanted["value"], strict=True):
            if expected is None:
                assert value is None
            else:
                sought = np.exp(expected) if quantity == "log_c" else expected
                assert value == pytest.approx(sought, rel=1e-15)


def test_the_law_with_a_floor_is_fitted_after_two_epochs(site: Site) -> None:
    (curves,) = early_curves(site.corpus, 0.5)
    fit = fit_shifted_power(
        curves.epoch_axis()[2:], curves.epoch_means()[:, 2:], window=None
    )
    found = pl.read_parquet(site.explorer / "laws.parquet").filter(
        pl.col("law") == "shifted_power", pl.col("until") == 0.5
    )
    for column, name in (("offset", "E"), ("prefactor", "A"), ("exponent", "alpha")):
        values = found[column].fill_null(np.nan).to_numpy()
        np.testing.assert_allclose(values, fit.values[name], rtol=1e-12)
    assert found["status"].to_list() == fit.status.tolist()
    assert "ok" in set(fit.status)


def test_an_exact_power_law_is_found(site: Site) -> None:
    exact = site.corpus.runs().filter(
        pl.col("optimizer.name") == "sgd", pl.col("optimizer.lr") == 0.01
    )["run_id"]
    rows = laws(site.corpus, [0.5]).filter(
        pl.col("run_id").is_in(exact.to_list()), pl.col("law") == "power_law"
    )
    t = (np.arange(20, 60) + 1) / SIZE
    means = (1.5 * t**-0.5).reshape(-1, SIZE).mean(axis=1)
    slope, height = np.polyfit(
        np.log(t.reshape(-1, SIZE).mean(axis=1)), np.log(means), 1
    )
    assert rows["exponent"].to_list() == pytest.approx([-slope] * 2, rel=1e-5)
    assert rows["prefactor"].to_list() == pytest.approx([np.exp(height)] * 2, rel=1e-5)
    assert rows["first_step"].to_list() == [21, 21]
    assert rows["offset"].to_list() == [0, 0]


def test_knees_are_where_the_curves_bend_and_equal_the_early_signals(
    site: Site,
) -> None:
    rows = laws(site.corpus, [0.5]).filter(pl.col("law") == "knee")
    wide = early_signals(site.corpus, 0.5, ["knee"]).pivot(
        on="signal", index="run_id", values="value"
    )
    for found, wanted in zip(rows["knee_step"], wide.rows(named=True), strict=True):
        if wanted["knee"] == 1:
            assert found == pytest.approx(SIZE * wanted["knee.t_knee"], rel=1e-15)
        else:
            assert found is None
    bent = rows["knee_step"].drop_nulls()
    assert len(bent) == 38
    assert bent.median() / SIZE == pytest.approx(KNEE, abs=0.6)


def test_every_run_has_every_law_in_every_window(site: Site) -> None:
    rows = pl.read_parquet(site.explorer / "laws.parquet")
    assert len(rows) == 40 * 2 * len(LAWS)
    assert rows["run_id"].is_sorted()
    assert rows["law"][: len(LAWS)].to_list() == list(LAWS)
    short = rows.filter(pl.col("until") == 0.2, pl.col("law") == "knee")
    assert set(short["status"]) == {"too_short"}


def test_forecasts_of_numbers_equal_the_submissions(site: Site) -> None:
    answers = site.sealed["final-acc/w50"].answers
    rows = pl.read_parquet(site.explorer / "forecasts/final-acc--w50.parquet")
    found = {(row["run_id"], row["predictor"]): row for row in rows.to_dicts()}
    assert len(found) == len(rows) == len(NAMES) * len(answers.ids)
    for name in NAMES:
        said = site.tables[name]["final-acc/w50"]
        given = {row["id"]: row for row in said.to_dicts()}
        for i, example in enumerate(answers.ids):
            row = found[answers.run_ids[i], name]
            assert row["truth"] == answers.values[i]
            for column in ("prediction", "q0.05", "q0.5", "q0.95", "reason"):
                assert row[column] == given[example][column]


def test_forecasts_of_curves_equal_the_submissions(site: Site) -> None:
    answers = site.sealed["curve/w20"].answers
    rows = pl.read_parquet(site.explorer / "forecasts/curve--w20.parquet")
    found = {(row["run_id"], row["predictor"]): row for row in rows.to_dicts()}
    for name in NAMES:
        given: dict[str, dict[int, float]] = {}
        for row in site.tables[name]["curve/w20"].to_dicts():
            given.setdefault(row["id"], {})[row["epoch"]] = row["prediction"]
        for i, example in enumerate(answers.ids):
            row = found[answers.run_ids[i], name]
            assert row["truth"] == answers.curves[i].tolist()
            assert row["first_epoch"] == min(given[example]) == 7
            ordered = [given[example][epoch] for epoch in sorted(given[example])]
            assert row["prediction"] == ordered
            assert (row["reason"] is None) == (name != "silent")


@pytest.mark.parametrize("name", ["laws", "forecasts/final-acc--w50"])
def test_a_row_group_holds_few_runs_in_order(site: Site, name: str) -> None:
    with pq.ParquetFile(site.explorer / f"{name}.parquet") as file:
        groups = [
            file.read_row_group(i, ["run_id"])["run_id"].to_pylist()
            for i in range(file.num_row_groups)
        ]
    assert [len(set(group)) for group in groups] == [RUNS_A_GROUP, 8]
    flat = [run for group in groups for run in group]
    assert flat == sorted(flat)


def test_a_task_that_nobody_answered_has_an_empty_file(
    site: Site, tmp_path: Path
) -> None:
    found = write_explorer(
        tmp_path, site.corpus, lambda t: site.sealed[t.name], {}, site.tasks[:1]
    )
    rows = pl.read_parquet(tmp_path / "forecasts/final-acc--w50.parquet")
    assert rows.columns == ["run_id", "predictor", "truth"]
    assert len(rows) == 0
    assert found["tasks"][0]["predictors"] == []
    assert found["windows"] == [0.5]
