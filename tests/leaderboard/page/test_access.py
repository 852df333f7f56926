"""Accessibility of every view, its content policy, and that it asks nobody else."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.leaderboard.page.browser import PHONE, ROUTES, WIDE, opened

pytestmark = pytest.mark.browser
CONTROLS = {
    "button", "link", "checkbox", "radio", "searchbox", "textbox", "combobox", "table",
    "region", "navigation", "form", "search", "columnheader", "rowheader",
    "DisclosureTriangle",
}  # fmt: skip


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_any_view(
    browser: Any, address: str, scheme: str, size: tuple[int, int]
) -> None:
    found = {}
    with opened(browser, address, color_scheme=scheme, size=size) as it:
        it.open()
        for name, route in ROUTES.items():
            results = Axe().run(it.follow(route)).response
            found[name] = [
                (one["id"], node["html"][:200], node["failureSummary"][:200])
                for one in results["violations"]
                for node in one["nodes"][:3]
            ]
            assert len(results["passes"]) > 10

    assert found == {name: [] for name in ROUTES}


@pytest.mark.parametrize("name", ROUTES)
def test_every_control_has_a_name_in_chromiums_tree(wide: Any, name: str) -> None:
    page = wide.open(ROUTES[name])
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    controls = [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in CONTROLS
    ]

    assert len(controls) > 5
    assert [role for role, called in controls if not called] == []


@pytest.mark.parametrize("name", ROUTES)
def test_headings_are_in_order_and_the_title_tells_the_view(
    wide: Any, name: str
) -> None:
    page = wide.open(ROUTES[name])
    script = "all => all.map(e => Number(e.tagName[1]))"
    levels = page.eval_on_selector_all("h1, h2, h3, h4", script)
    heading = page.locator("h1").inner_text()

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert page.title() == f"{heading} \u00b7 runcast leaderboard"
    landmarks = ("banner", "main", "contentinfo")
    assert [page.get_by_role(role).count() for role in landmarks] == [1, 1, 1]


@pytest.mark.parametrize("over", ["http", "file"])
def test_no_view_breaks_the_policy_or_asks_another_host(
    browser: Any, address: str, site: Path, over: str
) -> None:
    start = address if over == "http" else (site / "index.html").as_uri()
    home = start.removesuffix("index.html")
    with opened(browser, start) as it:
        it.open()
        views = [
            it.follow(route).locator("h1").inner_text() for route in ROUTES.values()
        ]
        for route in ROUTES.values():
            it.open(route)

    assert len(set(views)) > 7
    assert it.complaints == []
    foreign = [
        u for u in it.requests if not u.startswith((home, "data:image", "about:"))
    ]
    assert foreign == []


def test_an_inline_script_is_stopped_by_the_policy(wide: Any) -> None:
    page = wide.open()
    page.evaluate(
        "() => { const s = document.createElement('script');"
        " s.textContent = 'window.ran = 1';document.body.append(s); }"
    )

    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in said for said in wide.complaints)


def test_text_of_twice_the_size_scrolls_no_page_sideways(
    browser: Any, address: str
) -> None:
    with opened(browser, address, size=(640, 800)) as it:
        page = it.open()
        page.evaluate("document.documentElement.style.fontSize = '30px'")
        needed = page.evaluate("document.documentElement.scrollWidth")

    assert needed <= 640


def test_on_paper_tables_are_whole_and_controls_are_gone(wide: Any) -> None:
    page = wide.open()
    page.emulate_media(media="print")

    assert not page.get_by_role("searchbox", include_hidden=True).is_visible()
    assert (
        page.locator(".scroll").first.evaluate("e => getComputedStyle(e).overflow")
        == "visible"
    )
    assert page.locator("tbody tr").last.is_visible()
