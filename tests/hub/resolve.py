"""Routes by which files leave the loopback Hub: `resolve`, and storage by range.

Large files are redirected to another host name: the client takes an answer of
the same host for the Hub's own and then misses the commit in its headers.
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.hub.answers import Answer, Asked, Refused
from tests.hub.api import found
from tests.hub.store import Commit, Entry, Repository

if TYPE_CHECKING:
    from tests.hub.server import Hub

RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


def _entry(commit: Commit, path: str) -> Entry:
    if path not in commit.tree:
        headers = {"X-Repo-Commit": commit.oid}
        raise Refused(404, "EntryNotFound", "Entry not found", headers)
    return commit.tree[path]


def resolve(hub: "Hub", asked: Asked) -> Answer:
    home, commit = found(hub, asked)
    path = asked.part("path")
    entry = _entry(commit, path)
    headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{entry.identity}"'}
    if entry.sha256 is None:
        return ranged(hub, asked, entry, headers)
    where = f"{home.kind}s/{home.name}/{commit.oid}/{quote(path)}"
    headers |= {
        "X-Linked-Etag": f'"{entry.sha256}"',
        "X-Linked-Size": str(entry.size),
        "Accept-Ranges": "bytes",
        "Location": f"{hub.storage}/_lfs/{where}",
    }
    if xet_hash := hub.xet_hash(entry):
        headers |= _xet_headers(hub, home, commit, xet_hash)
    return Answer(302, b"", headers)


def _xet_headers(
    hub: "Hub", home: Repository, commit: Commit, xet_hash: str
) -> dict[str, str]:
    token = f"{hub.endpoint}/api/{home.kind}s/{home.name}/xet-read-token/{commit.oid}"
    return {
        "X-Xet-Hash": xet_hash,
        "X-Xet-Refresh-Route": token,
        "Link": f'<{token}>; rel="xet-auth"',
    }


def storage(hub: "Hub", asked: Asked) -> Answer:
    _, commit = found(hub, asked)
    path = asked.part("path")
    entry = _entry(commit, path)
    return ranged(hub, asked, entry, {"ETag": f'"{entry.identity}"'})


def ranged(hub: "Hub", asked: Asked, entry: Entry, headers: dict[str, str]) -> Answer:
    """Return a file, or the bytes of it that `Range` asks for."""
    path, length = asked.part("path"), hub.length_of(entry)
    headers = {"Accept-Ranges": "bytes", **headers}
    headers["Content-Type"] = "application/octet-stream"
    said = RANGE.match(asked.headers.get("Range") or "")
    if said is None or said.group(1) == said.group(2) == "":
        return Answer(200, hub.body_of(entry), headers, path)
    first, last = said.groups()
    start = int(first) if first else max(length - int(last), 0)
    stop = min(int(last) + 1, length) if first and last else length
    if start >= stop:
        headers["Content-Range"] = f"bytes */{length}"
        return Answer(416, b"", headers)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
    return Answer(206, hub.body_of(entry, start, stop), headers, path)
