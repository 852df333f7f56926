"""Each fault that the loopback Hub can be told to make, as the real client meets it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download

from tests.hub.conftest import contents, without_xet
from tests.hub.faults import KINDS, Faults
from tests.hub.server import Hub

REPO = {"repo_id": "lab/corpus", "repo_type": "dataset"}
# What the client lets through, by kind; the rest of the message is its own.
SEEN = {
    "refused": r"disconnected|RemoteDisconnected",
    "503": r"503",
    "dropped": r"disconnected|RemoteDisconnected",
    "half": r"peer closed|IncompleteRead|broken",
    "412": r"412",
    "401": r"401",
    "429": r"429",
}


@pytest.fixture
def api(hub: Hub) -> Iterator[HfApi]:
    hub.retry_after = None
    made = HfApi()
    made.create_repo(**REPO)
    hub.reset_log()
    logging.disable(logging.WARNING)  # the client logs each retry
    yield made
    logging.disable(logging.NOTSET)


def commit(api: HfApi) -> None:
    add = [CommitOperationAdd("ours.txt", b"ours")]
    api.create_commit(**REPO, operations=add, commit_message="Ours")


@without_xet
@pytest.mark.parametrize("kind", KINDS)
def test_a_commit_suffers_the_fault_and_the_next_one_does_not(
    hub: Hub, api: HfApi, kind: str
) -> None:
    fault = hub.fail(1, kind, match="/commit/")
    with pytest.raises(Exception, match=SEEN[kind]):
        commit(api)
    assert fault.struck == 1
    processed = kind in ("dropped", "half")
    assert ("ours.txt" in hub.files("lab/corpus")) == processed
    assert len(hub.commits("lab/corpus")) == 1 + (processed or kind == "412")
    answered = 0 if kind in ("refused", "dropped", "half") else int(kind)
    assert hub.requests[-1] == (
        "POST",
        "/api/datasets/lab/corpus/commit/main",
        answered,
    )
    commit(api)
    assert hub.files("lab/corpus")["ours.txt"] == b"ours"


@without_xet
@pytest.mark.parametrize("kind", ["refused", "503", "dropped", "half", "429"])
def test_the_client_repeats_a_preupload_by_itself(
    hub: Hub, api: HfApi, folder: Path, kind: str
) -> None:
    fault = hub.fail(1, kind, times=2, match="/preupload/")
    api.upload_folder(**REPO, folder_path=folder)
    assert fault.struck == 2
    assert [path for _, path, _ in hub.requests if "/preupload/" in path] == [
        "/api/datasets/lab/corpus/preupload/main"
    ] * 3
    assert contents(folder).items() <= hub.files("lab/corpus").items()


@pytest.mark.parametrize("kind", ["refused", "503", "dropped", "half"])
def test_a_body_that_breaks_on_its_way_up_is_sent_again(
    hub: Hub, api: HfApi, folder: Path, kind: str
) -> None:
    fault = hub.fail(1, kind, match="xet-write-token" if hub.xet else "^PUT ")
    api.upload_folder(**REPO, folder_path=folder)
    assert fault.struck == 1
    assert contents(folder).items() <= hub.files("lab/corpus").items()


@without_xet
def test_a_stale_parent_is_stale_because_somebody_else_committed(
    hub: Hub, api: HfApi
) -> None:
    hub.foreign = {"theirs.txt": b"theirs"}
    head = hub.branches("lab/corpus")["main"]
    hub.fail(1, "412")
    with pytest.raises(Exception, match=r"412"):
        commit(api)
    assert hub.branches("lab/corpus")["main"] != head
    assert hub.files("lab/corpus").keys() == {".gitattributes", "theirs.txt"}


def test_a_lost_answer_doubles_the_commit_only_where_the_client_repeats_it(
    hub: Hub, api: HfApi, folder: Path
) -> None:
    """With Xet the client repeats a commit whose answer was lost."""
    hub.fail(1, "dropped", match="/commit/")
    if hub.xet:
        api.upload_folder(**REPO, folder_path=folder)
    else:
        with pytest.raises(Exception, match=SEEN["dropped"]):
            api.upload_folder(**REPO, folder_path=folder)
    assert len(hub.commits("lab/corpus")) == (3 if hub.xet else 2)
    assert contents(folder).items() <= hub.files("lab/corpus").items()


@pytest.mark.slow
def test_a_download_that_breaks_off_is_resumed(
    hub: Hub, api: HfApi, folder: Path
) -> None:
    path = "README.md"
    api.upload_folder(**REPO, folder_path=folder)
    hub.reset_log()
    fault = hub.fail(1, "half", match="^GET .*/resolve/")
    got = Path(hf_hub_download(**REPO, filename=path)).read_bytes()
    assert got == (folder / path).read_bytes()
    assert fault.struck == 1


def test_faults_count_only_the_requests_they_are_planned_for() -> None:
    faults = Faults()
    faults.plan(2, "503", times=2, match="^GET /b")
    asked = ["GET /a", "GET /b", "POST /b", "GET /b", "GET /a", "GET /b", "GET /b"]
    said = [faults.next(*one.split()) for one in asked]
    assert said == [None, None, None, "503", None, "503", None]


def test_a_stale_parent_waits_for_a_commit() -> None:
    faults = Faults()
    faults.plan(1, "412", times=1, match="")
    tag, commit = "/api/datasets/lab/corpus/tag/v1", "/api/datasets/lab/c/commit/main"
    said = [faults.next("POST", path) for path in (tag, commit, commit)]
    assert said == [None, "412", None]


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fault '404': expected one of refused, 503"):
        Faults().plan(1, "404", times=1, match="")
    with pytest.raises(ValueError, match=r"at=0, times=1: both count from 1"):
        Faults().plan(0, "503", times=1, match="")
