"""Pictures of the page can be taken, and are not empty."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.leaderboard.page.screenshots import shoot

pytestmark = pytest.mark.browser


def test_pictures_are_taken_wide_and_on_a_phone_light_and_dark(
    browser: Any, site: Path, tmp_path: Path
) -> None:
    written = shoot(site / "index.html", tmp_path, browser, ("overall",))
    corners = {}
    for path in written:
        with Image.open(path) as image:
            corners[path.stem] = (image.width, image.convert("RGB").getpixel((1, 1)))
            colours = image.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 50

    light, dark = (251, 251, 249), (20, 24, 26)
    assert corners == {
        "overall-wide-light": (1280, light),
        "overall-wide-dark": (1280, dark),
        "overall-phone-light": (390, light),
        "overall-phone-dark": (390, dark),
    }
