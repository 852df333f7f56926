"""What is public tells what the windows show, and not a byte more."""

import dataclasses

import polars as pl
import pytest

from harness.corpus import Corpus
from harness.errors import DataError
from harness.verify import verify
from tasks.blind.hidden import ROLES_FILE, RUNS_FILE, curves_file
from tasks.blind.release import Request
from tasks.blind.tables import write_public
from tests.files import contents
from tests.tasks.blind.making import KEY, TASKS, distinct, planted, release
from tests.tasks.full_corpus import build_full
from tests.tasks.hiding import scrambled


def test_hidden_families_leave_the_public_tables(whole, blind, made):
    hidden = set(made.made.link["family_id"])
    runs = whole.runs()
    stay = set(runs.filter(~pl.col("family_id").is_in(list(hidden)))["run_id"])
    assert len(hidden) == 16
    assert 0 < len(stay) < len(runs)
    assert set(blind.runs()["run_id"]) == stay
    for table in (blind.curves(), blind.ood(), blind.events()):
        assert set(table["run_id"]) <= stay
    kept = whole.curves().filter(pl.col("run_id").is_in(list(stay)))
    order = ["run_id", "signal", "segment"]
    assert blind.curves().sort(order).equals(kept.sort(order))
    assert verify(made.folder) == []


def test_the_manifest_tells_windows_and_tasks_and_what_was_accepted(blind, made):
    told = blind.manifest["blind"]
    assert set(told["windows"]) == {"w04", "w20-rates"}
    assert told["tasks"]["final-acc/w04"]["test"] == made.tasks["final-acc/w04"][0]
    assert told["accepted"] == ["retraining"]
    assert not told["checks"]["retraining"]["passed"]
    assert told["checks"]["metadata"] == {"passed": True, "statistic": None}
    assert blind.name == "full-blind"


def test_the_key_is_in_no_file(made):
    for data in (*contents(made.folder).values(), *contents(made.targets).values()):
        assert KEY not in data
        assert KEY.hex().encode() not in data


def test_no_end_of_a_hidden_run_changes_a_public_byte(whole, made, tmp_path):
    # ends, later cells, costs and hosts of hidden runs; so it is deterministic too
    window = dict(made.made.link.select("run_id", "window").rows())
    seen = {w.name: w.visibility.until for w in made.made.windows}
    changes = {name: scrambled(until) for name, until in seen.items()}

    def change(one):
        name = window.get(one.config.run_id)
        one = distinct(one)
        return one if name is None else changes[name](one)

    other = build_full(tmp_path / "corpus", change)
    hidden = pl.col("run_id").is_in(list(window))
    ends = [
        corpus.runs().filter(hidden)["final.test_correct"].to_list()
        for corpus in (whole, other)
    ]
    assert ends[0] != ends[1]
    again = release(other, tmp_path)
    assert contents(again.folder) == contents(made.folder)
    assert contents(again.targets) != contents(made.targets)


def test_prices_of_signals_are_those_of_the_public_runs(whole, blind, tmp_path):
    write_public(whole, tmp_path, whole.runs()["run_id"].to_list())
    mine, theirs = pl.read_parquet(tmp_path / "signals"), whole.signals()
    numbers = [name for name in mine.columns if name.startswith("probe_")]
    assert mine.drop(numbers).equals(theirs.drop(numbers))
    for name in numbers:
        assert mine[name].to_list() == pytest.approx(theirs[name].to_list())
    costs = blind.runs()["cost.eval_s"].mean()
    evaluated = blind.signals().filter(name="val_loss")
    assert evaluated["probe_seconds_per_run"][0] == pytest.approx(costs)


def test_a_failing_check_leaves_nothing_behind(whole, tmp_path):
    with pytest.raises(DataError, match=r"1 check.* failed(.|\n)*retraining: 3. of"):
        release(whole, tmp_path / "x", accept=(), tasks=["final-acc/w04"])
    assert not list((tmp_path / "x").iterdir())


def test_a_folder_that_holds_something_is_not_written_to(whole, tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "public/mine").touch()
    with pytest.raises(ValueError, match=r"public holds something"):
        release(whole, tmp_path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"hide": None}, r"expected either hide, a share"),
        ({"hidden": "x"}, r"expected either hide, a share"),
        ({"hide": 1.0}, r"hide is 1.0, expected a share"),
        ({"key": b"short"}, r"the key has 5 bytes, expected 32"),
        ({"accept": ("prefixes",)}, r"no check is called 'prefixes'"),
    ],
)
def test_wrong_requests_are_refused(whole, tmp_path, changes, match):
    with pytest.raises(ValueError, match=match):
        release(whole, tmp_path, **changes)


def test_a_request_does_not_show_its_key(tmp_path):
    request = Request(
        corpus=tmp_path, out=tmp_path, targets=tmp_path, key=KEY, hide=0.5
    )
    assert "key" not in repr(request)
    assert dataclasses.replace(request, tasks=TASKS).key == KEY


def test_tasks_that_cannot_ask_for_hidden_runs_are_named_together(whole, tmp_path):
    # the lowest fifth of the families, of which five hidden ones hold too few
    tasks = ("loss2loss/val", "loss2loss/cinic10", "final-acc/w20")
    with pytest.raises(
        DataError, match=r"2 of 3 tasks cannot(.|\n)*name the tasks .*: final-acc/w20"
    ):
        release(whole, tmp_path, hide=0.42, tasks=tasks)


def test_a_task_that_the_corpus_cannot_be_asked_is_told(corpus, tmp_path):
    with pytest.raises(DataError, match=r"plateau/w30 cannot be asked: no run of"):
        release(corpus, tmp_path, tasks=["plateau/w30"])


@pytest.mark.slow
def test_runs_of_another_corpus_can_be_hidden(whole, tmp_path):
    def secret(one):
        optimizer = one.config.optimizer
        config = dataclasses.replace(
            one.config,
            optimizer=optimizer.with_params(lr=1.1 * optimizer.params["lr"]),
            seed=one.config.seed + 2**40,
        )
        return distinct(dataclasses.replace(one, config=config))

    private = build_full(tmp_path / "private", secret)
    changes = {"hide": None, "hidden": private.folder, "accept": ()}
    found = release(whole, tmp_path, tasks=["final-acc/w04"], **changes)
    public = Corpus.open(found.folder)
    assert all(finding.passed for finding in found.findings.values())
    assert set(public.runs()["run_id"]) == set(whole.runs()["run_id"])
    finished = private.runs().filter(pl.col("status") != "failed")
    assert found.windows == {"w04": (24, len(finished))}
    assert public.signals().equals(whole.signals())
    scored = finished["final.test_accuracy"].count()
    assert found.tasks == {"final-acc/w04": (len(finished), scored)}


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        (RUNS_FILE, lambda t: pl.concat([t, t[:1]]), "run listed twice: x-"),
        (RUNS_FILE, lambda t: t.drop("num_steps"), "lacks the column(s) num_steps"),
        (RUNS_FILE, lambda t: t[1:], "unknown hidden run: x-"),
        (ROLES_FILE, lambda t: t[::-1].with_columns(run_id=pl.lit("r-0")),
         "run unknown to be of role train: r-0"),
        (curves_file("w04"), lambda t: t.with_columns(
            steps=pl.col("steps").list.reverse()), "steps do not ascend: x-"),
    ],
)  # fmt: skip
def test_verify_finds_rows_of_hidden_runs_that_contradict(
    made, tmp_path, name, change, what
):
    copy = planted(made, tmp_path, name, change).folder
    assert any(what in str(problem) for problem in verify(copy))
