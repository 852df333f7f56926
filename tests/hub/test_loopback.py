"""The real client against the loopback Hub: what goes up comes down, and only that."""

import hashlib
import os
from http.client import HTTPConnection
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub.client import pointed_at
from tests.hub.conftest import contents, without_xet
from tests.hub.server import Hub
from tests.hub.store import git_oid

REPO = {"repo_id": "lab/corpus", "repo_type": "dataset"}


@pytest.fixture
def api(hub: Hub) -> HfApi:
    made = HfApi()
    made.create_repo(**REPO, private=True)
    return made


def listed(api: HfApi, revision: str = "main") -> dict[str, str]:
    """Return the hash that a listing claims for each file: SHA-256 or git's."""
    tree = api.list_repo_tree(**REPO, revision=revision, recursive=True)
    files = [item for item in tree if hasattr(item, "blob_id")]
    return {f.path: f.lfs.sha256 if f.lfs else f.blob_id for f in files}


def claimed(data: dict[str, bytes]) -> dict[str, str]:
    large = (".parquet", ".png")
    return {
        path: hashlib.sha256(body).hexdigest()
        if path.endswith(large)
        else git_oid(body)
        for path, body in data.items()
    }


def test_a_folder_goes_up_and_comes_down_the_same(
    hub: Hub, api: HfApi, folder: Path
) -> None:
    sent = contents(folder)
    api.create_branch(**REPO, branch="staging")
    made = api.upload_folder(**REPO, folder_path=folder, revision="staging")
    api.create_tag(**REPO, tag="v1.0.0", revision=made.oid)

    got = listed(api, "v1.0.0")
    got.pop(".gitattributes")
    assert got == claimed(sent)
    assert len(sent) == 33
    held = hub.files("lab/corpus", "v1.0.0")
    assert {**sent, ".gitattributes": held[".gitattributes"]} == held
    there = Path(snapshot_download(**REPO, revision="v1.0.0"))
    assert contents(there) == held
    assert hub.tags("lab/corpus") == {"v1.0.0": made.oid}
    assert hub.branches("lab/corpus")["staging"] == made.oid
    assert listed(api, "main").keys() == {".gitattributes"}


