"""The page of faults and the promises of the README name tests that are there."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_of_faults_names_is_there():
    named, path = [], ""
    for line in PAGE.splitlines():
        if line.startswith("- `"):
            path = line[3:-1]
        elif line.startswith("  - `"):
            named.append((path, line[5:-1]))
    assert len(named) > 100
    lost = [
        (path, name)
        for path, name in named
        if f"\ndef {name}(" not in (ROOT / "tests" / path).read_text(encoding="utf-8")
    ]
    assert lost == []


def test_every_fault_and_every_promise_has_its_tests():
    faults = re.findall(r"^## (R-\d\d): ", PAGE, re.MULTILINE)
    assert faults == [f"R-{number:02}" for number in range(1, 31)]
    section = README.partition("## What you can rely on")[2].partition("\n## ")[0]
    promised = re.findall(r"^(\d+)\. ", section, re.MULTILINE)
    assert re.findall(r"^## Promise (\d+): ", PAGE, re.MULTILINE) == promised
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert [part for part in parts if "  - `test_" not in part] == []
