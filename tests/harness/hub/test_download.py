"""From a Hub on loopback: one file at a time, or a whole corpus to a folder."""

import json

import pytest

from harness.corpus import Corpus
from harness.errors import CorpusError, HubError
from harness.hub.address import Address
from harness.hub.download import download, fill_cache, newest
from harness.hub.package import Package
from harness.hub.publish import publish
from harness.manifest import MANIFEST, manifest_text
from harness.seeds import stream
from harness.verify import verify
from tests.files import contents
from tests.harness.hub.small import small_release
from tests.hub.client import pointed_at

REPO = "org/corpus"
ADDRESS = Address(REPO, "v1.0.0")


def quiet(line: str) -> None:
    """Take a line for the user."""


@pytest.fixture
def filled(hub, package):
    """The Hub, holding version 1.0.0."""
    publish(package, REPO, say=quiet, pause_s=0)
    hub.reset_log()
    return hub


def fetch(out):
    return download(ADDRESS, out, say=quiet, pause_s=0)


def test_a_download_has_the_bytes_that_were_published(filled, release, tmp_path):
    fetch(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(release)
    assert verify(tmp_path / "out") == []


def test_a_corpus_on_the_hub_reads_as_its_folder_does(filled, release):
    there, here = Corpus.open(f"{REPO}@v1.0.0"), Corpus.open(release)
    assert there.name == here.name
    assert there.data_sha256 == here.data_sha256
    assert there.runs().equals(here.runs())
    assert there.curves(["lr"], until=0.3).equals(here.curves(["lr"], until=0.3))


def test_only_what_is_read_is_fetched(filled, tmp_path):
    corpus = Corpus.open(f"{REPO}@v1.0.0")
    corpus.curves(until=0.1)
    names = {
        path.split("/", 7)[-1] for _, path, _ in filled.requests if "curves" in path
    }
    assert len(names) >= 2
    assert all("segment-0" in name or "segment-1" in name for name in names)


def test_what_was_read_once_is_there_without_the_hub(filled, tmp_path):
    read = Corpus.open(f"{REPO}@v1.0.0").runs()
    filled.reset_log()
    with pointed_at(filled, tmp_path / "home", offline=True):
        corpus = Corpus.open(f"{REPO}@v1.0.0")
        assert corpus.runs().equals(read)
        with pytest.raises(HubError, match=r"HF_HUB_OFFLINE is set and the file"):
            corpus.curves()
        with pytest.raises(HubError, match=r"harness download org/other --revision"):
            Corpus.open("org/other@v1.0.0")
    assert filled.requests == []


def test_a_filled_cache_needs_no_hub(filled, release, tmp_path):
    fill_cache(ADDRESS, say=quiet, pause_s=0)
    filled.reset_log()
    with pointed_at(filled, tmp_path / "home", offline=True):
        corpus = Corpus.open(str(ADDRESS))
        assert corpus.curves().equals(Corpus.open(release).curves())
        assert len(corpus.ood()) == corpus.manifest["rows"]["ood"]
    assert filled.requests == []


def test_a_damaged_cache_is_mended_by_filling_it_again(filled, tmp_path):
    name = "runs/part-00000.parquet"
    path = Corpus.open(str(ADDRESS)).path(name).resolve()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    fill_cache(ADDRESS, say=quiet, pause_s=0)
    assert len(Corpus.open(str(ADDRESS)).runs()) == 12


def test_a_cache_is_not_filled_with_other_bytes(filled, tmp_path):
    name = "runs/part-00000.parquet"
    filled.overwrite(REPO, "v1.0.0", name, b"x", keep_hashes=False)
    with (
        pointed_at(filled, tmp_path / "elsewhere"),
        pytest.raises(CorpusError, match=rf"holds other bytes .* {name}"),
    ):
        fill_cache(ADDRESS, say=quiet, pause_s=0)


def test_a_file_that_the_cache_holds_changed_is_refused(filled, tmp_path):
    path = Corpus.open(f"{REPO}@v1.0.0").path("runs/part-00000.parquet").resolve()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorpusError, match="has changed"):
        Corpus.open(f"{REPO}@v1.0.0").runs()


@pytest.mark.parametrize("kind", ["refused", "503"])
def test_an_interrupted_download_is_finished_by_the_same_call(
    filled, release, tmp_path, kind
):
    out = tmp_path / "out"
    filled.fail(4, kind, times=100_000)
    with pytest.raises(HubError, match="the same command again goes on"):
        fetch(out)
    assert not (out / MANIFEST).exists()
    filled.faults.clear()
    fetch(out)
    assert contents(out) == contents(release)