def test_git_names_blobs_as_the_hub_does() -> None:
    # `printf 'hello\n' | git hash-object --stdin`
    assert git_oid(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_second_upload_makes_no_commit(hub: Hub, api: HfApi, folder: Path) -> None:
    first = api.upload_folder(**REPO, folder_path=folder)
    hub.reset_log()
    again = api.upload_folder(**REPO, folder_path=folder)
    assert again.oid == first.oid
    assert len(hub.commits("lab/corpus")) == 2
    assert not [path for _, path, _ in hub.requests if "/commit/" in path]
    assert not [method for method, _, _ in hub.requests if method == "PUT"]


def test_one_changed_file_is_the_only_one_that_changes(
    hub: Hub, api: HfApi, folder: Path
) -> None:
    api.upload_folder(**REPO, folder_path=folder)
    before = listed(api)
    (folder / "runs/train-0.parquet").write_bytes(b"PAR1 other PAR1")
    api.upload_folder(**REPO, folder_path=folder)
    after = listed(api)
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {"runs/train-0.parquet"}
    assert hub.files("lab/corpus")["runs/train-0.parquet"] == b"PAR1 other PAR1"


def test_deletions_and_copies_arrive_in_one_commit(
    hub: Hub, api: HfApi, folder: Path
) -> None:
    api.upload_folder(**REPO, folder_path=folder)
    table = (folder / "runs/train-1.parquet").read_bytes()
    operations = [
        CommitOperationDelete("figures/", is_folder=True),
        CommitOperationDelete("runs/train-0.parquet"),
        CommitOperationCopy("runs/train-1.parquet", "runs/copy.parquet"),
        CommitOperationCopy("README.md", "COPY.md"),
        CommitOperationAdd("new.txt", b"new"),
    ]
    api.create_commit(**REPO, operations=operations, commit_message="Change")
    held = hub.files("lab/corpus")
    assert held.pop("runs/copy.parquet") == held.pop("runs/train-1.parquet") == table
    assert held.pop("COPY.md") == held.pop("README.md")
    assert held.pop("new.txt") == b"new"
    assert held.keys() == {".gitattributes"}
    assert hub.commits("lab/corpus")[0] == "Change"
    assert [c.title for c in api.list_repo_commits(**REPO)] == hub.commits("lab/corpus")


def test_delete_patterns_remove_what_the_folder_no_longer_has(
    hub: Hub, api: HfApi, folder: Path
) -> None:
    api.upload_folder(**REPO, folder_path=folder)
    (folder / "runs/train-0.parquet").unlink()
    api.upload_folder(**REPO, folder_path=folder, delete_patterns="*")
    held = hub.files("lab/corpus")
    del held[".gitattributes"]
    assert held == contents(folder)


@without_xet
def test_a_commit_on_an_old_parent_is_refused_and_leaves_nothing(
    hub: Hub, api: HfApi
) -> None:
    old = hub.branches("lab/corpus")["main"]
    hub.foreign = {"theirs.txt": b"theirs"}
    hub.commit_by_another("lab/corpus")
    add = [CommitOperationAdd("ours.txt", b"ours")]
    with pytest.raises(HfHubHTTPError, match=r"(?s)412.*A commit has happened since"):
        api.create_commit(
            **REPO, operations=add, commit_message="Ours", parent_commit=old
        )
    assert hub.files("lab/corpus").keys() == {".gitattributes", "theirs.txt"}


@without_xet
def test_what_exists_and_what_does_not(hub: Hub, api: HfApi) -> None:
    api.create_tag(**REPO, tag="v1")
    assert api.repo_exists(**REPO)
    assert api.revision_exists(**REPO, revision="v1")
    assert api.file_exists(**REPO, filename=".gitattributes")
    assert not api.repo_exists("lab/other", repo_type="dataset")
    assert not api.repo_exists("lab/corpus", repo_type="model")
    assert not api.revision_exists(**REPO, revision="v2")
    assert not api.file_exists(**REPO, filename="README.md")
    with pytest.raises(RevisionNotFoundError, match=r"Revision Not Found"):
        hf_hub_download(**REPO, filename="README.md", revision="v2")
    with pytest.raises(EntryNotFoundError, match=r"Entry Not Found"):
        hf_hub_download(**REPO, filename="README.md")


@without_xet
def test_names_are_given_once(hub: Hub, api: HfApi) -> None:
    api.create_tag(**REPO, tag="v1")
    api.create_branch(**REPO, branch="staging")
    with pytest.raises(HfHubHTTPError, match=r"(?s)409.*Tag reference exists"):
        api.create_tag(**REPO, tag="v1")
    with pytest.raises(HfHubHTTPError, match=r"(?s)409.*Reference already exists"):
        api.create_branch(**REPO, branch="staging")
    with pytest.raises(HfHubHTTPError, match=r"(?s)409.*already created"):
        api.create_repo(**REPO)
    url = api.create_repo(**REPO, exist_ok=True)
    assert url.repo_id == "lab/corpus"
    api.delete_tag(**REPO, tag="v1")
    api.delete_branch(**REPO, branch="staging")
    refs = api.list_repo_refs(**REPO)
    assert ([b.name for b in refs.branches], refs.tags) == (["main"], [])
    api.delete_repo(**REPO)
    assert not api.repo_exists(**REPO)


@without_xet
def test_a_private_repository_is_hidden_from_strangers(hub: Hub, api: HfApi) -> None:
    stranger = HfApi(token=False)
    assert not stranger.repo_exists(**REPO)
    with pytest.raises(HfHubHTTPError, match=r"401"):
        HfApi(token="hf_wrong").repo_info(**REPO)
    api.create_repo("lab/open", repo_type="dataset")
    assert stranger.repo_info("lab/open", repo_type="dataset").private is False
    with pytest.raises(HfHubHTTPError, match=r"401"):
        stranger.create_tag("lab/open", repo_type="dataset", tag="v1")
    assert hub.tags("lab/open") == {}
    with pytest.raises(RepositoryNotFoundError, match=r"Repository Not Found"):
        stranger.list_repo_refs(**REPO)


@without_xet
def test_long_listings_come_in_pages(hub: Hub, api: HfApi, folder: Path) -> None:
    api.upload_folder(**REPO, folder_path=folder)
    whole = listed(api)
    hub.page_size = 7
    hub.reset_log()
    assert listed(api) == whole
    # 34 files and 3 folders in pages of 7
    assert len(hub.requests) == 6


def test_part_of_a_file_costs_part_of_its_bytes(
    hub: Hub, api: HfApi, folder: Path
) -> None:
    path = "runs/train-0.parquet"
    api.upload_folder(**REPO, folder_path=folder)
    hub.reset_log()
    files = HfFileSystem()
    with files.open(f"datasets/lab/corpus/{path}", block_size=16) as file:
        file.seek(-8, os.SEEK_END)
        tail = file.read()
    assert tail == (folder / path).read_bytes()[-8:]
    assert hub.bytes_served == hub.bytes_by_path[path] <= 16


def test_a_tampered_file_shows_in_its_bytes_and_not_in_its_hash(
    hub: Hub, api: HfApi, folder: Path
) -> None:
    path = "runs/train-0.parquet"
    api.upload_folder(**REPO, folder_path=folder)
    before, good = listed(api)[path], (folder / path).read_bytes()
    bad = bytes([good[0] ^ 1]) + good[1:]
    hub.overwrite("lab/corpus", "main", path, bad)
    assert listed(api)[path] == before
    got = Path(hf_hub_download(**REPO, filename=path)).read_bytes()
    assert got == bad
    hub.overwrite("lab/corpus", "main", path, bad, keep_hashes=False)
    assert listed(api)[path] == hashlib.sha256(bad).hexdigest()


def test_one_download_serves_without_a_network(
    hub: Hub, api: HfApi, folder: Path, tmp_path: Path
) -> None:
    api.upload_folder(**REPO, folder_path=folder)
    snapshot_download(**REPO)
    hub.reset_log()
    with pointed_at(hub, tmp_path / "home", offline=True):
        there = Path(snapshot_download(**REPO))
    assert contents(there) == hub.files("lab/corpus")
    assert hub.requests == []


def test_xet_hashes_are_those_of_the_client(tmp_path: Path, folder: Path) -> None:
    import hf_xet

    with Hub(tmp_path / "hub", xet=True) as hub, pointed_at(hub, tmp_path / "home"):
        api = HfApi()
        api.create_repo(**REPO)
        api.upload_folder(**REPO, folder_path=folder)
        paths = ["runs/train-0.parquet", "figures/curve.png", "README.md"]
        infos = api.get_paths_info(**REPO, paths=paths)
    expected = hf_xet.hash_files([str(folder / path) for path in paths[:2]])
    shown = {info.path: info.xet_hash for info in infos}
    assert [shown[path] for path in paths[:2]] == [one.hash for one in expected]
    assert shown["README.md"] is None


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        (None, 200, slice(None)),
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=990-5000", 206, slice(990, None)),
        ("bytes=1000-", 416, slice(0, 0)),
    ],
)
@without_xet
def test_ranges_are_answered_as_http_says(
    hub: Hub, api: HfApi, asked: str | None, status: int, expected: slice
) -> None:
    """The table of RFC 9110, section 14, on a file of 1000 bytes."""
    body = bytes(i % 251 for i in range(1000))
    api.upload_file(**REPO, path_or_fileobj=body, path_in_repo="a.parquet")
    commit = hub.branches("lab/corpus")["main"]
    connection = HTTPConnection(hub.storage.removeprefix("http://"))
    headers = {"Range": asked} if asked else {}
    where = f"/_lfs/datasets/lab/corpus/{commit}/a.parquet"
    connection.request("GET", where, headers=headers)
    said = connection.getresponse()
    assert (said.status, said.read()) == (status, body[expected])
    connection.close()
