"""S-20: families are divided once, by a key that only the holder of targets has."""

import dataclasses
import hashlib
import json

import numpy as np
import polars as pl
import pytest

from harness.errors import DataError
from leaderboard.hidden.halves import divided, half, halves
from tasks.base import TASKS
from tasks.blind.targets import HiddenTargets
from tasks.checked import digest
from tasks.prediction import Charge
from tasks.sealed import Entry, judge
from tests.tasks.blind.making import TASKS as ASKED
from tests.tasks.by_hand import said


@pytest.fixture(scope="module")
def targets(made):
    return HiddenTargets.open(made.targets)


def sealed(targets, name):
    return targets.sealed(TASKS.get(name)())


def test_s20_every_family_is_in_one_half_and_the_halves_of_a_window_are_alike(
    targets, made
):
    found = halves(targets)
    link = made.made.link
    assert set(found) == set(link["family_id"])
    for _, window in link.group_by("window"):
        which = [found[name] for name in window["family_id"].unique()]
        assert abs(which.count("public") - which.count("private")) <= 1


def test_s20_rows_in_another_order_are_the_same_halves(made):
    link = made.made.link
    assert divided(link) == divided(link.sample(fraction=1, shuffle=True, seed=1))


def test_s20_other_names_of_hidden_runs_give_other_halves(made):
    link = made.made.link
    other = link.with_columns(id="y" + pl.col("id"))
    same = [divided(link)[name] == which for name, which in divided(other).items()]
    assert 0 < sum(same) < len(same)


@pytest.mark.parametrize("name", ASKED)
def test_s20_two_halves_are_the_whole_and_no_run_is_in_both(targets, name):
    whole, of = sealed(targets, name), halves(targets)
    public, private = half(whole, of, "public"), half(whole, of, "private")
    ids = [*public.answers.ids, *private.answers.ids]
    assert sorted(ids) == list(whole.answers.ids)
    assert not set(public.answers.families) & set(private.answers.families)
    for part in (public, private):
        assert part.asked.equals(whole.asked)
        assert part.answers.replicated.equals(whole.answers.replicated)
        place = [whole.answers.ids.index(one) for one in part.answers.ids]
        np.testing.assert_array_equal(part.controls, whole.controls[place])
        truth = whole.answers.curves or whole.answers.values
        got = part.answers.curves or part.answers.values
        for at, one in zip(place, got, strict=True):
            np.testing.assert_array_equal(one, truth[at])


def test_s20_a_half_is_scored_on_its_runs_and_answered_for_all(targets):
    whole = sealed(targets, "final-acc/w04")
    public = half(whole, halves(targets), "public")
    table = said(whole.answers, 0.5)
    missing = whole.asked.filter(~pl.col("id").is_in(table["id"].to_list()))
    table = pl.concat(
        [table, missing.select("id", prediction=pl.lit(0.5), reason=pl.lit(None))],
        how="vertical_relaxed",
    )
    entry = Entry(table=table, charge=Charge(signals=()))
    rows = judge(public, {"mine": entry}, resamples=20)
    (mine,) = rows.filter(predictor="mine", metric="mae").to_dicts()
    truth = public.answers.values
    assert mine["n"] == len(truth) < len(whole.answers.ids)
    assert mine["value"] == pytest.approx(np.abs(truth - 0.5).mean())
    assert mine["predictions_sha256"] == digest(table)
    outside = (set(whole.answers.ids) - set(public.answers.ids)).pop()
    entry = Entry(table=table.filter(pl.col("id") != outside), charge=entry.charge)
    with pytest.raises(ValueError, match=r"1 row\(s\) .* missing"):
        judge(public, {"mine": entry}, resamples=20)


def test_halves_of_another_release_are_refused(targets):
    whole = sealed(targets, "final-acc/w04")
    with pytest.raises(DataError, match=r"hidden families are in neither half"):
        half(whole, {}, "public")


def test_a_half_without_two_families_is_refused(targets):
    whole = sealed(targets, "final-acc/w04")
    of = dict.fromkeys(whole.answers.families, "public")
    with pytest.raises(DataError, match=r"0 families of the private half"):
        half(whole, of, "private")


def test_s21_the_key_of_the_halves_is_in_no_public_file(made):
    columns = ["id", "window", "run_id", "family_id"]
    rows = made.made.link.select(columns).sort("id").rows()
    digest = hashlib.sha256(json.dumps(rows).encode())
    for path in made.folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert digest.digest() not in data
        assert digest.hexdigest().encode() not in data


def test_a_context_column_travels_with_its_runs(targets):
    whole = sealed(targets, "curve/w20")
    marked = dataclasses.replace(
        whole,
        answers=dataclasses.replace(
            whole.answers,
            runs=whole.answers.runs.with_columns(mark=pl.col("id")),
            context={"mark": whole.answers.runs["id"]},
        ),
    )
    public = half(marked, halves(targets), "public")
    assert list(public.answers.context["mark"]) == list(public.answers.ids)
