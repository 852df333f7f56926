"""What the README promises of predictors works as it is written there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CORPUS = REPOSITORY / "corpora" / "t8-digits"


@pytest.fixture
def harness(command_line, tmp_path, monkeypatch):
    """Run a command in an empty folder and return its JSON document."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code, out, err = command_line(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    yield run
    sys.modules.pop("mine", None)


def test_the_predictor_of_the_readme_is_scored(harness, tmp_path):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    code = re.search(r"here in `mine\.py`:\n\n```python\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "mine.py").write_text(code)
    where = ("--corpus", str(CORPUS), "--task", "final-acc/w20")
    harness("predict", "--predictor", "mine:Shifted", "--out", "mine", *where)
    rows = harness("score", "mine", *where)
    main = {row["predictor"]: row for row in rows if row["primary"]}
    assert set(main) == {"mine:Shifted", "median"}
    assert main["mine:Shifted"]["value"] < main["median"]["value"]
    assert 0.2 < main["mine:Shifted"]["cost_passes"] < 1


def test_the_regressor_of_the_readme_is_scored(harness):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    name, argument = re.search(
        r"`--predictor (sklearn\S+)\s+--set (\S+)`", text
    ).groups()
    where = ("--corpus", str(CORPUS), "--task", "final-acc/w20")
    options = ("--predictor", name, "--set", argument, "--name", "trees")
    harness("predict", *options, "--out", "trees", *where)
    rows = harness("score", "trees", *where)
    main = {row["predictor"]: row for row in rows if row["primary"]}
    assert main["trees"]["value"] < main["median"]["value"]
    assert main["trees"]["cost_passes"] > 0.2


def test_the_lines_for_a_researcher_print_a_correlation(tmp_path):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    code = re.search(r"Five lines.*?```python\n(.*?)```", text, re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert -1 < float(done.stdout) < -0.5  # a low loss early is a high accuracy late
