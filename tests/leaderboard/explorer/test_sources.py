"""Scripts and bundles of the charts: what is in them, and what never is."""

import hashlib
import json
import re

import pytest

from tests.leaderboard.explorer.host import SCRIPTS, STATIC

VERSIONS = json.loads((STATIC / "vendor/versions.json").read_text(encoding="utf-8"))
OURS = [name for name in SCRIPTS if name != "host.js"]
FORBIDDEN = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|"
    r"setAttribute\(\"(style|on)|https?://(?!www\.w3\.org/2000/svg)"
)


@pytest.mark.parametrize("bundle", VERSIONS["bundles"], ids=lambda b: b["name"])
def test_a_bundle_is_the_recorded_one_and_evaluates_no_text(
    bundle: dict[str, str],
) -> None:
    data = (STATIC / "vendor" / bundle["name"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == bundle["sha256"]
    assert data.startswith(f"var {bundle['global']}=(()=>{{".encode())
    assert not re.search(rb"\beval\(|new Function|WebAssembly|importScripts", data)


def test_every_bundled_package_has_its_licence_beside_it() -> None:
    text = (STATIC / "vendor/LICENSES.txt").read_text(encoding="utf-8")
    bundled = [p for p in VERSIONS["packages"] if p["bundled"]]
    assert {"@observablehq/plot", "hyparquet", "fzstd"} <= {p["name"] for p in bundled}
    for package in bundled:
        head = f"{package['name']} {package['version']} ({package['licence']})\n"
        assert head in text
        assert re.fullmatch(r"[0-9a-f]{64}", package["sha256"])


@pytest.mark.parametrize("name", OURS)
def test_our_scripts_are_short_strict_ascii_and_make_no_markup_of_text(
    name: str,
) -> None:
    text = (STATIC / name).read_text(encoding="ascii")
    assert '"use strict";' in text
    assert len(text.splitlines()) <= 300
    assert not re.search(FORBIDDEN, text)
