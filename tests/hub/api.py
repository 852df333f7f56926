"""JSON routes of the loopback Hub: repositories, names of revisions, listings."""

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from tests.hub.answers import Answer, Asked, Refused, as_json
from tests.hub.store import Commit, Entry, Repository

if TYPE_CHECKING:
    from tests.hub.server import Hub


def whoami(hub: "Hub", asked: Asked) -> Answer:
    access = {"displayName": "loopback", "role": "write"}
    auth = {"type": "access_token", "accessToken": access}
    user = {"type": "user", "id": "0" * 24, "name": hub.user, "orgs": [], "auth": auth}
    return as_json({**user, "fullname": hub.user, "isPro": False})


def full_name(hub: "Hub", said: dict[str, Any]) -> tuple[str, str]:
    kind = said.get("type") or "model"
    return kind, f"{said.get('organization') or hub.user}/{said['name']}"


def create(hub: "Hub", asked: Asked) -> Answer:
    said = asked.json()
    kind, name = full_name(hub, said)
    prefix = "" if kind == "model" else f"{kind}s/"
    url = {"url": f"{hub.endpoint}/{prefix}{name}", "name": name}
    with hub.store.lock:
        if (kind, name) in hub.store.repositories:
            message = "You already created this repo"
            return as_json({"error": message, **url}, 409)
        private = said.get("visibility") == "private" or bool(said.get("private"))
        hub.store.create(kind, name, private=private)
    return as_json(url)


def delete(hub: "Hub", asked: Asked) -> Answer:
    key = full_name(hub, asked.json())
    with hub.store.lock:
        hub.store.get(*key)
        del hub.store.repositories[key]
    return as_json({})


def validate_yaml(hub: "Hub", asked: Asked) -> Answer:
    return as_json({"errors": [], "warnings": []})


def repository(hub: "Hub", asked: Asked) -> Repository:
    kind = asked.part("kinds").rstrip("/").removesuffix("s") or "model"
    return hub.store.get(kind, f"{asked.part('owner')}/{asked.part('name')}")


def found(hub: "Hub", asked: Asked) -> tuple[Repository, Commit]:
    home = repository(hub, asked)
    return home, home.resolve(asked.part("revision") or "main")


def create_tag(hub: "Hub", asked: Asked) -> Answer:
    home, commit = found(hub, asked)
    tag = asked.json()["tag"]
    with hub.store.lock:
        if tag in home.tags:
            raise Refused(409, "", f"Tag reference exists already: {tag}")
        home.tags[tag] = commit.oid
    return as_json({})


def delete_tag(hub: "Hub", asked: Asked) -> Answer:
    home, tag = repository(hub, asked), asked.part("revision")
    with hub.store.lock:
        if home.tags.pop(tag, None) is None:
            raise Refused(404, "RevisionNotFound", f"Tag not found: {tag}")
    return as_json({})


def create_branch(hub: "Hub", asked: Asked) -> Answer:
    home, branch = repository(hub, asked), asked.part("revision")
    start = home.resolve(asked.json().get("startingPoint") or "main")
    with hub.store.lock:
        if branch in home.branches:
            raise Refused(409, "", f"Reference already exists: {branch}")
        home.branches[branch] = start.oid
    return as_json({})


def delete_branch(hub: "Hub", asked: Asked) -> Answer:
    home, branch = repository(hub, asked), asked.part("revision")
    with hub.store.lock:
        if branch == "main":
            raise Refused(403, "", "The main branch stays")
        if home.branches.pop(branch, None) is None:
            raise Refused(404, "RevisionNotFound", f"Branch not found: {branch}")
    return as_json({})


def refs(hub: "Hub", asked: Asked) -> Answer:
    home = repository(hub, asked)

    def listed(names: dict[str, str], folder: str) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": oid}
            for name, oid in names.items()
        ]

    branches = listed(home.branches, "heads")
    tags = listed(home.tags, "tags")
    none: list[str] = []
    said = {"branches": branches, "converts": none, "tags": tags, "pullRequests": none}
    return as_json(said)


