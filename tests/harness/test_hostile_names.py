"""Seeds and names that a user may give: R-28 and R-29 of the fault matrix."""

import ast
import dataclasses
import functools
import re
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest
import yaml

from harness.corpus import Corpus
from harness.generate import finish
from harness.plan import Plan, PlannedRun
from harness.profiles import Profile, digits
from harness.publish import build
from harness.record import RunRecord
from harness.registry import PROBES
from harness.seeds import derive, stream
from harness.spec import RunConfig
from harness.verify import verify

HARNESS = Path(__file__).resolve().parents[2] / "harness"
PROFILE = ["--profile", "tests.harness.tiny:profile"]
SEEDS = (0, -1, 2**32 + 1, 2**64)
OF_A_RUN = {"init", "order", "augment", "dropout"}
"""Purposes of the streams that a run's own seed names, beside those of probes."""
RESERVED = {"con", "prn", "aux", "nul"} | {
    f"{p}{n}" for p in ("com", "lpt") for n in "0123456789"
}
MAX_NAME_BYTES = 240


def seeds_grid(base: Profile) -> list[RunConfig]:
    """Return a cohort of one run a strange seed."""
    return [base.run(seed=seed) for seed in SEEDS]


@functools.cache
def purposes() -> dict[str, set[str]]:
    """Return the modules that name each purpose of a stream, read from the code."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in HARNESS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                named = node.func.id in ("derive", "stream") and len(node.args) > 1
                if named and isinstance(node.args[1], ast.Constant):
                    found[node.args[1].value].add(path.stem)
    return dict(found)


@pytest.mark.parametrize("seed", [*SEEDS, 1])
def test_all_streams_of_a_seed_begin_differently(seed):
    names = {*purposes(), *(f"probe/{name}" for name in PROBES.names())}
    assert names > OF_A_RUN
    draws = {
        name: tuple(stream(seed, name, epoch).random(4))
        for name in names
        for epoch in (0, 1)
    }
    assert len(names) > 15
    assert len(set(draws.values())) == len(draws)
    assert len({derive(seed, n, e) for n in names for e in range(50)}) == 50 * len(
        names
    )


def test_a_purpose_of_a_runs_own_streams_is_named_in_one_module():
    modules = purposes()
    assert {p: modules[p] for p in OF_A_RUN} == {
        "init": {"cohort"},
        "order": {"feed"},
        "augment": {"feed"},
        "dropout": {"cohort"},
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_any_integer_is_a_seed_with_a_record_and_a_row(seed, make_record, tmp_path):
    one, zero = make_record(seed), make_record(3)
    assert re.fullmatch(r"[a-z0-9-]{1,64}", one.config.run_id)
    for record in (one, zero):
        path = record.save(tmp_path / "shards")
        assert RunRecord.load(path).config == record.config
    build(tmp_path, name="seeds", grids={})
    rows = Corpus.open(tmp_path).runs().select("run_id", pl.col("seed").cast(str))
    assert dict(rows.rows())[one.config.run_id] == str(seed)
    assert verify(tmp_path) == []


@pytest.mark.parametrize("seed", [True, 1.0, 1.5, "1", None])
def test_what_is_no_integer_is_no_seed(seed):
    with pytest.raises(ValueError, match=r"^seed is .*, expected an integer$"):
        dataclasses.replace(digits().run(), seed=seed)


NAMES = [
    "with blank",
    "gr\u00f6\u00dfe \u8a66\u9a13",
    "-dash",
    "n" * 200,
    "CON",
    "aux.parquet",
    "v1 [new] *?",
    "a: \"b\" 'c' #d | `e` {f} <g>",
]


def planned(folder: Path, record: RunRecord) -> Path:
    config = record.config
    Plan((PlannedRun(config, config.run_id, "c-0", ("t4/digits",)),)).save(folder)
    record.save(folder / "shards")
    return folder


def strange_names(folder: Path) -> list[str]:
    """Return the names below a folder that some system does not allow."""
    names = [path.name for path in folder.rglob("*")]
    assert len(names) > 10
    portable = re.compile(r"[A-Za-z0-9._-]*[A-Za-z0-9_-]")
    return [
        name
        for name in names
        if not portable.fullmatch(name)
        or len(name) > MAX_NAME_BYTES
        or name.split(".")[0].lower() in RESERVED
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_may_have_any_name(
    command_line, monkeypatch, tmp_path, make_record, name
):
    monkeypatch.chdir(tmp_path)
    planned(tmp_path / "part", make_record())
    assert command_line("merge", "part", "--out", name)[0] == 0
    for command in ("verify", "status", "tables", "show"):
        code, out, err = command_line(command, "--", name)
        assert code == 0, out + err
    card = (tmp_path / name / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---")[1])["pretty_name"] == name
    assert Corpus.open(tmp_path / name).name == name
    assert strange_names(tmp_path / name) == []


def deep(folder: Path, size: int) -> Path:
    """Return a path of so many bytes below a folder."""
    while (left := size - len(bytes(folder))) > 1:
        part = min(200, left - 1)
        folder = folder / ("d" * (part - 2 if left - 1 - part == 1 else part))
    assert len(bytes(folder)) == size
    return folder


def test_a_path_may_be_nearly_as_long_as_the_system_allows(make_record, tmp_path):
    folder = planned(deep(tmp_path, 3990), make_record())
    finish(folder)
    assert verify(folder) == []
    assert Corpus.open(folder).curves(["train_loss"]).height > 0


@pytest.mark.parametrize("path", ["n" * 256, "/".join(["d" * 99] * 41)])
def test_a_path_that_the_system_does_not_allow_is_told_without_a_traceback(
    command_line, monkeypatch, tmp_path, path
):
    monkeypatch.chdir(tmp_path)
    grid = ["--grid", "tests.harness.tiny:grid", *PROFILE]
    for arguments in (
        ["generate", *grid, "--limit", "1", "--out", path],
        ["merge", path, "--out", path],
        *([command, path] for command in ("status", "verify", "tables")),
    ):
        code, out, err = command_line(*arguments)
        assert code == 1, arguments[0]
        assert "too long" in out + err, arguments[0]
        assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_strange_seeds_train_apart_in_a_folder_with_a_strange_name(
    command_line, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    name = f"-{NAMES[1]} {'n' * 170} [CON]"
    grid = ["--grid", "tests.harness.test_hostile_names:seeds_grid", *PROFILE]
    code, out, err = command_line("generate", *grid, "--jobs", "1", "--out", name)
    assert code == 0, err
    assert "4 of 4 runs finished" in out
    corpus = Corpus.open(tmp_path / name)
    assert set(corpus.runs()["seed"]) == {str(seed) for seed in SEEDS}
    losses = corpus.curves(["val_loss"]).filter(pl.col("segment") == 0)
    at_start = [values[0] for values in losses["values"]]
    assert len(set(at_start)) == len(SEEDS)
    assert strange_names(tmp_path / name) == []
    assert verify(tmp_path / name) == []
