"""Time the leaderboard's page in Chromium: 200 predictors by 20 tasks.

    scripts/browser && python benchmarks/bench_page.py

Prints JSON: bytes of the first view (each file by gzip), milliseconds from the start of
the navigation to the first paint and to a table that sorts, of a sort up to the layout
of the rows in sight, up to the next painted frame and up to the last row far below, and
of a filter. Needs Playwright for Python (extra `dev`).
"""

import argparse
import gzip
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from leaderboard.page.render import render_site
from tests.leaderboard.page.browser import Opened, chromium, opened, served
from tests.leaderboard.page.sample import make_arguments

USABLE = """() => new Promise((resolve) => {
  const look = () => document.querySelector("#main[data-view] th button")
    ? resolve(performance.now()) : requestAnimationFrame(look);
  look();
})"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
ACT = """async ([selector, text]) => {
  const control = document.querySelectorAll(selector);
  const times = [];
  for (const one of control) {
    for (let turn = 0; turn < 2; turn += 1) {
      await new Promise((go) => requestAnimationFrame(() => setTimeout(go, 0)));
      const start = performance.now();
      if (text === null) one.click();
      else {
        one.value = turn ? "" : text;
        one.dispatchEvent(new Event("input"));
      }
      document.querySelector("#main table").getBoundingClientRect();
      const laid = performance.now() - start;
      await new Promise((go) => requestAnimationFrame(() => setTimeout(go, 0)));
      const framed = performance.now() - start;
      while (document.querySelector("#main .later")) {
        await new Promise((go) => requestAnimationFrame(go));
      }
      times.push([laid, framed, performance.now() - start]);
    }
  }
  return times;
}"""


def main() -> None:
    """Build the site, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    names = [f"predictor {place}" for place in range(asked.entries)]
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        served(Path(folder)) as host,
    ):
        render_site(Path(folder), **make_arguments(names, asked.tasks))
        usable, painted = [], []
        for _ in range(asked.repeats):
            with opened(browser, f"{host}/index.html") as it:
                it.page.goto(it.address)
                usable.append(it.page.evaluate(USABLE))
                painted.append(it.page.evaluate(PAINTED))
                files = first_view(it, Path(folder))
        with opened(browser, f"{host}/index.html") as it:
            it.open("#/t4-digits?columns=tasks")
            sorts = it.page.evaluate(ACT, ["#main thead button", None])
            finds = it.page.evaluate(ACT, ["#main input[type=search]", "predictor 1"])
    told = {
        "entries": asked.entries,
        "tasks": asked.tasks,
        "first_view_files": len(files),
        "first_view_gzip_bytes": sum(files.values()),
        "painted_ms": summary(painted),
        "usable_ms": summary(usable),
        "sort_ms": summary([laid for laid, _, _ in sorts]),
        "sort_to_frame_ms": summary([frame for _, frame, _ in sorts]),
        "sort_every_row_ms": summary([whole for _, _, whole in sorts]),
        "filter_ms": summary([laid for laid, _, _ in finds]),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(told, indent=1))


def first_view(it: Opened, folder: Path) -> dict[str, int]:
    """Return the compressed bytes of every file that the first view asked for."""
    paths = {urlsplit(url).path for url in it.requests if url.startswith("http")}
    contents = {path: (folder / path.lstrip("/")).read_bytes() for path in paths}
    return {path: len(gzip.compress(content)) for path, content in contents.items()}


def summary(times: list[float]) -> dict[str, Any]:
    """Return median, worst and number of some times."""
    return {
        "median": round(statistics.median(times), 1),
        "worst": round(max(times), 1),
        "n": len(times),
    }


if __name__ == "__main__":
    main()
