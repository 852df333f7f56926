"""The cost plot and the run explorer, driven in Chromium under the content policy."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.leaderboard.explorer.conftest import EPOCHS, HOSTILE, NAMES, SIZE, Site
from tests.leaderboard.explorer.host import describe, served, write_site

pytestmark = pytest.mark.browser
DRAWN = """selector => [...document.querySelectorAll(selector)].map(path => {
  const svg = path.closest("svg");
  const at = value => [...value.matchAll(/[ML]([-\\d.]+),([-\\d.]+)/g)]
    .map(([, x, y]) => [svg.scale("x").invert(+x), svg.scale("y").invert(+y)]);
  return at(path.getAttribute("d"));
})"""


def show(page: Any, address: str, route: str) -> None:
    """Open a view and wait until it is there."""
    page.goto(f"{address}#/small/{route}")
    page.locator(f"body[data-shown='#/small/{route}']").wait_for()


def drawn(page: Any, selector: str) -> list[np.ndarray]:
    """Return the points of the drawn paths in the units of the axes."""
    page.locator(f"{selector} >> nth=0").wait_for(state="attached")
    return [np.array(path) for path in page.evaluate(DRAWN, selector)]


def recorded(site: Site, run: str, signal: str) -> np.ndarray:
    """Return (epoch, value) of a run as pyarrow reads the corpus."""
    rows = [
        row
        for path in sorted((site.corpus.folder / "curves").iterdir())
        for row in pq.read_table(path).to_pylist()
        if (row["run_id"], row["signal"]) == (run, signal)
    ]
    steps = np.concatenate([row["steps"] for row in rows]) / SIZE
    return np.stack([steps, np.concatenate([row["values"] for row in rows])], axis=1)


def first_run(site: Site) -> str:
    """Return the name of a run that the list shows first by name."""
    return str(site.corpus.runs()["run_id"].sort()[0])


def nothing_forbidden(page: Any, address: str) -> bool:
    """Tell whether the page broke no rule, threw nothing and asked nobody else."""
    foreign = [url for url in page.asked if not url.startswith(address)]
    return (page.evaluate("window.problems"), page.errors, foreign) == ([], [], [])


def test_the_list_shows_all_runs_best_first(
    page: Any, site: Site, address: str
) -> None:
    show(page, address, "runs")
    runs = site.corpus.runs().sort(
        ["final.test_accuracy", "run_id"], descending=[True, False]
    )
    assert page.locator("tbody tr").count() == len(runs) == 40
    assert page.locator("tbody th").all_inner_texts() == runs["run_id"].to_list()
    assert page.locator(".rc-count").inner_text() == "40 runs"
    assert nothing_forbidden(page, address)


def test_filters_and_text_leave_the_runs_that_have_both(
    page: Any, site: Site, address: str
) -> None:
    show(page, address, "runs")
    page.select_option("select[name='optimizer.name']", "adamw")
    page.fill("input[name=q]", "0.0167 adamw")
    wanted = site.corpus.runs().filter(
        pl.col("optimizer.name") == "adamw", pl.col("optimizer.lr") == 0.0167
    )["run_id"]
    assert set(page.locator("tbody th").all_inner_texts()) == set(wanted)
    assert page.locator(".rc-count").inner_text() == f"{len(wanted)} of 40 runs"
    assert "optimizer.name=adamw" in page.url


def test_a_column_sorts_both_ways_by_keyboard(
    page: Any, site: Site, address: str
) -> None:
    show(page, address, "runs")
    button = page.get_by_role("button", name="Rate")
    rates = site.corpus.runs()["optimizer.lr"].sort()
    button.press("Enter")
    assert (
        float(page.locator("tbody tr td:nth-child(3)").first.inner_text()) == rates[0]
    )
    button.press("Enter")
    assert (
        float(page.locator("tbody tr td:nth-child(3)").first.inner_text()) == rates[-1]
    )
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Rate")


def test_the_drawn_curve_is_the_recorded_one(
    page: Any, site: Site, address: str, tmp_path: Path
) -> None:
    run = first_run(site)
    show(page, address, "runs")
    page.get_by_role("link", name=run).click()
    (path,) = drawn(page, ".rc-own path, path.rc-own")
    wanted = recorded(site, run, "train_loss")
    np.testing.assert_allclose(path, wanted, atol=0.005)
    page.screenshot(path=tmp_path / "run.png", full_page=True)
    assert nothing_forbidden(page, address)


@pytest.mark.parametrize("signal", ["val_loss", "lr"])
def test_another_signal_is_drawn_as_recorded(
    page: Any, site: Site, address: str, signal: str
) -> None:
    run = first_run(site)
    show(page, address, f"runs/{run}")
    page.select_option("select[name=signal]", signal)
    page.locator(f"svg[aria-label^='{signal} of run']").wait_for()
    (path,) = drawn(page, ".rc-own path, path.rc-own")
    np.testing.assert_allclose(path, recorded(site, run, signal), atol=0.005)
    assert f"signal={signal}" in page.url


def test_the_window_ends_where_the_task_says(
    page: Any, site: Site, address: str
) -> None:
    run = first_run(site)
    edge = """() => {
      const svg = document.querySelector("svg:has(.rc-window)");
      const box = svg.querySelector(".rc-window rect, rect.rc-window");
      const [x, width] = ["x", "width"].map(name => +box.getAttribute(name));
      return [svg.scale("x").invert(x), svg.scale("x").invert(x + width)];
    }"""
    show(page, address, f"runs/{run}?task=final-acc/w50")
    assert page.evaluate(edge) == pytest.approx([0, 0.5 * EPOCHS], abs=0.01)
    page.select_option("select[name=task]", "curve/w20")
    page.get_by_text("first 20 %").wait_for()
    assert page.evaluate(edge) == pytest.approx([0, 0.2 * EPOCHS], abs=0.01)


def test_laws_are_drawn_and_continued_as_they_were_fitted(
    page: Any, site: Site, address: str
) -> None:
    rows = pl.read_parquet(site.explorer / "laws.parquet").filter(
        pl.col("until") == 0.5, pl.col("law") == "power_law", pl.col("r2") > 0.999
    )
    law = rows.row(0, named=True)
    show(page, address, f"runs/{law['run_id']}?task=final-acc/w50")
    for name in ("burn_in_power_law", "power_law", "shifted_power"):
        page.locator("input[name^=law-]").first.wait_for()
        box = page.locator(f"input[name=law-{name}]")
        if box.count():
            box.set_checked(name == "power_law")
    fitted, continued = drawn(page, ".rc-law path, path.rc-law")
    both = np.concatenate([fitted, continued])
    expected = law["prefactor"] * both[:, 0] ** -law["exponent"]
    np.testing.assert_allclose(both[:, 1], expected, atol=0.01)
    assert fitted[0, 0] == pytest.approx(law["first_step"] / SIZE, abs=0.01)
    assert fitted[-1, 0] <= law["last_step"] / SIZE + 0.01
    assert continued[-1, 0] == pytest.approx(EPOCHS, abs=0.01)


def test_the_knee_stands_where_it_was_found(
    page: Any, site: Site, address: str
) -> None:
    rows = pl.read_parquet(site.explorer / "laws.parquet").filter(
        pl.col("knee_step").is_not_null()
    )
    knee = rows.row(0, named=True)
    show(page, address, f"runs/{knee['run_id']}?task=final-acc/w50")
    at = page.evaluate("""() => {
      const line = document.querySelector(".rc-knee line, line.rc-knee");
      return line.closest("svg").scale("x").invert(+line.getAttribute("x1"));
    }""")
    assert at == pytest.approx(knee["knee_step"] / SIZE, abs=0.05)


def test_forecasts_stand_beside_the_truth_in_the_order_of_the_ranking(
    page: Any, site: Site, address: str
) -> None:
    run = first_run(site)
    show(page, address, f"runs/{run}?task=final-acc/w50")
    page.locator("details summary").click()
    rows = page.locator("details tbody tr").all()
    names = [row.locator("th").inner_text() for row in rows]
    assert names == list(reversed(NAMES))
    table = pl.read_parquet(site.explorer / "forecasts/final-acc--w50.parquet")
    said = {r["predictor"]: r for r in table.filter(run_id=run).to_dicts()}
    places = page.evaluate("""() =>
      [...document.querySelectorAll(".rc-said circle")].map(dot =>
        dot.closest("svg").scale("x").invert(+dot.getAttribute("cx")))""")
    wanted = [said[name]["prediction"] for name in names if name != "silent"]
    assert places == pytest.approx(wanted, abs=0.001)
    assert f"too {HOSTILE}" in rows[0].inner_text()


def test_forecast_curves_are_drawn_over_the_true_one(
    page: Any, site: Site, address: str
) -> None:
    run = first_run(site)
    show(page, address, f"runs/{run}?task=curve/w20")
    table = pl.read_parquet(site.explorer / "forecasts/curve--w20.parquet")
    said = {r["predictor"]: r for r in table.filter(run_id=run).to_dicts()}
    epochs = np.arange(7, EPOCHS + 1)
    (truth,) = drawn(page, ".rc-truth path, path.rc-truth")
    np.testing.assert_allclose(truth[:, 0], epochs, atol=0.01)
    np.testing.assert_allclose(truth[:, 1], said["near"]["truth"], atol=0.005)
    lines = drawn(page, ".rc-said path, path.rc-said")
    names = [name for name in reversed(NAMES) if name != "silent"]
    for line, name in zip(lines, names, strict=True):
        np.testing.assert_allclose(line[:, 1], said[name]["prediction"], atol=0.005)
    page.get_by_label("near").uncheck()
    assert len(drawn(page, ".rc-said path, path.rc-said")) == len(names) - 1


def test_arrow_keys_read_the_curve(page: Any, site: Site, address: str) -> None:
    show(page, address, f"runs/{first_run(site)}?signal=val_loss")
    page.locator("svg[tabindex]").first.press("Home")
    first = page.locator("output.rc-told").first.inner_text()
    page.locator("svg[tabindex]").first.press("ArrowRight")
    second = page.locator("output.rc-told").first.inner_text()
    assert first.startswith("0 epochs (step 0): val_loss")
    assert second.startswith("1.50 epochs (step 6): val_loss")


@pytest.mark.parametrize(
    "view", ["cost", "runs", "runs/RUN", "runs/RUN?task=curve/w20"]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_fit_a_phone_and_break_no_rule(
    browser: Any, site: Site, address: str, tmp_path: Path, view: str, scheme: str
) -> None:
    size = {"width": 360, "height": 740}
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    show(page, address, view.replace("RUN", first_run(site)))
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.title() == "host"
    assert nothing_forbidden(page, address)
    page.close()


def test_names_are_shown_as_text(page: Any, site: Site, address: str) -> None:
    for view in ("cost", f"runs/{first_run(site)}"):
        show(page, address, view)
        page.evaluate(
            "document.querySelectorAll('details').forEach(d => d.open = true)"
        )
        assert page.locator("th bdi", has_text="<img").inner_text() == HOSTILE
        assert page.locator("main img, main script, main style").count() == 0
        assert page.title() == "host"


def test_the_cost_plot_places_price_and_skill(
    page: Any, address: str, tmp_path: Path
) -> None:
    show(page, address, "cost")
    marks = page.locator(".rc-dots > *")
    assert marks.count() == 4
    points = page.evaluate("""() => [...document.querySelectorAll(".rc-dots > *")].map(
      mark => {
        const svg = mark.closest("svg");
        const moved = mark.getAttribute("transform");
        const [x, y] = /\\(([^)]*)\\)/.exec(moved)[1].split(",");
        return [svg.scale("x").invert(+x), svg.scale("y").invert(+y)];
      })""")
    assert [y for _, y in points] == pytest.approx([0.1, 0.5, 0.3, 0.0], abs=0.01)
    zero, *priced = [x for x, _ in points]
    assert priced == pytest.approx([0.2, 0.2, 2.5], rel=0.15)
    assert 0 < zero < 0.1 / 2
    assert (
        "0" in page.locator("[aria-label='x-axis tick label'] text").all_text_contents()
    )
    (front,) = drawn(page, ".rc-step path, path.rc-step")
    assert [y for _, y in front[:1]] == pytest.approx([0.1], abs=0.01)
    cells = [row.inner_text().split("\t") for row in page.locator("tbody tr").all()]
    assert [row[0] for row in cells] == ["near", NAMES[2], NAMES[1], "silent"]
    assert cells[0][2:] == ["0", "0.100 [0, 0.200]", "yes"]
    marks.first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".rc-tip").inner_text().startswith(f"{NAMES[2]}\nskill 0.500")
    page.screenshot(path=tmp_path / "cost.png", full_page=True)


def test_from_a_file_the_page_says_how_to_serve_it(page: Any, site: Site) -> None:
    show(page, f"{(site.folder / 'index.html').as_uri()}", "runs")
    alert = page.get_by_role("alert").inner_text()
    assert "harness leaderboard serve" in alert
    show(page, f"{(site.folder / 'index.html').as_uri()}", "cost")
    assert page.locator("svg.rc-plot").count() == 1


def test_a_run_that_is_not_there_is_told(page: Any, address: str) -> None:
    show(page, address, "runs/r-nobody")
    assert "has no run called r-nobody" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"the server says 404"),
        (lambda path: path.write_bytes(b"PAR1"), r"has 4 bytes, expected \d+"),
        (
            lambda path: path.write_bytes(bytes(path.stat().st_size)),
            r"parquet file invalid",
        ),
    ],
)
def test_damaged_forecasts_are_told_and_the_curves_stay(
    page: Any, site: Site, tmp_path: Path, damage: Any, message: str
) -> None:
    shutil.copytree(site.folder, tmp_path / "site")
    damage(tmp_path / "site/data/small/explorer/forecasts/final-acc--w50.parquet")
    with served(tmp_path / "site") as (address, _):
        show(page, address, f"runs/{first_run(site)}?task=final-acc/w50")
        assert re.search(message, page.get_by_role("alert").inner_text())
        assert len(drawn(page, ".rc-own path, path.rc-own")) == 1


def test_a_missing_table_of_runs_is_told(page: Any, site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.folder, tmp_path / "site")
    (tmp_path / "site/data/small/explorer/runs/part-00000.parquet").unlink()
    with served(tmp_path / "site") as (address, _):
        show(page, address, "runs")
        told = page.get_by_role("alert").inner_text()
    assert re.search(r"runs/part-00000\.parquet could not be fetched.*404", told)


def test_only_parts_are_read_where_the_server_has_ranges(
    page: Any, site: Site, tmp_path: Path
) -> None:
    write_site(tmp_path, {"small": {**board_of(site), "name": "small"}})
    shutil.copytree(site.explorer, tmp_path / "data/small/explorer")
    big = pl.read_parquet(site.explorer / "laws.parquet")
    # Enough rows of other runs that one run's are a small part of the file.
    copies = [
        big.with_columns(
            pl.format("{}-{}", "run_id", pl.lit(f"{i:03}")).alias("run_id")
        )
        for i in range(400)
    ]
    path = tmp_path / "data/small/explorer/laws.parquet"
    pl.concat([big, *copies]).sort("run_id").write_parquet(
        path, row_group_size=4096, compression="uncompressed"
    )
    about = {"bytes": path.stat().st_size, "sha256": "0" * 64}
    description = {
        **site.description,
        "files": {**site.description["files"], "laws.parquet": about},
    }
    describe(tmp_path, "small", description)
    with served(tmp_path, ranges=True) as (address, asked):
        show(page, address, f"runs/{first_run(site)}")
        law = page.locator("input[name^=law-]").first
        law.wait_for()
        read = sum(size for name, size in asked if name == "laws.parquet")
    assert about["bytes"] > 1_000_000
    assert 0 < read < about["bytes"] / 3


def board_of(site: Site) -> dict[str, Any]:
    """Return the least that a page needs to know of a board."""
    return {"corpus": {"name": site.corpus.name}, "entries": [], "cost": []}
