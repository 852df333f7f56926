"""Whatever a submission calls itself, the page is made of the same elements."""

from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaderboard.page.render import index_html, render_site
from tests.leaderboard.page.browser import opened
from tests.leaderboard.page.sample import HOSTILE, make_arguments

pytestmark = pytest.mark.browser
NAMES = ("median", "x", "stacked forest")
"""The second is replaced by what is tried."""
TREE = """root => {
  const inside = (node) => node.nodeName === "TEMPLATE" ? node.content : node;
  const names = (node) => [...node.attributes].map(one => one.name).sort().join();
  const below = (node) => [...inside(node).children].map(tree);
  const tree = (node) => [node.nodeName, names(node), below(node)];
  return JSON.stringify(tree(root));
}"""
PARSED = (
    f"html => ({TREE})"
    "(new DOMParser().parseFromString(html, 'text/html').documentElement)"
)
SHOW = """async ([board, task, route]) => {
  runcast.data("board/t4-digits", JSON.parse(board));
  runcast.data("task/t4-digits/ckpt-prune/w20", JSON.parse(task));
  const params = (rest) => ({rest, query: new URLSearchParams(), update: () => {}});
  const shown = JSON.parse(board);
  runcast.data("pairs/t4-digits", shown.pairs);
  const [kind, rest] = route;
  return (%s)(await runcast.views[kind](shown, params(rest)));
}"""
VIEWS = ("overall", "tasks", "task", "predictor", "pairs")


def told(name: str) -> Any:
    """Return a site whose second predictor says `name` wherever it can."""
    arguments = make_arguments([NAMES[0], name, NAMES[2]], num_tasks=2)
    for board in arguments["boards"].values():
        entry = board["entries"][1]
        entry |= dict.fromkeys(("contact", "licence", "description", "predictor"), name)
        entry |= {
            "authors": [name],
            "signals": [name],
            "copies": [name],
            "folder": name,
        }
        entry["compute"]["hardware"] = name
    for task in arguments["tasks"]["t4-digits"].values():
        row = next(row for row in task["rows"] if row["name"] == name)
        row |= {"reason": name, "declined": 3}
    return arguments


def page_of(name: str) -> str:
    arguments = told(name)
    return index_html(arguments["site"], list(arguments["boards"].values()), {})


def live(page: Any, name: str) -> list[str]:
    """Return the element tree of every view."""
    import json

    arguments = told(name)
    board = json.dumps(arguments["boards"]["t4-digits"])
    task = json.dumps(arguments["tasks"]["t4-digits"]["ckpt-prune/w20"])
    rests = {"task": "ckpt-prune/w20", "predictor": name}
    routes = [[view, rests.get(view, "")] for view in VIEWS]
    return [page.evaluate(SHOW % TREE, [board, task, route]) for route in routes]


class Plain(NamedTuple):
    """The element trees where the name is x."""

    written: str
    views: list[str]


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Any:
    with opened(browser, address) as it:
        yield it.open()


@pytest.fixture(scope="module")
def plain(page: Any) -> Plain:
    return Plain(page.evaluate(PARSED, page_of("x")), live(page, "x"))


def names() -> Any:
    return st.text(min_size=1, max_size=60).filter(lambda name: name not in NAMES)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_gives_the_tree_of_x(page: Any, plain: Plain, name: str) -> None:
    assert len(plain.written) > 1000
    assert all("BDI" in tree for tree in plain.views)
    assert page.evaluate(PARSED, page_of(name)) == plain.written
    assert live(page, name) == plain.views


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=names())
def test_any_name_gives_the_tree_of_x_in_the_written_page(
    page: Any, plain: Plain, name: str
) -> None:
    assert page.evaluate(PARSED, page_of(name)) == plain.written


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=names())
def test_any_name_gives_the_tree_of_x_in_every_view(
    page: Any, plain: Plain, name: str
) -> None:
    assert live(page, name) == plain.views


def test_a_hostile_site_runs_nothing_and_asks_nobody(
    browser: Any, tmp_path: Any
) -> None:
    names = ["median", *(name for name in HOSTILE if "\x00" not in name)]
    render_site(tmp_path, **make_arguments(names, num_tasks=3))
    with opened(browser, (tmp_path / "index.html").as_uri()) as it:
        it.page.on("dialog", lambda dialog: it.complaints.append("dialog"))
        page = it.open()
        seen = []
        for name in names:
            page.get_by_role("link", name=name, exact=True).first.click()
            page.wait_for_selector("#main[data-view=predictor]")
            seen.append(page.locator("h1").text_content())
            page.go_back()
            page.wait_for_selector("#main[data-view=overall]")

    assert sorted(seen) == sorted(names)
    assert it.complaints == []
    assert {url.split(":")[0] for url in it.requests} <= {"file", "about", "data"}


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("https://example.org/a", "https://example.org/a"),
        ("http://example.org/a", None),
        ("javascript:alert(1)", None),
        ("https://user:word@example.org", None),
        ("data:text/html,x", None),
        ("//example.org", None),
        (" JaVaScRiPt:alert(1)", None),
        ("", None),
    ],
)
def test_only_plain_https_addresses_become_links(
    page: Any, code: str, shown: Any
) -> None:
    href = page.evaluate("code => runcast.outside(code).getAttribute('href')", code)

    assert href == shown


@pytest.mark.parametrize(
    "name", ["onclick", "style", "src", "srcdoc", "action", "xlink:href"]
)
def test_attributes_that_could_run_or_load_cannot_be_set(page: Any, name: str) -> None:
    said = page.evaluate(
        "name => { try { runcast.h('a', {[name]: 'x'}); return ''; }"
        " catch (error) { return error.message; } }",
        name,
    )

    assert said == f"attribute {name} is not one that the page sets"
