"""A fault at each call of the client: the same command again ends verified."""

import itertools
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import CorpusError, HubError
from harness.hub.address import Address
from harness.hub.client import TRIES
from harness.hub.download import download
from harness.hub.history import history
from harness.hub.package import OWN, Package
from harness.hub.publish import publish
from harness.manifest import MANIFEST
from harness.verify import verify
from tests.files import contents
from tests.hub.client import pointed_at
from tests.hub.server import Hub

REPO = "org/corpus"
KINDS = ("refused", "503", "dropped", "half", "401")
LASTS = 4 * TRIES
"""Requests in a row that fail: more than client and harness try again."""


def run(hub: Hub, package: Package, said: list[str]) -> str:
    """Publish; return what came of it."""
    try:
        return publish(package, REPO, say=said.append, pause_s=0).outcome
    except HubError as error:
        said.append(str(error))
        return "failed"


def assert_whole(hub: Hub, package: Package) -> None:
    """Check that the Hub holds one version, whole, and nothing else."""
    files = {name: (package.folder / name).read_bytes() for name in package.files}
    for revision in ("main", "v1.0.0"):
        found = hub.files(REPO, revision)
        assert {k: v for k, v in found.items() if k not in OWN} == files
    assert set(hub.tags(REPO)) == {"v1.0.0"}
    assert set(hub.branches(REPO)) == {"main"}
    assert len(hub.commits(REPO)) == 2


def faults(hub: Hub, package: Package, home, kind: str, caplog) -> Iterator[str]:
    """Strike each request of a publication in turn; yield what the first run gave."""
    number = 0
    while True:
        number += 1
        with Hub(home / f"hub-{number}", xet=hub.xet) as fresh:
            where = home / f"home-{number}"
            with pointed_at(fresh, where):
                said: list[str] = []
                planned = fresh.fail(number, kind, times=LASTS)
                first = run(fresh, package, said)
                fresh.faults.clear()
                if not planned.struck:  # the publication has fewer requests
                    return
                again = run(fresh, package, said)
                assert again in ("published", "already published"), said
                assert_whole(fresh, package)
                assert fresh.token not in caplog.text + "".join(said)
                caplog.clear()
                yield first


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_after_a_fault_at_any_request_the_same_command_ends_verified(
    hub, package, tmp_path, kind, caplog
):
    caplog.set_level(logging.DEBUG)
    outcomes = list(faults(hub, package, tmp_path, kind, caplog))
    assert len(outcomes) >= (15 if hub.xet else 35)
    assert outcomes.count("failed") >= len(outcomes) / 2  # they did strike


def struck(
    hub: Hub, home: Path, kind: str, ask: Callable[[], object], every: int = 1
) -> Iterator[str]:
    """Strike the requests of a question in turn; then ask again; yield what came."""
    for number in itertools.count(1, every):
        with pointed_at(hub, home / f"home-{number}"):
            planned = hub.fail(number, kind, times=LASTS)
            try:
                ask()
                first = "answered"
            except HubError as error:
                first = str(error)
            hub.faults.clear()
            if not planned.struck:
                return
            ask()
        yield first


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_after_a_fault_at_any_request_a_download_ends_whole(
    hub, package, release, tmp_path, kind
):
    run(hub, package, [])
    address, places = Address(REPO, "v1.0.0"), itertools.count()
    out = tmp_path / "out"

    def ask() -> None:
        if not (out / MANIFEST).exists() or verify(out):
            download(address, out, say=lambda line: None, pause_s=0)
        assert verify(out) == []
        shutil.move(out, tmp_path / f"whole-{next(places)}")

    # without Xet each file has requests of its own, much alike: every fifth of them
    outcomes = list(struck(hub, tmp_path, kind, ask, every=1 if hub.xet else 5))
    assert len(outcomes) >= 4
    assert set(outcomes) != {"answered"}
    assert hub.token not in "".join(outcomes)
    for number in range(next(places)):
        assert contents(tmp_path / f"whole-{number}") == contents(release)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_fault_at_any_request_what_is_there_is_read(
    lfs_hub, package, tmp_path, kind
):
    run(lfs_hub, package, [])
    found = []
    outcomes = list(
        struck(lfs_hub, tmp_path, kind, lambda: found.append(history(REPO)))
    )
    assert set(outcomes) != {"answered"}
    assert len(outcomes) == 4  # versions; whether, where and what the manifest is
    assert lfs_hub.token not in "".join(outcomes)
    assert all(one.last["version"] == "1.0.0" and not one.begun for one in found)


def test_a_version_that_is_no_corpus_is_told(lfs_hub, package):
    run(lfs_hub, package, [])
    home = lfs_hub.repository(REPO)
    home.tags["v2.0.0"] = list(home.history("main"))[-1].oid  # of the empty repository
    with pytest.raises(CorpusError, match=r"v2\.0\.0 was not made by `harness publ"):
        history(REPO)


@pytest.mark.parametrize("branch", ["release", "main"])
def test_a_parent_that_went_stale_is_no_harm(hub, package, branch):
    hub.foreign = {"notes.txt": b"by somebody else"}
    planned = hub.fail(1, "412", match=f"/commit/{branch}")
    assert run(hub, package, []) == "published"
    assert planned.struck == 1
    assert set(hub.files(REPO, "v1.0.0")) - OWN == set(package.files)


@pytest.mark.parametrize("kind", KINDS[:-1])
@pytest.mark.parametrize("call", ["/commit/release", "/commit/main", "/tag/"])
def test_a_single_fault_is_mended_at_once(hub, package, kind, call):
    planned = hub.fail(1, kind, match=call)
    said: list[str] = []
    assert run(hub, package, said) == "published", said
    assert planned.struck == 1
    assert_whole(hub, package)