def info(hub: "Hub", asked: Asked) -> Answer:
    home, commit = found(hub, asked)
    blobs = asked.option("blobs").lower() == "true"
    files = [
        {"rfilename": path, **(_blob(entry) if blobs else {})}
        for path, entry in sorted(commit.tree.items())
    ]
    said = {
        "_id": "0" * 24,
        "id": home.name,
        "author": home.name.split("/")[0],
        "sha": commit.oid,
        "lastModified": commit.date,
        "createdAt": next(iter(home.commits.values())).date,
        "private": home.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": files,
    }
    return as_json(said)


def _blob(entry: Entry) -> dict[str, Any]:
    lfs = {"sha256": entry.sha256, "size": entry.size, "pointerSize": 0}
    large = {"lfs": lfs} if entry.sha256 else {}
    return {"size": entry.size, "blobId": entry.oid, **large}


def described(hub: "Hub", path: str, entry: Entry) -> dict[str, Any]:
    """Return a file as listings show it."""
    said = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.sha256 is None:
        return said
    said["lfs"] = {
        "oid": entry.sha256,
        "size": entry.size,
        "pointerSize": entry.pointer_size,
    }
    if xet_hash := hub.xet_hash(entry):
        said["xetHash"] = xet_hash
    return said


def folders_of(tree: dict[str, Entry]) -> set[str]:
    """Return every folder that holds a file."""
    pieces = [path.split("/") for path in tree]
    return {
        "/".join(piece[:depth]) for piece in pieces for depth in range(1, len(piece))
    }


def _folder(path: str, tree: dict[str, Entry]) -> dict[str, Any]:
    below = [e.oid for p, e in sorted(tree.items()) if p.startswith(path + "/")]
    oid = hashlib.sha1("\n".join([path, *below]).encode()).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def last_change(asked: str, commit: Commit) -> dict[str, Any]:
    """Return what `expand` adds to a listed path."""
    if asked.lower() != "true":
        return {}
    last = {"id": commit.oid, "title": commit.title, "date": commit.date}
    return {"lastCommit": last}


def tree(hub: "Hub", asked: Asked) -> Answer:
    _, commit = found(hub, asked)
    under = asked.part("path").strip("/")
    recursive = asked.option("recursive").lower() == "true"
    folders = folders_of(commit.tree)
    if under and under not in folders:
        raise Refused(404, "EntryNotFound", f"{under} does not exist")
    start = f"{under}/" if under else ""
    names = sorted(
        path
        for path in {*folders, *commit.tree}
        if path.startswith(start) and (recursive or "/" not in path[len(start) :])
    )
    first = int(asked.option("cursor", "0"))
    last = first + hub.page_size
    more = last_change(asked.option("expand"), commit)
    page = [
        described(hub, path, commit.tree[path])
        if path in commit.tree
        else _folder(path, commit.tree)
        for path in names[first:last]
    ]
    headers = {}
    if last < len(names):
        query = {key: values[0] for key, values in parse_qs(asked.query).items()}
        url = f"{hub.endpoint}{asked.path}?{urlencode({**query, 'cursor': last})}"
        headers["Link"] = f'<{url}>; rel="next"'
    return as_json([{**item, **more} for item in page], headers=headers)


def paths_info(hub: "Hub", asked: Asked) -> Answer:
    _, commit = found(hub, asked)
    said = parse_qs(asked.body.decode())
    if "json" in asked.headers.get("Content-Type", ""):
        said = {"paths": asked.json()["paths"]}
    folders = folders_of(commit.tree)
    more = last_change(said.get("expand", [""])[0], commit)
    listed = [
        described(hub, path, commit.tree[path])
        if path in commit.tree
        else _folder(path, commit.tree)
        for path in said.get("paths", [])
        if path in commit.tree or path in folders
    ]
    return as_json([{**item, **more} for item in listed])


def commits(hub: "Hub", asked: Asked) -> Answer:
    home, commit = found(hub, asked)
    said = [
        {
            "id": one.oid,
            "title": one.title,
            "message": one.message,
            "authors": [{"user": hub.user}],
            "date": one.date,
        }
        for one in home.history(commit.oid)
    ]
    return as_json(said)
