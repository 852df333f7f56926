"""`harness publish` and `harness download`, to folders and a Hub on loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.manifest import MANIFEST, manifest_text, read_manifest
from harness.publish import build
from harness.release.command import Request, is_hub, publish_corpus
from harness.release.notes import RELEASE
from harness.storage import sha256_of
from harness.verify import verify
from tests.files import contents
from tests.harness.conftest import record
from tests.hub.server import Hub

REPO = "org/corpus"
ROOT = Path(__file__).resolve().parents[3]
SAID = ("README.md", "DATASHEET.md", "LICENSE", "CITATION.cff", "croissant.json")


def send(folder: Path, to: str | Path, **options):
    request = Request(folder=folder, to=str(to), pause_s=0, **options)
    return publish_corpus(request, say=lambda line: None)


def run(*arguments: object, code: int = 0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def failing(*arguments: object) -> str:
    """Return what a command says that fails for good."""
    return str(run(*arguments, code=1).exception)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A corpus of which no picture can be made, so quickly released."""
    folder = tmp_path_factory.mktemp("plain") / "corpus"
    for seed in range(3):
        record(seed, status="failed").save(folder / "shards")
    build(folder, name="plain", grids={})
    return folder


@pytest.fixture(scope="module")
def released(plain, tmp_path_factory) -> Path:
    """A release in a folder, not to be changed."""
    folder = tmp_path_factory.mktemp("released") / "corpus"
    send(plain, folder)
    return folder


