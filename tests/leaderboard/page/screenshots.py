"""Screenshots of the sample site, to look at.

python -m tests.leaderboard.page.screenshots FOLDER     such as docs/leaderboard
"""

import sys
import tempfile
from pathlib import Path

from leaderboard.page.render import render_site
from tests.leaderboard.page.browser import PHONE, ROUTES, WIDE, chromium, opened
from tests.leaderboard.page.sample import make_arguments

VIEWS = ("overall", "task", "predictor", "pairs", "submit")


def shoot(
    index: Path, out: Path, browser: object, views: tuple[str, ...] = VIEWS
) -> list[Path]:
    """Write a picture of each view, wide and on a phone, light and dark."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for device, size in (("wide", WIDE), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            with opened(browser, index.as_uri(), size=size, color_scheme=scheme) as it:
                for view in views:
                    path = out / f"{view}-{device}-{scheme}.png"
                    it.open(ROUTES[view]).screenshot(path=path)
                    written.append(path)
    return written


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as site, chromium() as running:
        render_site(Path(site), **make_arguments())
        shoot(Path(site) / "index.html", Path(sys.argv[1]), running)
