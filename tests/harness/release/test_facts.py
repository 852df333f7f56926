"""What is computed of a corpus, against the runs that it was made of."""

import json
import statistics

import polars as pl
import pytest

from harness.corpus import Corpus
from harness.release.columns import describe
from harness.release.design import factor, settings, text_of
from harness.release.effort import effort
from harness.release.facts import gather_facts
from harness.release.recorded import SignalFacts, prices
from harness.seed_noise import seed_noise
from tests.harness.release.kinds import KINDS, REFERENCE


def test_counts_are_those_of_the_runs(facts_of):
    facts = facts_of("many")
    assert facts.statuses == {"completed": 6, "diverged": 3}
    assert (facts.runs, facts.finished, facts.families) == (9, 9, 3)
    assert facts.replicates == {3: 3}
    assert facts.grids == {"grid/a": 2, "grid/b": 2}
    assert facts.shared == 2
    assert facts.num_steps == (100, 100)
    assert facts.events == {"diverged": 3}
    assert facts.unscored == 0


def test_the_design_tells_what_varies_and_what_does_not(facts_of):
    facts = facts_of("many")
    varied = {f.column: dict(f.levels) for f in facts.varied}
    assert varied == {
        "optimizer.name": {"adamw": 3, "sgd": 6},
        "optimizer.lr": {"0.1": 6, "1": 3},
        "seed": {"0": 3, "1": 3, "2": 3},
    }
    fixed = {f.column: f.levels[0].text for f in facts.fixed}
    assert fixed["dataset.name"] == "digits"
    assert fixed["recording.ood"] == "corrupted"
    assert fixed["probes"] == "none"
    assert not set(varied) & set(fixed)


def test_many_levels_are_told_by_their_ends():
    runs = pl.DataFrame({"x": [float(i) / 8 for i in range(40)] + [None]})
    found = factor(runs, "x")
    assert (found.num_levels, found.levels, found.ends) == (41, (), "0 to 4.875")
    words = factor(pl.DataFrame({"x": [f"w{i}" for i in range(40)]}), "x")
    assert (words.num_levels, words.levels, words.ends) == (40, (), "")


def test_settings_are_neither_scores_nor_names():
    columns = ["run_id", "final.x", "ood.x", "cost.x_s", "environment.x", "foreign.run"]
    runs = pl.DataFrame({name: [1] for name in [*columns, "runs", "value", "count"]})
    assert [f.column for f in settings(runs)] == ["runs", "value", "count"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('[{"name": "a"}, {"name": "b", "x": 1}]', "a, b"),
        ("[1, 2]", "[1, 2]"),
        ("[not JSON", "[not JSON"),
        ("[]", "none"),
        (1e-8, "1e-08"),
        (0.1 + 0.2, "0.3"),
        (False, "false"),
        (None, "not set"),
        ("x" * 101, "x" * 97 + "..."),
    ],
)
def test_a_setting_is_short_text(value, text):
    assert text_of(value) == text


def test_costs_are_sums_and_medians_over_runs():
    runs = pl.DataFrame(
        {
            "cost.train_s": [1.0, 3.0, None],
            "cost.probe.hessian_s": [0.5, None, None],
            "cost.train_images": [100.0, 300.0, 0.0],
            "cost.probe.hessian_forward_images": [30.0, 60.0, None],
            "cost.probe.hessian_backward_images": [15.0, None, None],
        }
    )
    found = effort(runs)
    assert found.accounts == (("training", 4.0, 2.0), ("probe hessian", 0.5, 0.5))
    assert (found.runs, found.total_s) == (2, 4.5)
    # (30 + 60 forward + 2 * 15 backward) / (3 * 400)
    assert found.probe_share == pytest.approx(120 / 1200)


def test_a_corpus_without_costs_has_none():
    found = effort(pl.DataFrame({"run_id": ["a"]}))
    assert found == ((), 0, None)


