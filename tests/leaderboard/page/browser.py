"""Chromium for tests: a page that keeps what went wrong in it, and a served site."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
WIDE, PHONE = (1280, 900), (390, 844)
READY = "#main[data-view]"
ROUTES = {
    "overall": "#/",
    "columns": "#/t4-digits?pool=curve&columns=tasks&sort=skill",
    "tasks": "#/t4-digits/tasks",
    "task": "#/t4-digits/task/final-acc/w20",
    "predictor": "#/t4-digits/predictor/neural%20process",
    "pairs": "#/t4-digits/pairs",
    "hidden": "#/t4-digits-hidden",
    "hidden task": "#/t4-digits-hidden/task/final-acc/w20",
    "submit": "#/submit",
    "downloads": "#/downloads",
    "missing": "#/nowhere/at/all",
}
"""Every view of the page, but cost and runs, which are tested elsewhere."""


@dataclass
class Opened:
    """A page, and what it complained of or asked for since it was opened."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, route: str = "#/") -> Page:
        """Open a route in a fresh document and wait for its view."""
        self.page.goto("about:blank")
        self.page.goto(self.address + route)
        self.page.wait_for_selector(READY)
        return self.page

    def follow(self, route: str) -> Page:
        """Go to a route within the document and wait for its view."""
        self.page.evaluate(
            "route => { if (location.hash === route) return;"
            " delete document.getElementById('main').dataset.view;"
            " location.hash = route; }",
            route,
        )
        self.page.wait_for_selector(READY)
        return self.page

    def names(self) -> list[str]:
        """Return the first column of names that are shown, from top to bottom."""
        script = (
            "rows => rows.filter(row => !row.hidden)"
            ".map(row => row.querySelector('th a').innerText)"
        )
        found: list[str] = self.page.eval_on_selector_all("#main tbody tr", script)
        return found


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium, see `scripts/browser`."""
    path = shutil.which("chromium")
    assert path, "no chromium: run scripts/browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Opened]:
    """Open a page of its own; options are those of a browser context."""
    width, height = options.pop("size", WIDE)
    viewport = {"width": width, "height": height}
    context = browser.new_context(viewport=viewport, **options)
    context.set_default_timeout(8000)
    it = Opened(context.new_page(), address)
    it.page.on(
        "console",
        lambda said: (
            said.type in ("error", "warning") and it.complaints.append(said.text)
        ),
    )
    it.page.on("pageerror", lambda error: it.complaints.append(str(error)))
    it.page.on("request", lambda asked: it.requests.append(asked.url))
    yield it
    context.close()


class Quiet(SimpleHTTPRequestHandler):
    """Serves without a word."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; gives its address."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
