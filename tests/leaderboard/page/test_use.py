"""The page in Chromium, used as a reader would."""

import re
from typing import Any

import pytest

from tests.leaderboard.page.browser import PHONE, ROUTES, opened
from tests.leaderboard.page.sample import make_board

pytestmark = pytest.mark.browser
BOARD = make_board()
SKILLS = {row["name"]: row["skill"][0] for row in BOARD["pools"]["settings"]}


def heading(page: Any, name: str) -> Any:
    return page.get_by_role("columnheader", name=name, exact=True)


def test_a_click_sorts_best_first_and_the_next_worst_first(wide: Any) -> None:
    page = wide.open()
    heading(page, "Skill").get_by_role("button").click()
    best = wide.names()
    heading(page, "Skill").get_by_role("button").click()
    worst = wide.names()

    by_skill = sorted(SKILLS, key=lambda name: -SKILLS[name])
    assert best == by_skill
    assert worst == by_skill[::-1]


def test_aria_sort_is_on_the_sorted_column_alone(wide: Any) -> None:
    page = wide.open()
    heading(page, "Predictor").get_by_role("button").click()
    ascending = heading(page, "Predictor").get_attribute("aria-sort")
    heading(page, "Predictor").get_by_role("button").click()

    assert ascending == "ascending"
    assert heading(page, "Predictor").get_attribute("aria-sort") == "descending"
    assert page.locator("[aria-sort]").count() == 1


def test_numbers_that_are_missing_come_last_either_way(wide: Any) -> None:
    page = wide.open()
    free = [e["name"] for e in BOARD["entries"] if e["cost_passes"] is None]
    last = []
    for _ in range(2):
        heading(page, "Cost").get_by_role("button").click()
        last.append(wide.names()[-len(free) :])

    assert free
    assert last == [free, free]


def test_a_pool_shows_its_own_ranks_and_says_how_many(wide: Any) -> None:
    page = wide.open()
    page.get_by_role("radio", name="Curve only").check()

    expected = BOARD["pools"]["curve"]
    assert wide.names() == [row["name"] for row in expected]
    assert page.locator("tbody .rank").first.inner_text() == "1"
    assert (
        page.locator("#told").inner_text()
        == f"{len(expected)} of {len(expected)} predictors shown."
    )


def test_text_filters_by_name_and_author_and_tells_the_live_region(wide: Any) -> None:
    page = wide.open()
    page.get_by_role("searchbox", name="Find").fill("FOREST nother")

    assert wide.names() == ["stacked forest"]
    assert page.locator("#told").inner_text() == "1 of 19 predictors shown."
    assert page.get_by_role("status").count() == 1


def test_what_must_be_read_and_what_is_hidden_narrow_the_rows(wide: Any) -> None:
    page = wide.open()
    page.get_by_role("checkbox", name="curvature").check()
    page.get_by_role("checkbox", name="Controls").check()

    reading = {e["name"] for e in BOARD["entries"] if "curvature" in e["reads"]}
    assert set(wide.names()) == reading
    assert 0 < len(reading) < len(BOARD["entries"])


def test_a_link_with_filters_shows_the_same_view(wide: Any) -> None:
    page = wide.open()
    page.get_by_role("radio", name="+ curvature").check()
    page.get_by_role("checkbox", name="References").check()
    heading(page, "Mean rank").get_by_role("button").click()
    heading(page, "Mean rank").get_by_role("button").click()
    before, link = wide.names(), page.url
    wide.open(link.partition("index.html")[2])

    assert wide.names() == before
    assert "pool=curvature" in link
    assert heading(page, "Mean rank").get_attribute("aria-sort") == "descending"
    assert page.get_by_role("checkbox", name="References").is_checked()


@pytest.mark.parametrize("order", ["constructor", "__proto__", "toString", "x"])
def test_s09_an_order_that_is_none_sorts_best_first(wide: Any, order: str) -> None:
    page = wide.open(f"#/t4-digits?sort=skill&order={order}")

    assert heading(page, "Skill").get_attribute("aria-sort") == "descending"