def test_scores_are_those_of_the_runs(corpus_of, facts_of):
    facts, corpus = facts_of("many"), corpus_of("many")
    runs = corpus.runs().to_dicts()
    by_name = {}
    for run in runs:
        by_name.setdefault(run["optimizer.name"], []).append(run["final.test_accuracy"])
    assert len(facts.spreads) == 2
    for spread in facts.spreads:
        scores = by_name[spread.optimizer]
        assert spread.runs == len(scores)
        assert (spread.min, spread.max) == (min(scores), max(scores))
        assert spread.median == pytest.approx(statistics.median(scores))
    families = {}
    for run in runs:
        families.setdefault(run["family_id"], []).append(run["final.test_accuracy"])
    pooled = statistics.mean(statistics.variance(f) for f in families.values())
    assert facts.noise.within == pytest.approx(pooled**0.5)  # equal sizes
    assert facts.noise == seed_noise(corpus.runs())
    middle = statistics.median(s for f in families.values() for s in f)
    error = (middle * (1 - middle) / 200) ** 0.5
    assert facts.accuracy_error == pytest.approx(error)


def test_shifts_are_means_over_cells(corpus_of, facts_of):
    (shift,) = facts_of("many").shifts
    cells = corpus_of("many").ood().to_dicts()
    assert (shift.name, shift.cells, shift.runs) == ("corrupted", 9, 9)
    mean = statistics.mean(cell["correct"] / cell["n"] for cell in cells)
    assert shift.accuracy == pytest.approx(mean)


def test_a_signal_counts_the_runs_that_have_it(tmp_path, make_record):
    from harness.publish import build

    whole, part = make_record(0), make_record(1)
    del part.curves["grad_norm"]
    for run in (whole, part):
        run.save(tmp_path / "shards")
    build(tmp_path, name="part", grids={})
    having = {s.name: s.runs for s in gather_facts(Corpus.open(tmp_path)).signals}
    assert having["train_loss"] == 2
    assert having["grad_norm"] == 1
    assert having["train_ce"] == 0


def test_a_probe_is_priced_once():
    def signal(name, probe, seconds, runs):
        return SignalFacts(name, "1", "", probe, 0.5, seconds, runs)

    found = prices(
        [
            signal("a", "hessian", 2.0, 3),
            signal("b", "hessian", 2.0, 3),
            signal("c", "noise", 1.0, 0),
            signal("d", "imported", None, 3),
        ]
    )
    assert found == [("hessian", 2, 0.5, 2.0)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_of_every_table_is_described(kind, corpus_of, facts_of):
    corpus, facts = corpus_of(kind), facts_of(kind)
    tables = {
        "runs": corpus.runs(),
        "curves": corpus.curves(),
        "ood": corpus.ood(),
        "events": corpus.events(),
        "signals": corpus.signals(),
    }
    assert [table.name for table in facts.tables] == list(tables)
    imported = kind in ("imported", "strange")
    for table in facts.tables:
        assert table.rows == len(tables[table.name])
        assert [column.name for column in table.columns] == tables[table.name].columns
        for column in table.columns:
            told = describe(table.name, column.name, imported=imported)
            assert (column.meaning, column.unit) == told
            assert column.meaning


def test_facts_are_the_same_from_the_same_tables(corpus_of):
    corpus = corpus_of("many")
    assert gather_facts(corpus) == gather_facts(Corpus.open(corpus.folder))


def test_imported_runs_keep_what_their_source_said(facts_of):
    facts = facts_of("imported")
    assert facts.origin["files"] == ["runs.csv"]
    assert {f.column for f in facts.varied} == {"runs"}
    assert facts.effort.accounts == ()
    assert facts.noise is None


def test_a_reference_corpus_is_as_its_manifest_says():
    corpus = Corpus.open(REFERENCE / "t8-digits")
    facts = gather_facts(corpus)
    manifest = json.loads((corpus.folder / "corpus.json").read_text())
    assert {t.name: t.rows for t in facts.tables} == manifest["rows"]
    assert facts.replicates == {3: 24}
    assert [d.name for d in facts.datasets] == ["digits"]
    size = sum(p.stat().st_size for p in corpus.folder.glob("*/*.parquet"))
    assert facts.bytes == size