def test_a_damaged_download_is_mended_by_the_same_call(filled, release, tmp_path):
    out = tmp_path / "out"
    fetch(out)
    (out / "README.md").write_text("changed")
    (out / "runs/part-00000.parquet").unlink()
    fetch(out)
    assert contents(out) == contents(release)


def test_bytes_that_are_not_those_of_the_manifest_are_refused(filled, tmp_path):
    filled.overwrite(REPO, "v1.0.0", "ood/part-00000.parquet", b"x", keep_hashes=False)
    with pytest.raises(CorpusError, match=r"holds other bytes .* ood/part-00000"):
        fetch(tmp_path / "out")
    assert not (tmp_path / "out" / MANIFEST).exists()


def test_a_folder_with_something_else_in_it_is_left_alone(filled, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(CorpusError, match=r"holds thesis.tex, which is not of org/"):
        fetch(tmp_path / "out")
    assert contents(tmp_path / "out") == {"thesis.tex": b"years of work"}


def test_a_folder_with_another_corpus_is_left_alone(filled, built_folder, tmp_path):
    other = small_release(Corpus.open(built_folder), tmp_path / "x", "2.0.0")
    before = contents(other)
    with pytest.raises(CorpusError, match=r"test-corpus 2.0.0, not org/corpus@v1"):
        fetch(other)
    assert contents(other) == before


def test_a_tag_that_was_moved_is_noticed(filled, built_folder, tmp_path):
    newer = small_release(Corpus.open(built_folder), tmp_path / "x", "1.0.1")
    publish(Package.of_release(newer), REPO, say=quiet, pause_s=0)
    home = filled.repository(REPO)
    home.tags["v1.0.0"] = home.tags["v1.0.1"]
    with pytest.raises(CorpusError, match=r"holds version 1.0.1: the tag was moved"):
        Corpus.open(f"{REPO}@v1.0.0")


def test_a_manifest_cannot_name_a_file_outside(filled, release, tmp_path):
    manifest = json.loads((release / MANIFEST).read_text())
    for name in ("../../etc/passwd", "/etc/passwd", "runs/../../x", ".ssh/key", "a//b"):
        manifest["files"] = {name: {"sha256": "0" * 64, "bytes": 1}}
        text = manifest_text(manifest).encode()
        filled.overwrite(REPO, "v1.0.0", MANIFEST, text, keep_hashes=False)
        with (
            pointed_at(filled, tmp_path / f"home-{len(name)}-{name[0]}"),
            pytest.raises(CorpusError, match="which is no safe name"),
        ):
            fetch(tmp_path / "out")


def test_the_newest_version_is_found_by_number(filled, built_folder, tmp_path):
    home = filled.repository(REPO)
    for tag in ("v1.9.0", "v1.10.0", "latest", "v1.2"):
        home.tags[tag] = home.tags["v1.0.0"]
    assert newest(REPO) == "v1.10.0"


def test_a_repository_without_versions_says_so(filled):
    filled.repository(REPO).tags.clear()
    with pytest.raises(HubError, match=r"has no version: name a revision"):
        newest(REPO)


def test_what_the_hub_does_not_have_is_named(filled):
    with pytest.raises(HubError, match=r"corpus.json of org/corpus@v9.9.9"):
        Corpus.open(f"{REPO}@v9.9.9")
    with pytest.raises(HubError, match=r"corpus.json of org/nothing@v1.0.0"):
        Corpus.open("org/nothing@v1.0.0")


@pytest.mark.slow
def test_any_flipped_byte_of_a_download_is_found(filled, tmp_path):
    out = tmp_path / "out"
    fetch(out)
    paths = sorted(path for path in out.rglob("*") if path.is_file())
    random = stream(0, "test/flips")
    sizes = [path.stat().st_size for path in paths]
    found = 0
    for number in range(1000):
        # every file in turn, any byte of it: large files do not hide small ones
        path, size = paths[number % len(paths)], sizes[number % len(paths)]
        whole = path.read_bytes()
        at, bit = int(random.integers(size)), int(random.integers(8))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        found += bool(verify(out))
        path.write_bytes(whole)
    assert found == 1000
    assert verify(out) == []
