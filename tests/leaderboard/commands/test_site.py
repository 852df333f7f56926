"""`harness leaderboard build` and `serve`: from submissions to a site."""

import json
import shutil
import threading
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from harness.verify import verify
from leaderboard.boards import board, truth_of
from leaderboard.page.serve import server
from leaderboard.page.site import counted
from leaderboard.ranking.standing import standing
from leaderboard.store import entrant, stored
from tests.files import contents
from tests.leaderboard.commands.conftest import corpus, run

FEW = ("--resamples", 20)


def data_of(site: Path, name: str) -> dict:
    """Return what a data file hands to the page."""
    text = (site / "data" / name).read_text()
    _, literal = text.split(", JSON.parse(", 1)
    return json.loads(json.loads(literal.removesuffix("));\n")))


@pytest.fixture(scope="session")
def closed(blind, made, entered, tmp_path_factory) -> Path:
    """The file of a closed version."""
    folder = tmp_path_factory.mktemp("closed")
    words = ("--targets", made.targets, "--submissions", entered, "--out", folder)
    run("leaderboard", "close", "--corpus", blind.folder, *words, *FEW)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="session")
def site(blind, entered, made, predicted, closed, tmp_path_factory) -> Path:
    """A public board, a hidden one that is open, and one that is closed."""
    folder = tmp_path_factory.mktemp("built")
    ledger = folder / "ledger.jsonl"
    told = ("--targets", made.targets, "--ledger", ledger, "--team", "ada")
    run("leaderboard", "score", predicted["sotl_e", True], *corpus(blind), *told)
    place = ("--submissions", entered, "--ledger", ledger, "--closed", closed.parent)
    run("leaderboard", "build", *corpus(blind), *place, "--out", folder / "site", *FEW)
    return folder / "site"


@pytest.mark.slow
def test_a_site_shows_what_the_standing_says_and_the_corpus_itself(
    site, blind, entered
):
    asked = board(blind, hidden=False)
    entrants = [entrant(one, entered) for one in stored(entered, asked)]
    assert [one.name for one in entrants] == ["last_value", "sotl_e"]
    said = standing(asked, truth_of(blind), entrants, resamples=20)
    skill = dict(said.overall.filter(pool="settings").select("name", "skill").rows())
    shown = data_of(site, f"{asked.name}/board.js")
    rows = {row["name"]: row for row in shown["pools"]["settings"]}
    for name, value in skill.items():
        assert rows[name]["skill"][0] == pytest.approx(value, rel=1e-4)
    assert rows["[optimizer.name alone]"]["rank"] is None
    explorer = site / "data" / asked.name / "explorer"
    for path in (blind.folder / "curves").iterdir():
        assert (explorer / "curves" / path.name).read_bytes() == path.read_bytes()
    table = pl.read_parquet(site / "downloads" / f"{asked.name}.parquet")
    assert set(table["predictor"]) == {"[reference]", "last_value", "sotl_e"}
    assert verify(blind.folder) == []


@pytest.mark.slow
def test_an_open_hidden_board_shows_what_was_announced_and_no_more(site, blind):
    shown = data_of(site, f"{blind.name}-hidden/board.js")
    (row,) = shown["pools"]["settings"]
    assert (row["name"], row["rank"]) == ("sotl_e", 1)
    assert row["skill"][1:] == row["win_rate"][1:] == [None, None]
    assert abs(row["skill"][0] / 0.05 - round(row["skill"][0] / 0.05)) < 1e-6
    assert {entry["name"] for entry in shown["entries"]} == {"last_value", "sotl_e"}
    assert shown["skills"]["last_value"] == {"curve/w20": None, "final-acc/w04": None}
    task = data_of(site, f"{blind.name}-hidden/tasks/final-acc--w04.js")
    assert [one["name"] for one in task["rows"]] == ["sotl_e"]
    assert task["slices"] == task["pairs"] == task["controls"] == []
    assert not (site / "data" / f"{blind.name}-hidden" / "explorer").exists()


@pytest.mark.slow
def test_a_closed_version_stays_on_the_page(site, closed):
    shown = data_of(site, f"{closed.stem}/board.js")
    written = json.loads(closed.read_text())["board"]
    written |= {"name": closed.stem}
    assert shown == {k: v for k, v in written.items() if k != "pairs"}
    assert shown["pools"]["settings"][0]["skill"][1] is not None


