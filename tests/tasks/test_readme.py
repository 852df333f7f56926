"""What the README promises of predictors works as it is written there."""

import json
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CORPUS = REPOSITORY / "corpora" / "t8-digits"


def harness(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(REPOSITORY),
            "RUNCAST_CACHE_DIR": str(folder / "cache"),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_predictor_of_the_readme_is_scored(tmp_path):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    code = re.search(r"here in `mine\.py`:\n\n```python\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "mine.py").write_text(code)
    where = ("--corpus", str(CORPUS), "--task", "final-acc/w20", "--json")
    harness(tmp_path, "predict", "--predictor", "mine:Shifted", "--out", "mine", *where)
    rows = harness(tmp_path, "score", "mine", *where)
    main = {row["predictor"]: row for row in rows if row["primary"]}
    assert set(main) == {"mine:Shifted", "median"}
    assert main["mine:Shifted"]["value"] < main["median"]["value"]
    assert 0.2 < main["mine:Shifted"]["cost_passes"] < 1


def test_the_regressor_of_the_readme_is_scored(tmp_path):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    name, argument = re.search(
        r"`--predictor (sklearn\S+)\s+--set (\S+)`", text
    ).groups()
    where = ("--corpus", str(CORPUS), "--task", "final-acc/w20", "--json")
    options = ("--predictor", name, "--set", argument, "--name", "trees")
    harness(tmp_path, "predict", *options, "--out", "trees", *where)
    rows = harness(tmp_path, "score", "trees", *where)
    main = {row["predictor"]: row for row in rows if row["primary"]}
    assert main["trees"]["value"] < main["median"]["value"]
    assert main["trees"]["cost_passes"] > 0.2