def test_columns_of_tasks_appear_and_sort(wide: Any) -> None:
    page = wide.open()
    page.get_by_role("checkbox", name="A column per task").check()
    heading(page, "plateau/w30").get_by_role("button").click()

    skills = {name: tasks["plateau/w30"] for name, tasks in BOARD["skills"].items()}
    best = max((n for n in skills if skills[n]), key=lambda name: skills[name][0])
    assert page.locator("thead th").count() == 11 + len(BOARD["tasks"])
    assert wide.names()[0] == best


def test_a_task_and_a_predictor_open_and_back_leads_back(wide: Any) -> None:
    page = wide.open()
    page.get_by_role("link", name="Tasks").click()
    page.get_by_role("link", name="final-acc/w20", exact=True).click()
    page.wait_for_selector("#main[data-view=task]")
    title = page.title()
    page.get_by_role("link", name="gradient boosting").first.click()
    page.wait_for_selector("#main[data-view=predictor]")
    predictor = page.locator("h1").inner_text()
    page.go_back()
    page.wait_for_selector("#main[data-view=task]")

    assert title == "final-acc/w20 \u00b7 runcast leaderboard"
    assert predictor == "gradient boosting"
    assert page.locator("h1").inner_text() == "final-acc/w20"


def test_the_focus_goes_to_the_heading_of_a_new_view(wide: Any) -> None:
    page = wide.open()
    at_first = page.evaluate("document.activeElement.tagName")
    page.get_by_role("link", name="Pairs").click()
    page.wait_for_selector("#main[data-view=pairs]")

    assert at_first == "BODY"
    assert page.evaluate("document.activeElement.textContent") == "Pairs of t4-digits"


def test_back_returns_to_where_one_was_reading(wide: Any) -> None:
    page = wide.open("#/t4-digits/task/final-acc/w20")
    page.evaluate("window.scrollTo(0, 700)")
    page.evaluate("location.hash = '#/submit'")
    page.wait_for_selector("#main[data-view=submit]")
    top = page.evaluate("window.scrollY")
    page.go_back()
    page.wait_for_selector("#main[data-view=task]")

    assert top == 0
    assert page.evaluate("window.scrollY") == 700


def test_tab_and_enter_are_enough_to_skip_sort_and_open(wide: Any) -> None:
    page = wide.open()
    page.keyboard.press("Tab")
    skip = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Skill":
            break
    page.keyboard.press("Enter")
    first = wide.names()[0]
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == first:
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#main[data-view=predictor]")

    assert skip == "Skip to the content"
    assert page.locator("h1").inner_text() == max(SKILLS, key=SKILLS.__getitem__)


def test_every_focused_control_shows_that_it_is(wide: Any) -> None:
    page = wide.open()
    outlines = []
    for _ in range(25):
        page.keyboard.press("Tab")
        style = "getComputedStyle(document.activeElement).outlineStyle"
        outlines.append(page.evaluate(style))

    assert set(outlines) <= {"solid", "auto"}


def test_an_unknown_address_says_so_and_leads_back(wide: Any) -> None:
    page = wide.open("#/t4-digits/task/no-such-task")
    said = page.locator("#main").inner_text()
    page.get_by_role("link", name="Back to t4-digits").click()
    page.wait_for_selector("#main[data-view=overall]")

    assert 'no task "no-such-task"' in said
    assert len(wide.names()) == len(BOARD["entries"])


@pytest.mark.parametrize("route", ["#/%", "#/t4-digits/constructor", "#/__proto__"])
def test_a_broken_address_is_answered_with_a_message(wide: Any, route: str) -> None:
    page = wide.open(route)

    assert page.locator("h1").inner_text() == "Not found"


def test_a_file_of_data_that_is_gone_is_told(wide: Any) -> None:
    wide.page.route("**/data/**/pairs.js", lambda asked: asked.abort())
    page = wide.open("#/t4-digits/pairs")

    assert "could not be loaded" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("width", [360, PHONE[0]])
def test_a_phone_scrolls_no_page_sideways(
    browser: Any, address: str, name: str, width: int
) -> None:
    with opened(browser, address, size=(width, 800)) as phone:
        page = phone.open(ROUTES[name])
        needed = page.evaluate("document.documentElement.scrollWidth")

    assert needed <= width