def test_a_broken_submission_stops_the_build_and_is_named(blind, entered, tmp_path):
    entered = Path(shutil.copytree(entered, tmp_path / "entered"))
    (entered / "sotl-e" / "predictions" / "final-acc" / "w04.parquet").write_bytes(b"x")
    place = ("--submissions", entered, "--out", tmp_path / "site")
    done = run("leaderboard", "build", *corpus(blind), *place, *FEW, code=1)
    assert "sotl-e/predictions/final-acc/w04.parquet: [bad_format]" in done.output
    assert not (tmp_path / "site" / "index.html").exists()


def test_without_submissions_there_is_no_page(blind, tmp_path):
    place = ("--submissions", tmp_path / "none", "--out", tmp_path / "site")
    done = run("leaderboard", "build", *corpus(blind), *place, code=2)
    assert "holds no submission to any of these corpora" in done.stderr


def test_two_versions_of_a_corpus_have_no_board_together(blind, entered, tmp_path):
    other = Path(shutil.copytree(blind.folder, tmp_path / "other"))
    place = ("--submissions", tmp_path / "none", "--out", tmp_path / "site")
    words = (*corpus(blind), "--corpus", other, *place)
    done = run("leaderboard", "build", *words, code=2)
    assert "holds no submission" in done.stderr  # no board, so nothing to mix
    place = ("--submissions", _one(entered, tmp_path), "--out", tmp_path / "site")
    words = (*corpus(blind), "--corpus", other, *place, "--resamples", 2)
    done = run("leaderboard", "build", *words, code=2)
    assert f"two corpora are called {blind.name}: a page shows one" in done.stderr


@pytest.mark.browser
@pytest.mark.parametrize("address", ["http", "file"])
def test_the_built_page_opens_every_view_of_real_data(
    site, blind, browser, address, tmp_path
):
    from tests.leaderboard.page.browser import opened, served

    with served(site) as host:
        home = f"{host}/" if address == "http" else f"{(site / 'index.html').as_uri()}"
        with opened(browser, home) as it:
            for view in ("", "/task/final-acc/w04", "/pairs", "/cost"):
                page = it.open(f"#/{blind.name}{view}")
                assert "sotl_e" in page.inner_text("#main"), view
            page = it.open(f"#/{blind.name}/tasks")
            assert f"Tasks of {blind.name}" in page.inner_text("#main")
            page = it.open(f"#/{blind.name}-hidden")
            assert "Hidden runs." in page.inner_text("#main")
            page = it.open(f"#/{blind.name}/runs")
            if address == "file":
                assert "harness leaderboard serve" in page.inner_text("#main")
            else:
                first = page.wait_for_selector("#main tbody a")
                run_id = first.inner_text()
                first.click()
                page.wait_for_selector("#main svg path", state="attached")
                assert run_id in page.inner_text("h1")
                assert run_id in set(blind.runs()["run_id"])
        assert it.complaints == []
        assert {url for url in it.requests if not url.startswith(home[:22])} <= {
            "about:blank"
        }


def _one(entered: Path, place: Path) -> Path:
    """Return a folder with one of the submissions."""
    shutil.copytree(entered / "sotl-e", place / "one" / "sotl-e")
    return place / "one"


@pytest.mark.slow
def test_a_site_is_served_on_loopback(site, tmp_path):
    with server(site) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            host, port = running.server_address[:2]
            with urllib.request.urlopen(f"http://{host}:{port}/") as answer:
                page = answer.read()
        finally:
            running.shutdown()
            thread.join()
    assert host == "127.0.0.1"
    assert page == (site / "index.html").read_bytes()
    with pytest.raises(FileNotFoundError, match=r"make it with `harness leaderboard b"):
        server(tmp_path / "nothing")


@pytest.mark.slow
def test_the_same_submissions_give_the_same_scores(site, blind, entered, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(entered, tmp_path / "copy")
    place = ("--submissions", tmp_path / "copy", "--out", again)
    run("leaderboard", "build", *corpus(blind), *place, *FEW)
    for name in (f"{blind.name}.csv", f"{blind.name}.parquet"):
        ours, theirs = site / "downloads" / name, again / "downloads" / name
        assert ours.read_bytes() == theirs.read_bytes()
    kept = {k: v for k, v in contents(site / "data").items() if "/tasks/" in k}
    for name, data in contents(again / "data").items():
        if "/tasks/" in name:
            assert kept[name] == data


def test_progress_counts_and_tells_what_is_left():
    lines: list[str] = []
    told = counted(lines.append, "t4", 2)
    told("a: done")
    told("b: done")
    assert lines[0].startswith("t4 1/2 a: done; about ")
    assert lines[1] == "t4 2/2 b: done; about 0 s left"
