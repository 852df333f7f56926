"""Every check finds what is planted, and passes without."""

import dataclasses
import hashlib

import numpy as np
import polars as pl
import pytest

from harness.secret import keyed_id
from tasks.blind.checks import CHECKS, columns, families, prefix, retraining
from tasks.blind.digests import digests, guessed, leaks
from tasks.blind.findings import Made
from tasks.blind.hidden import ROLES_FILE, RUNS_FILE, curves_file
from tasks.blind.metadata import LEVEL, foretelling, metadata
from tasks.blind.release import Result
from tasks.observations import example_id
from tests.tasks.blind.making import KEY, planted

W04 = curves_file("w04")
RATES = curves_file("w20-rates")


def test_an_honest_release_passes(made):
    failed = [name for name, found in made.findings.items() if not found.passed]
    assert failed == ["retraining"]
    assert list(made.findings) == list(CHECKS)
    assert prefix(made.made) == made.findings["prefix"]


def test_a_family_on_both_sides_is_found(made, whole):
    seen = dataclasses.replace(made.made, against=(whole,))
    found = families(seen)
    assert not found.passed
    hidden = made.made.link["family_id"].n_unique()
    trajectories = whole.runs().join(made.made.link, on="run_id")["trajectory_id"]
    assert found.statistic == hidden + trajectories.n_unique()
    assert "is in full" in found.text


def test_a_hidden_run_in_another_corpus_is_found_by_its_beginning(made, whole):
    # under other names, so that no family gives it away
    class Renamed(type(whole)):
        def runs(self, columns=None):
            rows = super().runs(columns)
            return rows.with_columns(pl.col("family_id") + "-other")

    other = Renamed(whole.folder, whole.manifest)
    found = prefix(dataclasses.replace(made.made, against=(other,)))
    assert not found.passed
    assert found.statistic == 0
    assert f"{len(made.made.link)} of {len(made.made.link)} hidden runs" in found.text


def test_a_hidden_run_that_is_shown_further_in_another_window_is_found(made):
    link = made.made.link
    first = link.filter(window="w04").row(0, named=True)
    twin = link.filter(window="w20-rates").row(0, named=True)
    # one run, hidden as two families
    both = link.with_columns(
        run_id=pl.when(pl.col("id") == twin["id"])
        .then(pl.lit(first["run_id"]))
        .otherwise("run_id")
    )
    holder = made.made.holder

    class Doubled(type(holder)):
        def runs(self, columns=None):
            rows = super().runs(columns)
            if "family_id" in rows.columns and self.alias:
                mine = pl.col("run_id") == first["run_id"]
                name = pl.when(mine).then(pl.lit("f-other")).otherwise("family_id")
                rows = rows.with_columns(family_id=name)
            self.alias = not self.alias
            return rows

    double = Doubled(holder.folder, holder.manifest)
    double.alias = False
    found = prefix(dataclasses.replace(made.made, link=both, holder=double))
    assert not found.passed
    assert found.statistic == 0


def order_of(made: Made, task: str) -> dict[str, int]:
    """Return the rank of each hidden run of a task by its target."""
    answers = made.answers[task]
    ranked = np.argsort(answers.values).tolist()
    return {answers.ids[row]: rank for rank, row in enumerate(ranked)}


def sorted_by(order):
    def change(table):
        place = pl.col("run_id").replace_strict(order, default=len(order))
        return table.sort(place, maintain_order=True)

    return change


@pytest.mark.parametrize("name", [RUNS_FILE, ROLES_FILE, W04])
def test_rows_in_the_order_of_the_ends_are_found(made, tmp_path, name):
    order = order_of(made.made, "final-acc/w04")
    found = metadata(planted(made, tmp_path, name, sorted_by(order)).made)
    assert not found.passed
    assert found.statistic <= LEVEL
    assert "final-acc/w04" in found.text


def test_ids_in_the_order_of_the_ends_are_found(made, tmp_path):
    order = order_of(made.made, "final-acc/w04")
    names = {old: f"x-{rank:020x}" for old, rank in order.items()}
    found = metadata(renamed(made, tmp_path, names).made)
    assert not found.passed
    assert "final-acc/w04" in found.text


def test_places_that_know_nothing_pass_about_as_often_as_they_should(made):
    answers = made.made.answers["final-acc/w04"]
    n, random, p_values = len(answers.ids), np.random.default_rng(0), []
    for number in range(60):
        # other names, and other folds
        fresh = dataclasses.replace(
            answers,
            ids=tuple(keyed_id("x", KEY, number, name) for name in answers.ids),
            families=tuple(keyed_id("f", KEY, number, f) for f in answers.families),
        )
        order = dict(zip(fresh.ids, random.permutation(n) / n, strict=True))
        sizes = {name: [0.0] for name in fresh.ids}
        p_values.append(foretelling(fresh, [order], sizes, permutations=19))
    for p in np.array(p_values).T:
        assert 0.3 < np.mean(p) < 0.75
        assert np.mean(p <= 0.05) < 0.15