def test_the_head_and_first_column_stay_in_sight(wide: Any) -> None:
    page = wide.open("#/t4-digits?columns=tasks")
    page.locator(".scroll").first.evaluate("box => { box.scrollTo(900, 300); }")
    box = page.locator(".scroll").first.bounding_box()
    name = page.locator("thead .who").bounding_box()

    assert abs(name["y"] - box["y"]) < 2
    assert abs(name["x"] - box["x"]) < 60


def test_the_theme_follows_the_system_and_a_choice_is_remembered(
    browser: Any, address: str
) -> None:
    paint = "getComputedStyle(document.documentElement).backgroundColor"
    with opened(browser, address, color_scheme="dark") as it:
        page = it.open()
        dark = page.evaluate(paint)
        page.get_by_role("button", name="Theme").click()
        light = page.evaluate(paint)
        again = it.open().evaluate(paint)

    assert (dark, light, again) == (
        "rgb(20, 24, 26)",
        "rgb(251, 251, 249)",
        "rgb(251, 251, 249)",
    )


def test_nothing_moves_for_whoever_asks_for_rest(browser: Any, address: str) -> None:
    moving = (
        "[...document.querySelectorAll('*')].filter(e => {"
        "const s = getComputedStyle(e); return parseFloat(s.transitionDuration) > 0"
        " || s.animationName !== 'none'; }).length"
    )
    with opened(browser, address, reduced_motion="reduce") as it:
        resting = it.open().evaluate(moving)
    with opened(browser, address, reduced_motion="no-preference") as it:
        other = it.open().evaluate(moving)

    assert resting == 0
    assert other > 0


def test_without_javascript_the_tables_are_there(browser: Any, address: str) -> None:
    with opened(browser, address, java_script_enabled=False) as it:
        it.page.goto(address)
        tables = it.page.locator("main table")
        first = tables.first.locator("tbody th").all_inner_texts()
        text = it.page.locator("main").inner_text()
        count = tables.count()

    assert [
        name.split(" reference")[0]
        .split(" control")[0]
        .split(" copy")[0]
        .split("\n")[0]
        for name in first
    ] == [row["name"] for row in BOARD["pools"]["settings"]]
    assert count == 4  # two boards, files, boards and corpora
    assert "Submit a predictor" in text


def test_the_page_of_a_copy_and_what_is_said_of_itself(wide: Any) -> None:
    page = wide.open(ROUTES["predictor"])
    text = page.locator("#main").inner_text()
    link = page.get_by_role("link", name="example.org")

    assert "Copy:" in text
    assert "curve + settings ridge" in text
    assert "Hardware (self-reported)" in text
    assert link.get_attribute("rel") == "nofollow noopener noreferrer"
    assert page.locator("#main tbody tr").count() == 2 + len(BOARD["tasks"])


def test_a_declined_task_gives_its_reason(wide: Any) -> None:
    name = next(
        t for t in BOARD["skills"]["power law"] if not BOARD["skills"]["power law"][t]
    )
    page = wide.open(f"#/t4-digits/task/{name}")
    row = (
        page.get_by_role("row").filter(has_text="power law").filter(has_text="declined")
    )

    assert "the window holds no evaluation" in row.first.inner_text()


def test_pairs_tell_their_interval_in_title_and_text(wide: Any) -> None:
    page = wide.open(ROUTES["pairs"])
    cell = page.locator(".pair").first
    title, pairs = cell.get_attribute("title"), BOARD["pairs"]
    expected = [100 * pairs[key][0][1] for key in ("win", "win_low", "win_high")]
    shown = [int(number) for number in re.findall(r"\d+", cell.inner_text())]

    assert shown == pytest.approx(expected, abs=0.51)
    assert title.startswith("stacked forest wins against gradient boosting: ")
    assert [int(number) for number in re.findall(r"\d+", title)] == shown


def test_a_hidden_board_shows_no_intervals(wide: Any) -> None:
    page = wide.open(ROUTES["hidden"])

    assert page.locator(".bar .point").count() > 0
    assert page.locator(".bar .range").count() == 0
    assert "rounded" in page.locator("#main .note").first.inner_text()
