"""`harness fit` as it is typed: published rows, JSON, errors and exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.fits.multi_power import CurveErrors
from tests.harness.fits.published_curves import HELD_OUT, LAWS, TRAINING

RUNNER = CliRunner()
PROTOCOL = ["--warmup-steps", "2160", "--first-step", "0"]
PUBLISHED = {
    "25": ("0.9988 0.00376 0.00465 0.00110 0.00409", "0.00435"),
    "100": ("0.9983 0.00435 0.00592 0.00142 0.00583", "0.00748"),
}
"""Mean R2, MAE, RMSE, PredE and WorstE; MAE on rows that were not trained on."""


def harness_fit(*arguments: object):
    return RUNNER.invoke(app, ["fit", *map(str, arguments)])


def files(shared_data: Path, size: str) -> list[object]:
    folder = shared_data / "multi_power_law" / size
    train, test = (
        [folder / f"{n}.csv" for n in names] for names in (TRAINING, HELD_OUT)
    )
    return ["--train", *train, "--test", *test]


def curve(path: Path, loss=lambda t: 2.0 * t**-0.5) -> Path:
    t = np.arange(10.0, 2001, 10)
    rows = np.stack([t, 0.1 + 0 * t, loss(t)], axis=1)
    np.savetxt(path, rows, delimiter=",", header="step,lr,loss", comments="")
    return path


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_parameters_give_the_published_row(shared_data, tmp_path, size):
    params = tmp_path / "published.json"
    law = {"law": "multi-power", "parameters": LAWS[size]._asdict()}
    params.write_text(json.dumps(law))
    result = harness_fit(
        "multi-power", *files(shared_data, size), "--params", params, *PROTOCOL
    )
    assert result.exit_code == 0, result.output
    row, apart = PUBLISHED[size]
    test = result.stdout.split("test files")[1].splitlines()
    assert test[7].split() == ["mean", "of", "6", "of", "6", *row.split()]
    assert test[8].split()[:4] == ["mean", "of", "6,", "unseen"]
    assert test[8].split()[5] == apart


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ("25", PROTOCOL),
        pytest.param("100", PROTOCOL, marks=pytest.mark.slow),
        pytest.param("25", [], marks=pytest.mark.slow),
    ],
)
def test_our_own_fit_is_as_good_as_the_published_one(shared_data, size, options):
    result = harness_fit("multi-power", *files(shared_data, size), *options, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    printed = float(PUBLISHED[size][0].split()[1])
    assert found["test"]["mean"]["mae"] < 1.2 * printed
    assert found["test"]["mean"]["files"] == 6
    (fit,) = found["fits"]
    assert (fit["status"], fit["n"]) == ("ok", 437 if size == "25" else 451)
    assert fit["parameters"]["l0"]["se"] < 0.05
    guessed = ["guessed" in row["note"] for row in found["test"]["files"]]
    assert guessed == [not options] * 6


def test_json_is_one_document_with_every_number(tmp_path):
    a, b, c = (curve(tmp_path / f"{name}.csv") for name in "abc")
    result = harness_fit("power", "--train", a, b, "--test", c, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert list(found) == ["law", "formula", "fits", "train", "test", "notes"]
    assert [fit["file"] for fit in found["fits"]] == [str(a), str(b), str(c)]
    assert [row["file"] for row in found["train"]["files"]] == [str(a), str(b)]
    alpha = found["fits"][0]["parameters"]["alpha"]
    assert set(alpha) == {"value", "se", "unit"}
    assert alpha["value"] == pytest.approx(0.5)
    assert found["fits"][0]["diagnostics"]["r2"] == pytest.approx(1)
    assert found["fits"][2]["window"] == [10, 400]
    for part, count in (("train", 2), ("test", 1)):
        assert found[part]["mean"]["files"] == count
        for name in CurveErrors._fields:
            each = [row[name] for row in found[part]["files"]]
            assert found[part]["mean"][name] == pytest.approx(np.mean(each))


def test_parameters_and_figure_are_written(tmp_path):
    a, c = curve(tmp_path / "a.csv"), curve(tmp_path / "c.csv")
    saved, figure = tmp_path / "p.json", tmp_path / "fit.png"
    common = ["power", "--train", a, "--test", c]
    first = harness_fit(*common, "--save", saved, "--figure", figure)
    assert first.exit_code == 0, first.output
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert f"figure: {figure}" in first.stderr
    data = json.loads(saved.read_text())
    assert data["parameters"][str(a)]["alpha"] == pytest.approx(0.5)
    again = harness_fit(*common, "--params", saved)
    assert again.exit_code == 0, again.output
    # everything from the table of errors on is the same
    assert (
        again.stdout.split("training files")[1].splitlines()[:6]
        == (first.stdout.split("training files")[1].splitlines()[:6])
    )


def test_a_law_that_is_not_determined_ends_well_and_says_so(tmp_path):
    a, c = curve(tmp_path / "a.csv"), curve(tmp_path / "c.csv")
    saved = tmp_path / "p.json"
    result = harness_fit("multi-power", "--train", a, "--test", c, "--save", saved)
    assert result.exit_code == 0, result.output
    assert "ill_conditioned; no parameters" in result.stdout
    assert "add curves of other schedules" in result.stdout
    assert "none were found" in result.stderr
    assert not saved.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["multipower", "--train", "a.csv"], "did you mean 'multi-power'"),
        (["power"], "no file is given"),
        (["power", "--train", "no.csv"], "no.csv: there is no such file"),
        (["power", "--train", "bad.csv"], "line 3: loss is -1"),
        (["power", "--train", "a.csv", "a.csv"], "a.csv is given twice"),
        (["power", "--train", "a.csv", "--e0", "1"], "--e0 says nothing to power"),
        (["power", "--test", "a.csv", "--until", "20"], "--until is 20"),
        (["power", "--test", "a.csv", "--peak-lr", "1"], "--peak-lr says nothing"),
        (["multi-power", "--test", "a.csv"], "nothing to be fitted to"),
        (["multi-power", "--train", "a.csv", "--warmup-steps", "-1"], "is -1 updates"),
        (["power", "--train", "a.csv", "--first-step", "2"], "expected 0 or 1"),
        (["loss-to-loss", "--train", "a.csv", "--e1", "1"], "--e1 alone"),
        (["power", "--train", "a.csv", "--figure", "x.doc"], "ending in .png"),
        (["power", "--train", "a.csv", "--params", "no.json"], "no.json: there is no"),
        (["loss-to-loss", "--train", "a.csv", "bad.csv"], "line 3: loss is -1"),
    ],
)
def test_wrong_use_is_explained(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    curve(Path("a.csv"))
    Path("bad.csv").write_text("step,lr,loss\n1,0.1,2\n2,0.1,-1\n")
    result = harness_fit(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stdout == ""


def test_help_tells_the_published_protocol():
    result = harness_fit("--help")
    text = " ".join(result.stdout.split())
    assert "--warmup-steps 2160 --first-step 0" in text
    assert "harness fit multi-power --train A.csv B.csv --test C.csv --json" in text


def test_torch_is_not_loaded(tmp_path):
    a = curve(tmp_path / "a.csv")
    code = (
        "import sys\n"
        f"sys.argv = ['harness', 'fit', 'power', '--train', {str(a)!r}]\n"
        "from harness.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