def renamed(made: Result, folder, names) -> Result:
    """Return a release whose hidden runs have other ids, rows in the order of these."""

    def change(table):
        ids = pl.col("run_id").replace(names)
        return table.with_columns(run_id=ids).sort("run_id", maintain_order=True)

    folder.mkdir(exist_ok=True)
    files = [curves_file(window.name) for window in made.made.windows]
    for number, name in enumerate((RUNS_FILE, ROLES_FILE, *files)):
        (folder / str(number)).mkdir()
        made = planted(made, folder / str(number), name, change)
    answers = {}
    for task, one in made.made.answers.items():
        ids = [names.get(old, old) for old in one.ids]
        by_id = np.argsort(ids)
        answers[task] = dataclasses.replace(
            one,
            ids=tuple(ids[row] for row in by_id),
            values=one.values[by_id] if len(one.values) else one.values,
            curves=tuple(one.curves[row] for row in by_id) if one.curves else (),
            families=tuple(one.families[row] for row in by_id),
        )
    link = made.made.link.with_columns(pl.col("id").replace(names)).sort("id")
    seen = dataclasses.replace(made.made, answers=answers, link=link)
    return dataclasses.replace(made, made=seen)


def sha(text: str, name: str = "sha256", digits: int = 64) -> str:
    return hashlib.new(name, text.encode()).hexdigest()[:digits]


def blake(text: str, size: int = 10) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def first_run(made: Made) -> dict:
    return made.runs().row(0, named=True)


def test_every_name_and_every_guessable_digest_is_found(made, tmp_path):
    run = first_run(made.made)
    ids = {name: run[name] for name in ("run_id", "family_id", "trajectory_id")}
    value = run["final.test_accuracy"]
    example = example_id(made.made.tasks[1], made.made.holder, run["run_id"])
    notes = {
        f"the run_id {ids['run_id']}": ids["run_id"],
        f"the family_id {ids['family_id']}": f"see {ids['family_id']}.",
        f"the trajectory_id {ids['trajectory_id']}": ids["trajectory_id"],
        f"the example id {example[2:]}": example,
        f"the digest of {ids['run_id']}": "x-" + sha(ids["run_id"], "md5", 20),
        f"the digest of {ids['family_id']}": blake(ids["family_id"]),
        f"the digest of {run['config_json']}": sha(run["config_json"], "sha1", 12),
        f"the digest of {value!r}": sha(repr(value)).upper(),
        "the digest of 0.1234": sha("0.1234", "md5"),
        f"the digest of {run['id']}:{value!r}": sha(f"{run['id']}:{value!r}"),
    }
    columns = {f"note{i}": pl.lit(text) for i, text in enumerate(notes.values())}

    def change(table):
        return table.with_columns(**columns)

    seen = planted(made, tmp_path, RUNS_FILE, change).made
    _, found = leaks(seen)
    # the name of an example is a digest too
    text = f"final-acc/w04@1/full/{ids['run_id']}"
    assert sorted(found) == sorted([*notes, f"the digest of {text}"])
    finding = digests(seen)
    assert (finding.passed, finding.statistic) == (False, len(notes) + 1)


def test_a_keyed_digest_is_not_guessed():
    texts = [f"r-{i}".encode() for i in range(1000)]
    tokens = {keyed_id("x", KEY, text.decode())[2:] for text in texts}
    assert guessed(tokens, texts) == []
    assert guessed(tokens | {sha("r-7", digits=16)}, texts) == ["r-7"]


def later(table):
    """Return curves with one more step each."""
    return table.with_columns(
        steps=pl.concat_list("steps", pl.lit(99, pl.Int32)),
        values=pl.concat_list("values", pl.lit(0.5, pl.Float32)),
    )


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (RUNS_FILE, lambda t: t.with_columns(seed=pl.lit(1)), "the column seed"),
        (RUNS_FILE, lambda t: t.with_columns(pl.col("batch_size").fill_null(1)),
         "cells of the column batch_size"),
        (RUNS_FILE, lambda t: t.with_columns(pl.col("num_steps") + 1),
         "cells of the column num_steps"),
        (RUNS_FILE, lambda t: t[::-1], "has other rows than the hidden runs"),
        (W04, later, "rows with steps after the window in"),
        (W04, lambda t: t.with_columns(note=pl.lit("")), "has the columns run_id,"),
        (W04, lambda t: t[1:].filter(pl.col("run_id") != t["run_id"][0]),
         "1 runs without any row"),
        (RATES, lambda t: t.with_columns(pl.col("signal").replace("lr", "val_loss")),
         "rows of a signal that is not shown"),
        (RATES, lambda t: t.filter((pl.col("signal") != "planned_lr")
                                   | (pl.col("segment") < 5)),
         "runs without a whole plan"),
        (ROLES_FILE, lambda t: t.with_columns(role=pl.lit("train")),
         "runs with the role train"),
        (ROLES_FILE, lambda t: t.with_columns(status=pl.lit("")), "has the columns"),
    ],
)  # fmt: skip
def test_what_the_windows_do_not_show_is_found(made, tmp_path, name, change, told):
    found = columns(planted(made, tmp_path, name, change).made)
    assert not found.passed
    assert told in found.text


def test_runs_of_small_seeds_can_be_trained_again(made, whole):
    found = retraining(made.made)
    assert (found.passed, found.statistic) == (False, 1.0)
    assert "harness generate --key" in found.text

    class Secret(type(whole)):
        def runs(self, columns=None):
            return super().runs(columns).with_columns(pl.col("seed") + 2**32)

    secret = Secret(whole.folder, whole.manifest)
    found = retraining(dataclasses.replace(made.made, holder=secret))
    assert (found.passed, found.statistic) == (True, 0.0)
    # a configuration that is not shown, of no public grid, is unknown
    seen = dataclasses.replace(made.made, whole=False)
    rates = len(made.made.link.filter(window="w20-rates")) / len(made.made.link)
    assert retraining(seen).statistic == pytest.approx(1 - rates)
