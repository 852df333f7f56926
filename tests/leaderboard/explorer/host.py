"""A tiny site around the views: a page with the content policy, served on loopback."""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from leaderboard.page.render import policy, script

STATIC: Final = Path(__file__).parents[3] / "leaderboard/static"
SCRIPTS: Final = (
    "js/charts.js",
    "js/cost.js",
    "js/explorer_data.js",
    "js/explorer_curve.js",
    "js/explorer_forecasts.js",
    "js/explorer_run.js",
    "js/explorer.js",
    "host.js",
)
HOST: Final = """"use strict";
runcast.store = {};
runcast.data = (key, value) => { runcast.store[key] = value; };
window.problems = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.problems.push(`${event.violatedDirective} ${event.blockedURI}`));
window.addEventListener("unhandledrejection", (event) =>
  window.problems.push(String(event.reason)));
async function show() {
  const asked = location.hash;
  const [path, text] = asked.slice(2).split("?");
  const [name, kind, run] = path.split("/").map(decodeURIComponent);
  const query = new URLSearchParams(text);
  const update = (changes) => {
    for (const [key, value] of Object.entries(changes)) {
      if (value) query.set(key, value);
      else query.delete(key);
    }
    history.replaceState(null, "", `#/${path}?${query}`);
  };
  const board = window.boards[name];
  const view = kind === "cost" ? runcast.views.cost(board)
    : runcast.views.explorer(board, { run: run || null, query, update });
  document.querySelector("main").replaceChildren(await view);
  document.body.dataset.shown = asked;
}
window.addEventListener("hashchange", show);
window.addEventListener("load", show);
"""
PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>host</title><link rel="icon" href="host.css">
<link rel="stylesheet" href="host.css"><link rel="stylesheet" href="explorer.css">
{scripts}<script src="boards.js"></script></head>
<body><main></main></body></html>
"""
STYLE: Final = (
    ":root { color-scheme: light dark; }\n"
    "body { margin: 1rem; font: 16px system-ui, sans-serif;"
    " background: light-dark(#fbfbf9, #14181a); }\n"
)


def write_site(out: Path, boards: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a site with the views, for boards by name."""
    shutil.copytree(STATIC / "vendor", out / "vendor", dirs_exist_ok=True)
    shutil.copytree(STATIC / "js", out / "js", dirs_exist_ok=True)
    shutil.copyfile(STATIC / "explorer.css", out / "explorer.css")
    scripts = "".join(f'<script src="{name}"></script>\n' for name in SCRIPTS)
    page = PAGE.format(policy=policy(), scripts=scripts)
    (out / "index.html").write_text(page, encoding="utf-8")
    (out / "host.js").write_text(HOST, encoding="utf-8")
    (out / "host.css").write_text(STYLE, encoding="utf-8")
    text = f"window.boards = {json.dumps(boards)};\n"
    (out / "boards.js").write_text(text, encoding="utf-8")


def describe(out: Path, board: str, description: Mapping[str, Any]) -> None:
    """Write what the page gets to know of a board's explorer."""
    path = out / f"data/{board}/explorer/index.js"
    path.write_text(script(f"explorer/{board}", description), encoding="utf-8")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Whole files, or ranges where the server's class asks for them."""

    ranges = False
    asked: list[tuple[str, int]]

    def do_GET(self) -> None:
        """Answer with a part of a file, as large static hosts do."""
        given = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if not (self.ranges and given and path.is_file()):
            if path.is_file():
                self.asked.append((path.name, path.stat().st_size))
            super().do_GET()
            return
        first, last = given.removeprefix("bytes=").split("-")
        part = path.read_bytes()[int(first) : int(last) + 1]
        self.asked.append((path.name, len(part)))
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(
    folder: Path, ranges: bool = False
) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Serve a folder; yield its address and (file, bytes) of every answer so far."""
    asked: list[tuple[str, int]] = []
    kind = type("Asked", (Handler,), {"ranges": ranges, "asked": asked})
    handler = functools.partial(kind, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
