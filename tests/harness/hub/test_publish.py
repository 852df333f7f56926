"""Publishing to a Hub on loopback, driven by the real client."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.corpus import Corpus
from harness.errors import HubError
from harness.hub.package import OWN, Package
from harness.hub.publish import publish
from harness.storage import sha256_of
from tests.harness.hub.small import small_release
from tests.hub.client import pointed_at
from tests.hub.server import Hub

REPO = "org/corpus"
BRANCH = "release%2Fv1.0.0"


def quiet(line: str) -> None:
    """Take a line for the user."""


def send(package: Package, **options):
    return publish(package, REPO, say=quiet, pause_s=0, **options)


def held(hub: Hub, revision: str) -> dict[str, bytes]:
    files = hub.files(REPO, revision)
    return {name: data for name, data in files.items() if name not in OWN}


def local(package: Package) -> dict[str, bytes]:
    return {name: (package.folder / name).read_bytes() for name in package.files}


def test_a_version_is_published_whole_tagged_and_on_main(hub, package):
    done = send(package)
    assert (done.outcome, done.tag) == ("published", "v1.0.0")
    assert hub.tags(REPO) == {"v1.0.0": done.commit}
    assert hub.branches(REPO) == {"main": done.commit}
    assert held(hub, "v1.0.0") == local(package)
    assert len(hub.commits(REPO)) == 2  # the empty repository, and all files at once


def test_the_tag_comes_after_the_files_have_been_compared(hub, package):
    send(package)
    asked = [path.removeprefix(f"/api/datasets/{REPO}/") for _, path, _ in hub.requests]
    committed = asked.index("commit/main")
    compared = [a.startswith("tree/") for a in asked]
    tagged = next(i for i, a in enumerate(asked) if a.startswith("tag/"))
    assert any(compared[committed:tagged])
    assert any(compared[asked.index(f"commit/{BRANCH}") : committed])


def test_a_second_time_changes_nothing(hub, package):
    first = send(package)
    hub.reset_log()
    again = send(package)
    assert (again.outcome, again.commit) == ("already published", first.commit)
    assert not [r for r in hub.requests if "commit" in r[1] or r[0] == "PUT"]


def test_other_files_under_a_published_version_are_refused(
    hub, package, built_folder, tmp_path
):
    send(package)
    before = hub.tags(REPO)
    other = small_release(Corpus.open(built_folder), tmp_path / "x", card="# Other\n")
    with pytest.raises(HubError, match=r"v1\.0\.0 already, with other files \(README"):
        send(Package.of_release(other))
    assert hub.tags(REPO) == before
    assert held(hub, "main") == local(package)


def test_a_new_version_leaves_the_old_one_as_it_was(
    hub, package, built_folder, tmp_path
):
    first = send(package)
    corpus = Corpus.open(built_folder)
    newer = small_release(corpus, tmp_path / "x", "1.0.1", card="# Mended\n")
    second = send(Package.of_release(newer))
    assert hub.tags(REPO) == {"v1.0.0": first.commit, "v1.0.1": second.commit}
    assert held(hub, "v1.0.0") == local(package)
    assert held(hub, "main")["README.md"] == b"# Mended\n"


def test_what_others_left_on_main_is_removed_with_the_new_version(hub, package):
    send(package)
    hub.foreign = {"notes.txt": b"not of the corpus"}
    hub.commit_by_another(REPO)
    corpus = Corpus.open(package.folder)
    newer = small_release(corpus, package.folder.parent / "newer", "1.0.1")
    send(Package.of_release(newer))
    assert "notes.txt" not in held(hub, "main")


def test_a_file_that_arrives_changed_is_never_tagged(hub, package):
    hub.fail(1, "refused", times=1000, match="/commit/main")
    with pytest.raises(HubError, match="the same command again goes on"):
        send(package)
    name = next(name for name in package.files if name.startswith("runs/"))
    hub.overwrite(REPO, package.branch, name, b"something else", keep_hashes=False)
    hub.faults.clear()
    send(package)  # the branch is compared and brought up to date first
    assert held(hub, "v1.0.0") == local(package)


def test_a_secret_is_refused_by_a_repository_that_everybody_reads(hub, package):
    send(package)
    with pytest.raises(HubError, match="can be read by everybody"):
        send(package, must_be_private=True)


def test_a_new_repository_is_private_where_asked(hub, package):
    send(package, private=True, must_be_private=True)
    assert hub.repository(REPO).private


def test_without_a_token_the_message_says_what_to_do(hub, package, tmp_path):
    hub.token = "hf_another"
    with pytest.raises(HubError, match=r"log in with `hf auth login`"):
        send(package)


def test_the_messages_of_a_refused_token_do_not_hold_it(tmp_path, package):
    said: list[str] = []
    with Hub(tmp_path / "hub", xet=False) as hub:
        token = hub.token
        with pointed_at(hub, tmp_path / "home"):
            hub.fail(1, "refused", times=1000)
            with pytest.raises(HubError, match="cannot publish") as caught:
                publish(package, REPO, say=said.append, pause_s=0)
    assert token not in str(caught.value) + "".join(said)
    assert len(said) == 3  # three more tries were announced


@pytest.mark.slow
def test_hundreds_of_files_that_take_several_commits_come_to_main_in_one(hub, tmp_path):
    folder = tmp_path / "many"
    (folder / "curves").mkdir(parents=True)
    for number in range(600):
        table = pa.table({"x": [number]})
        pq.write_table(table, folder / f"curves/segment-0-{number:05d}.parquet")
    (folder / "corpus.json").write_text("{}")
    files = {
        f"curves/{path.name}": {"sha256": sha256_of(path), "bytes": path.stat().st_size}
        for path in (folder / "curves").iterdir()
    }
    many = Package.of_files(
        folder, files, manifest_name="corpus.json", version="1.0.0", title="many"
    )
    send(many)
    uploads = [r for r in hub.requests if r[1].endswith(f"commit/{BRANCH}")]
    assert (len(uploads) > 1) == hub.xet
    assert len(hub.commits(REPO)) == 2
    assert held(hub, "v1.0.0") == local(many)
