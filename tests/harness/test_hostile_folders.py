"""Work folders in which something is missing, damaged or does not belong."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.corpus import Corpus
from harness.damage import set_damaged_aside
from harness.digested import with_digest
from harness.errors import CorpusError
from harness.generate import finish
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, finished_ids, shard_path
from harness.status import status
from harness.verify import verify

ROOT = Path(__file__).resolve().parents[2]
GRID = ["--grid", "tests.harness.tiny:grid", "--profile", "tests.harness.tiny:profile"]
PATIENCE_S = 120


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """End a test that waits for a pipe to answer."""

    def give_up(number: int, frame: object) -> None:
        pytest.fail("this test hangs")  # no error that what is tested may suppress

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def work(tmp_path, make_record) -> Path:
    """A folder of five planned runs: three finished, one failed, the last is left."""
    folder = tmp_path / "work"
    configs = [make_record(seed).config for seed in range(5)]
    runs = (PlannedRun(c, c.run_id, f"c-{c.seed}", ("t4/digits",)) for c in configs)
    Plan(tuple(runs)).save(folder)
    for seed in range(4):
        state = "failed" if seed == 3 else "completed"
        make_record(seed, status=state).save(folder / "shards")
    (folder / "checkpoints").mkdir()
    for name in ("c-4.pt", "c-4.old.pt"):
        (folder / "checkpoints" / name).write_bytes(with_digest(name.encode() * 99))
    return folder


@pytest.fixture
def path_of(work, make_record) -> Callable[[int], Path]:
    """Where the finished record of a seed lies, or would lie."""
    return lambda seed: shard_path(work / "shards", make_record(seed).config.run_id)


def found(folder: Path) -> list[tuple[Path, str]]:
    """Return what `verify` finds beside the folder not being finished."""
    return [(p.path, p.kind) for p in verify(folder) if p.kind != "unfinished"]


def swapped(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


EXTRA: dict[str, Callable[[Path, Path], object]] = {
    "r-1 (1).parquet": shutil.copy,
    "{id} (1).parquet": shutil.copy,
    "{id} copy.parquet": shutil.copy,
    "{id}.parquet.bak": shutil.copy,
    "{id}.parquet~": shutil.copy,
    ".{id}.parquet.swp": shutil.copy,
    "{id}.PARQUET": shutil.copy,
    ".DS_Store": shutil.copy,
    ".nfs000000000001": shutil.copy,
    "notes": lambda whole, path: shutil.copytree(whole.parent, path),
    "{left}.parquet": lambda whole, path: path.mkdir(),
    "{left}.failed.parquet": lambda whole, path: os.mkfifo(path),
    "{left}": lambda whole, path: shutil.copytree(whole.parent, path),
    "dangling": lambda whole, path: path.symlink_to("nowhere"),
    "loop": lambda whole, path: path.symlink_to(path),
    "outside": lambda whole, path: path.symlink_to("/etc"),
    "pipe.parquet": lambda whole, path: os.mkfifo(path),
}


@pytest.mark.parametrize("name", EXTRA)
def test_what_is_no_record_is_told_and_never_counted(work, path_of, name):
    whole, left = path_of(0), path_of(4)
    path = work / "shards" / name.format(id=whole.stem, left=left.stem)
    EXTRA[name](whole, path)
    assert found(work) == [(path, "extra")]
    assert status(work).counts["completed"] == 3
    manifest = finish(work)
    assert manifest["rows"]["runs"] == 4
    assert (path, "extra") in found(work)


PLACES: dict[str, Callable[[Path, Path], object]] = {
    "pipe": lambda whole, path: os.mkfifo(path),
    "loop": lambda whole, path: path.symlink_to(path),
    "dangling": lambda whole, path: path.symlink_to("nowhere"),
    "folder": lambda whole, path: path.mkdir(),
}


TO_COME = PLACES | {"link": lambda whole, path: path.symlink_to(whole)}


@pytest.mark.parametrize("kind", TO_COME)
def test_what_stands_in_the_place_of_a_record_to_come_is_refused(work, path_of, kind):
    path, ids = path_of(4), [run.run_id for run in Plan.load(work).runs]
    TO_COME[kind](path_of(0), path)
    assert found(work) == [(path, "extra")]
    assert path.stem not in finished_ids(work / "shards")
    with pytest.raises(CorpusError, match=rf"{path.name} is a .*, not a file: where"):
        set_damaged_aside(work / "shards", ids)


@pytest.mark.parametrize("kind", PLACES)
def test_what_stands_in_the_place_of_a_claim_is_nobodys_and_not_waited_for(work, kind):
    (work / "leases").mkdir()
    PLACES[kind](work, work / "leases" / "c-4.lease")
    found = status(work)
    assert (found.workers, found.gone) == ((), ())
    assert found.counts["pending"] == 1


def truncated(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE: dict[str, Callable[[Path, Path], object]] = {
    "empty": lambda path, other: path.write_bytes(b""),
    "truncated": truncated,
    "another run's": lambda path, other: shutil.copy(other, path),
    "text": lambda path, other: path.write_text("PAR1 none PAR1"),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("failed", [False, True])
def test_a_damaged_record_is_told_and_refused_until_set_aside(
    work, path_of, kind, failed
):
    path = path_of(3).with_suffix(".failed.parquet") if failed else path_of(1)
    DAMAGE[kind](path, path_of(0))
    data = path.read_bytes()
    ids = [run.run_id for run in Plan.load(work).runs]
    assert found(work) == [(path, "bytes")]
    (line,) = set_damaged_aside(work / "shards", ids)
    assert line.startswith(f"set aside: {path} ")
    (aside,) = (work / "shards").glob("*.damaged-*")
    assert aside.read_bytes() == data
    assert found(work) == [(aside, "extra")]
    assert set_damaged_aside(work / "shards", ids) == []
    assert finish(work)["rows"]["runs"] == 3
    assert path.stem not in finished_ids(work / "shards")


def test_tables_are_not_built_from_damaged_records_and_all_are_named(work, path_of):
    for seed in (0, 2):
        path_of(seed).write_bytes(b"")
    with pytest.raises(CorpusError, match=r"are not built") as raised:
        finish(work)
    assert all(str(path_of(seed)) in str(raised.value) for seed in (0, 2))
    assert not (work / "corpus.json").exists()


@pytest.mark.parametrize("lost", ["plan.parquet", "shards", "one"])
def test_tables_are_not_built_again_without_what_they_were_built_from(
    work, path_of, lost
):
    rows = finish(work)["rows"]
    if lost == "shards":
        shutil.rmtree(work / "shards")
    elif lost == "one":
        path_of(1).unlink()
    else:
        (work / lost).unlink()
    told = {"plan.parquet": r"has no plan\.parquet", "shards": r"hold 4 runs whose"}
    gone = rf"hold 1 runs whose records are gone .*{path_of(1).stem}\)"
    before = (work / "corpus.json").read_bytes()
    with pytest.raises(CorpusError, match=told.get(lost, gone)):
        finish(work)
    assert (work / "corpus.json").read_bytes() == before
    assert Corpus.open(work).runs().height == rows["runs"] == 4


def test_swapped_records_and_checkpoints_are_found(work, path_of):
    swapped(path_of(0), path_of(1))
    assert found(work) == sorted((path_of(seed), "bytes") for seed in (0, 1))


def test_a_record_in_no_plan_is_extra_and_not_published(work, make_record):
    path = make_record(99).save(work / "shards")
    assert found(work) == [(path, "extra")]
    assert finish(work)["rows"]["runs"] == 4
    assert found(work) == [(path, "extra")]


def test_an_orphan_is_kept_unpublished_and_no_problem(work, path_of):
    plan = Plan.load(work)
    fewer = Plan(plan.runs[1:])
    plan.merged_with(fewer, replacing=True).save(work)
    assert found(work) == []
    assert finish(work)["rows"]["runs"] == 3
    assert verify(work) == []
    path_of(0).write_bytes(path_of(0).read_bytes()[:-1])
    assert found(work) == [(path_of(0), "bytes")]


def test_tables_that_hold_an_orphan_are_outdated(work, path_of):
    finish(work)
    plan = Plan.load(work)
    plan.merged_with(Plan(plan.runs[1:]), replacing=True).save(work)
    assert found(work) == [(path_of(0), "outdated")]
    finish(work)
    assert verify(work) == []


def flips(folder: Path, trials: int) -> list[tuple[Path, int, object]]:
    """Flip a random bit of a file at a time; return what `verify` did not find."""
    missed = []
    rng = np.random.default_rng(0)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    for trial in range(trials):
        path = files[trial % len(files)]
        intact = path.read_bytes()
        damaged = bytearray(intact)
        position = int(rng.integers(len(intact)))
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        told = [
            where for where, kind in found(folder) if kind in ("bytes", "unreadable")
        ]
        if told != [path]:
            missed.append((path, position, told))
        path.write_bytes(intact)
    return missed


def test_every_flipped_bit_of_an_unfinished_folder_is_found(work):
    assert flips(work, 105) == []
    assert found(work) == []


@pytest.mark.slow
def test_a_thousand_flipped_bits_of_an_unfinished_folder_are_found(work):
    assert flips(work, 1050) == []


@pytest.mark.parametrize("data", [b"", b"PAR1", None])
def test_a_damaged_plan_is_told_with_what_to_do(work, command_line, data):
    plan = work / "plan.parquet"
    plan.unlink()
    os.mkfifo(plan) if data is None else plan.write_bytes(data)
    assert found(work) == [(plan, "unreadable")]
    for command in ("status", "tables", "verify"):
        code, out, err = command_line(command, str(work))
        assert code == 1
        assert str(plan) in out + err
        assert "Traceback" not in err


@pytest.mark.parametrize("kind", PLACES)
def test_what_stands_in_the_place_of_a_published_file_is_told(corpus_folder, kind):
    for name in ("README.md", "runs/part-00000.parquet", "corpus.json"):
        path = corpus_folder / name
        content = path.read_bytes()
        path.unlink()
        PLACES[kind](path, path)
        assert [p.path for p in verify(corpus_folder)] == [path]
        path.rmdir() if path.is_dir() else path.unlink()
        path.write_bytes(content)
    assert verify(corpus_folder) == []


def test_foreign_folders_links_and_pipes_in_a_corpus_are_extra(corpus_folder, work):
    shutil.copytree(work / "shards", corpus_folder / "other")
    (corpus_folder / "link").symlink_to("/etc")
    (corpus_folder / "curves" / "loop").symlink_to(corpus_folder)
    os.mkfifo(corpus_folder / "pipe")
    expected = [corpus_folder / name for name in ("link", "pipe", "curves/loop")]
    expected += [corpus_folder / "other" / p.name for p in (work / "shards").iterdir()]
    assert sorted(found(corpus_folder)) == sorted((path, "extra") for path in expected)


def test_files_that_may_not_be_read_are_told_and_nothing_else_is_lost(
    corpus_folder, work, path_of
):
    hidden = [corpus_folder / "ood" / "part-00000.parquet", path_of(1)]
    hidden += [next(iter(sorted((corpus_folder / "shards").glob("r-*"))))]
    for path in hidden:
        path.chmod(0)
    script = (
        "import sys; from pathlib import Path; from harness.verify import verify\n"
        "for folder in sys.argv[1:]:\n"
        "    for p in verify(Path(folder)): print(p.kind, p.path)"
    )
    # root reads everything, unless it gives that right up
    rights = "--bounding-set=-dac_override,-dac_read_search"
    prefix = ["setpriv", rights] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*prefix, sys.executable, "-c", script, corpus_folder, work],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "unfinished" not in line]
    assert sorted(lines) == sorted(f"unreadable {path}" for path in hidden)


@pytest.mark.slow
def test_resuming_sets_damage_aside_trains_again_and_ends_whole(command_line, tmp_path):
    out = tmp_path / "work"
    command = ["generate", *GRID, "--out", str(out), "--jobs", "1", "--limit", "2"]
    assert command_line(*command)[0] == 0
    one, other = sorted((out / "shards").glob("r-*.parquet"))
    before = RunRecord.load(one)
    one.write_bytes(b"")
    for name in (".DS_Store", f"{one.stem} (1).parquet", f"{one.name}.bak"):
        shutil.copy(other, out / "shards" / name)
    os.mkfifo(out / "shards" / "pipe.parquet")
    code, text, err = command_line(*command)
    assert code == 0, err
    assert f"set aside: {one} is empty; kept as {one.name}.damaged-e3b0c442" in err
    assert "1 finished before" in err
    assert "2 of 2 runs finished" in text
    after = RunRecord.load(one)
    assert after.final == before.final
    assert after.status == before.status
    assert Corpus.open(out).runs().height == 2
    code, text, _ = command_line("verify", str(out), "--json")
    assert code == 1
    assert {problem["kind"] for problem in json.loads(text)} == {"extra"}
    assert len(json.loads(text)) == 5


@pytest.mark.slow
def test_resuming_where_a_record_cannot_be_written_is_refused_at_once(
    command_line, tmp_path
):
    out = tmp_path / "work"
    command = ["generate", *GRID, "--out", str(out), "--jobs", "1", "--limit", "1"]
    assert command_line(*command)[0] == 0
    (path,) = (out / "shards").glob("r-*.parquet")
    path.unlink()
    os.mkfifo(path)
    code, _, err = command_line(*command)
    assert code == 1
    assert f"harness: {path} is a pipe, not a file: where the record of a run" in err
    assert "Traceback" not in err
