"""The written site, without a browser."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import leaderboard
from leaderboard.page.render import index_html, policy, render_site, script, slug
from tests.leaderboard.page.sample import HOSTILE, make_arguments

SOURCES = Path(leaderboard.__file__).parent
OWN = sorted((SOURCES / "static" / "js").glob("*.js"))
TEMPLATES = sorted((SOURCES / "templates").glob("*.j2"))
FORBIDDEN = (
    r"innerHTML", r"outerHTML", r"insertAdjacentHTML", r"document\.write", r"\beval\b",
    r"\bFunction\(", r"setTimeout\(\s*[\"'`]", r"\bimport\b.*\bfrom\b", r"javascript:",
)  # fmt: skip


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_no_script_makes_markup_or_code_from_text(pattern: str) -> None:
    found = [path.name for path in OWN if re.search(pattern, path.read_text("utf-8"))]

    assert OWN
    assert found == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_holds_code_or_trusts_a_text(path: Path) -> None:
    text = path.read_text("utf-8")

    assert re.findall(r"<[^>]*\s(on\w+|style)\s*=", text) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
    assert re.findall(r"\|\s*safe|autoescape", text) == []


@pytest.mark.parametrize("path", [*OWN, *TEMPLATES], ids=lambda path: path.name)
def test_sources_are_ascii_and_short(path: Path) -> None:
    text = path.read_text("utf-8")

    assert text.isascii()
    assert len(text.splitlines()) <= 300


def test_every_view_is_strict_and_shares_one_name() -> None:
    made = r"^(?:var|let|const|function|class)\s+(\w+)"
    names = [n for path in OWN for n in re.findall(made, path.read_text("utf-8"), re.M)]

    assert all('"use strict";' in path.read_text("utf-8") for path in OWN)
    assert names == ["runcast"]


def test_the_policy_allows_our_files_and_nothing_else(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")

    assert policy() == (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    assert page.count('http-equiv="Content-Security-Policy"') == 1
    assert page.index("Content-Security-Policy") < page.index("<link")
    assert '<meta name="referrer" content="no-referrer">' in page


def test_every_address_of_the_page_is_relative_and_there(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    addresses = re.findall(r'\s(?:src|href)="([^"]*)"', page)
    files = [one for one in addresses if not one.startswith(("#", "data:image"))]

    assert len(files) > 10
    assert [one for one in files if not (site / one).is_file()] == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_data_files_hold_no_markup_and_give_every_text_back(text: str) -> None:
    written = script("board/x", {text: [text, 1.5, None]})
    js = f"const runcast = {{data: (k, v) => console.log(JSON.stringify(v))}};{written}"
    done = subprocess.run(["node", "-e", js], capture_output=True, check=True)

    assert json.loads(done.stdout) == {text: [text, 1.5, None]}
    assert written.isascii()
    assert "<" not in written


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not JSON compliant"):
        script("site", {"a": float("nan")})


def test_boards_that_site_and_data_do_not_share_are_refused(
    tmp_path: Path, arguments: Any
) -> None:
    boards = {"t4-digits": arguments["boards"]["t4-digits"]}
    with pytest.raises(ValueError, match=r"give at least one, and the same in both"):
        render_site(tmp_path, **arguments | {"boards": boards})

    assert list(tmp_path.iterdir()) == []


def test_pairs_and_tasks_are_files_of_their_own(site: Path, arguments: Any) -> None:
    board = arguments["boards"]["t4-digits"]
    folder = site / "data" / "t4-digits"
    names = {path.stem for path in (folder / "tasks").iterdir()}

    assert names == {slug(task["name"]) for task in board["tasks"]}
    assert slug("curve/w20/sched=step") == "curve--w20--sched=step"
    assert "win_low" not in (folder / "board.js").read_text("utf-8")
    assert "win_low" in (folder / "pairs.js").read_text("utf-8")


def test_the_same_data_make_the_same_bytes_and_leave_other_files_alone(
    tmp_path: Path, site: Path, arguments: Any
) -> None:
    kept = tmp_path / "data" / "t4-digits" / "explorer" / "runs.parquet"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"PAR1")
    render_site(tmp_path, **arguments)
    render_site(tmp_path, **arguments)
    first = {
        p.relative_to(site): p.read_bytes() for p in site.rglob("*") if p.is_file()
    }
    again = {
        p.relative_to(tmp_path): p.read_bytes()
        for p in tmp_path.rglob("*.*")
        if p.is_file()
    }

    assert again.pop(kept.relative_to(tmp_path)) == b"PAR1"
    assert again == first


def test_the_page_names_version_date_commit_and_files(arguments: Any) -> None:
    page = index_html(
        arguments["site"], list(arguments["boards"].values()), arguments["downloads"]
    )

    assert "runcast 0.7.0" in page
    assert '<time datetime="2026-11-22T02:00:00Z">2026-11-22</time>' in page
    assert "<code>abc1234</code>" in page
    assert 'href="downloads/t4-digits.parquet" download' in page


def test_the_example_card_of_the_page_is_valid_toml(arguments: Any) -> None:
    import html
    import tomllib

    page = index_html(arguments["site"], list(arguments["boards"].values()), {})
    card = re.search(r"<code>(name = .*?)</code>", page, re.S)
    told = tomllib.loads(html.unescape(card.group(1)))

    assert (
        told["corpus"]["sha256"] == arguments["boards"]["t4-digits"]["corpus"]["sha256"]
    )
    assert told["tasks"] == {
        "ckpt-prune/w20": {"version": "1"},
        "curve/w20": {"version": "1"},
    }
    assert set(told) == {
        "name", "authors", "contact", "code", "licence", "description", "runcast",
        "predictor", "compute", "corpus", "tasks",
    }  # fmt: skip


def test_a_small_board_needs_no_second_task() -> None:
    arguments = make_arguments(["x"], num_tasks=1)
    page = index_html(arguments["site"], list(arguments["boards"].values()), {})

    assert page.count("[tasks.") == 1