def test_a_release_has_everything_under_its_manifest(built_folder, tmp_path):
    send(built_folder, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    names = set(contents(tmp_path / "out")) - {MANIFEST}
    assert set(manifest["files"]) == names
    assert names >= {*SAID, "figures/glance.png"}
    assert verify(tmp_path / "out") == []
    assert manifest["version"] == "1.0.0"
    assert "shards" not in manifest  # the work of training stays behind


def test_the_tables_of_a_release_are_those_of_the_corpus(released, plain):
    one, other = Corpus.open(released), Corpus.open(plain)
    assert one.data_sha256 == other.data_sha256
    for name in other.manifest["files"]:
        if "/" in name:
            assert sha256_of(released / name) == sha256_of(plain / name)


def test_the_same_corpus_is_released_to_the_same_bytes(released, plain, tmp_path):
    again = send(plain, tmp_path / "again")
    assert again["outcome"] == "published"
    assert contents(tmp_path / "again") == contents(released)
    assert send(plain, released)["outcome"] == "already published"


def test_a_release_can_be_released_from(released, tmp_path):
    send(released, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(released)


def test_a_damaged_corpus_is_not_released(corpus_folder, tmp_path):
    path = corpus_folder / "ood" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorpusError, match=r"is not as its manifest says: .*ood/part-0"):
        send(corpus_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_anything_else_is_left_alone(built_folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CorpusError, match=r"holds notes.txt, which is of no release"):
        send(built_folder, tmp_path)
    assert contents(tmp_path) == {"notes.txt": b"mine"}
    with pytest.raises(CorpusError, match=r"holds .*shards.* which is of no release"):
        send(built_folder, built_folder)


def test_a_released_version_is_never_changed(released, tmp_path):
    folder = Path(shutil.copytree(released, tmp_path / "copy"))
    (folder / "README.md").write_text("# better\n")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["README.md"] = {
        "sha256": sha256_of(folder / "README.md"),
        "bytes": (folder / "README.md").stat().st_size,
    }
    (folder / MANIFEST).write_text(manifest_text(manifest))
    before = contents(folder)
    with pytest.raises(CorpusError, match=r"holds version 1\.0\.0 already, with other"):
        send(released, folder)
    assert contents(folder) == before


def test_a_correction_is_a_new_version_with_a_changelog(released, tmp_path):
    folder = Path(shutil.copytree(released, tmp_path / "copy"))
    send(released, folder, version="1.0.1", changes="The card names its authors.")
    changes = read_manifest(folder)[RELEASE]["changes"]
    assert [c["version"] for c in changes] == ["1.0.1", "1.0.0"]
    card = (folder / "README.md").read_text()
    assert "The card names its authors." in card
    assert "First release." in card
    assert verify(folder) == []
    assert Corpus.open(folder).data_sha256 == Corpus.open(released).data_sha256


def test_only_a_whole_release_has_a_manifest(released, plain, tmp_path):
    folder = Path(shutil.copytree(released, tmp_path / "copy"))
    (folder / MANIFEST).unlink()  # as if the last write had not been reached
    shutil.rmtree(folder / "runs")
    send(plain, folder)
    assert contents(folder) == contents(released)


def test_imported_curves_have_no_licence_but_that_of_their_source(tmp_path):
    path = tmp_path / "runs.csv"
    rows = [f"a,loss,{k},{1 / k}" for k in range(1, 9)]
    path.write_text("\n".join(["run_id,signal,step,value", *rows]))
    run("import", path, "--format", "long", "--out", tmp_path / "corpus")
    send(tmp_path / "corpus", tmp_path / "one")
    assert read_manifest(tmp_path / "one")[RELEASE]["licence"] == "unknown"
    send(
        tmp_path / "corpus", tmp_path / "two", licence="cc0-1.0", authors=("A. Nother",)
    )
    notes = read_manifest(tmp_path / "two")[RELEASE]
    assert (notes["licence"], notes["authors"]) == ("cc0-1.0", ["A. Nother"])
    assert "A. Nother" in (tmp_path / "two" / "CITATION.cff").read_text()


def test_there_and_back_on_the_command_line(lfs_hub, built_folder, tmp_path):
    done = run("publish", built_folder, "--to", REPO, "--private")
    assert f"published: test-corpus 1.0.0 at {REPO}@v1.0.0" in done.output
    again = json.loads(run("publish", built_folder, "--to", REPO, "--json").stdout)
    assert again["outcome"] == "already published"
    assert lfs_hub.repository(REPO).private
    out = tmp_path / "out"
    text = run("download", REPO, "--out", out).output
    assert f"test-corpus 1.0.0 in {out}: 12 runs" in text
    assert verify(out) == []
    assert f'load_dataset("{REPO}"' in (out / "README.md").read_text()
    assert "every file is as it was written" in run("verify", out).output
    rows = json.loads(run("tasks", "--corpus", f"{REPO}@v1.0.0", "--json").stdout)
    assert rows == json.loads(run("tasks", "--corpus", out, "--json").stdout)


def test_a_new_version_on_the_hub_carries_the_changelog_on(lfs_hub, plain):
    run("publish", plain, "--to", REPO)
    result = run("publish", plain, "--to", REPO, "--version", "1.0.1", code=2)
    assert "1.0.1 follows 1.0.0: say with --changes what is new" in result.output
    told = ("--version", "1.0.1", "--changes", "Nothing but the number.")
    run("publish", plain, "--to", REPO, *told)
    card = lfs_hub.files(REPO, "v1.0.1")["README.md"].decode()
    assert "Nothing but the number." in card
    assert set(lfs_hub.tags(REPO)) == {"v1.0.0", "v1.0.1"}
    result = run("publish", plain, "--to", REPO, "--version", "1.0.0", code=2)
    assert "1.0.0 is older than 1.0.1" in result.output


def test_mistakes_on_the_command_line_are_told(lfs_hub, built_folder, tmp_path):
    result = run("download", "nothing", "--out", tmp_path / "x", code=2)
    assert "expected ORG/NAME" in result.output
    said = failing("download", "org/none", "--out", tmp_path / "x")
    assert "cannot list the versions of org/none" in said
    where = ("--out", tmp_path / "x", "--revision", "v1.0.0")
    result = run("download", "org/none@v2.0.0", *where, code=2)
    assert "org/none@v2.0.0 names v2.0.0, --revision names v1.0.0" in result.output
    assert "holds no finished corpus" in failing("publish", tmp_path, "--to", REPO)
    result = run("publish", built_folder, "--to", REPO, "--version", "one", code=2)
    assert "expected three numbers" in result.output


def test_a_destination_is_a_folder_where_one_could_be_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub("org/name")
    (tmp_path / "org").mkdir()
    assert not is_hub("org/name")
    assert not any(map(is_hub, ("./org/name", "/tmp/x", "name", "a/b/c", "~/x")))


def test_a_folder_is_downloaded_like_a_repository(released, tmp_path):
    out = tmp_path / "out"
    run("download", released, "--out", out)
    assert contents(out) == contents(released)
    (out / "README.md").write_text("changed")
    run("download", released, "--out", out)
    assert contents(out) == contents(released)
    said = run("download", released, "--out", out, "--revision", "v1.0.0", code=2)
    assert "is a folder: leave --revision out" in said.output
    broken = Path(shutil.copytree(released, tmp_path / "broken"))
    (broken / "README.md").write_text("changed")
    assert "README.md is missing or has changed" in failing(
        "download", broken, "--out", tmp_path / "second"
    )
    assert not (tmp_path / "second" / MANIFEST).exists()


@pytest.mark.slow
def test_ctrl_c_leaves_no_trace_and_the_same_command_goes_on(plain, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heeds}; from harness.cli import main; main()"  # whoever started the tests
    command = [sys.executable, "-c", code, "publish", str(plain), "--to", REPO]
    with Hub(tmp_path / "hub", xet=False) as hub:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        places = {"TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}
        environment = kept | hub.environment(tmp_path / "home") | places
        hub.fail(1, "503", times=100, match="/commit/")
        process = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True
        )
        while "trying again" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 75, said
        assert f"stopped; to go on: harness publish {plain} --to {REPO}" in said
        assert list(scratch.iterdir()) == []
        hub.faults.clear()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        assert set(hub.tags(REPO)) == {"v1.0.0"}
        assert set(hub.branches(REPO)) == {"main"}
