"""Routes by which files reach the loopback Hub: preupload, large files, commits."""

import base64
import json
from typing import TYPE_CHECKING, Any

from tests.hub.answers import Answer, Asked, Refused, as_json
from tests.hub.api import found, repository
from tests.hub.store import Commit, Entry, Repository, with_files

if TYPE_CHECKING:
    from tests.hub.server import Hub


def preupload(hub: "Hub", asked: Asked) -> Answer:
    home, commit = found(hub, asked)
    files = []
    for file in asked.json()["files"]:
        path = file["path"]
        large = home.is_large(commit.oid, path, file["size"], hub.large_from)
        mode = "lfs" if large else "regular"
        said = {"path": path, "uploadMode": mode, "shouldIgnore": False}
        if present := commit.tree.get(path):
            said["oid"] = present.identity
        files.append(said)
    return as_json({"files": files})


def batch(hub: "Hub", asked: Asked) -> Answer:
    repository(hub, asked)
    objects = []
    for one in asked.json()["objects"]:
        said: dict[str, Any] = {"oid": one["oid"], "size": one["size"]}
        if not hub.has_body(one["oid"]):
            url = f"{hub.storage}/_lfs/objects/{one['oid']}"
            verify = f"{hub.endpoint}{asked.path.removesuffix('objects/batch')}verify"
            upload = {"href": url, "header": {}}
            said["actions"] = {"upload": upload, "verify": {"href": verify}}
        objects.append(said)
    return as_json({"transfer": "basic", "objects": objects})


def put(hub: "Hub", asked: Asked) -> Answer:
    if hub.store.keep(asked.body) != asked.part("sha256"):
        raise Refused(400, "", "The body has another SHA-256 than its address")
    return Answer()


def verify(hub: "Hub", asked: Asked) -> Answer:
    said = asked.json()
    if not hub.has_body(said["oid"]):
        raise Refused(404, "EntryNotFound", "The object was not uploaded")
    if hub.body_size(said["oid"]) != said["size"]:
        raise Refused(422, "", "The object has another size")
    return as_json({})


def commit(hub: "Hub", asked: Asked) -> Answer:
    home, branch = repository(hub, asked), asked.part("revision")
    lines = [json.loads(line) for line in asked.body.splitlines() if line]
    head = next(line["value"] for line in lines if line["key"] == "header")
    changes = [line for line in lines if line["key"] != "header"]
    with hub.store.lock:
        if branch not in home.branches:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        parent = home.resolve(branch)
        if not parent.oid.startswith(head.get("parentCommit") or ""):
            raise stale(parent)
        files = dict(parent.tree)
        for change in changes:
            _apply(hub, files, change["key"], change["value"])
        message = head.get("description") or ""
        made = home.commit(branch, files, head["summary"], message)
    prefix = "" if home.kind == "model" else f"{home.kind}s/"
    url = f"{hub.endpoint}/{prefix}{home.name}/commit/{made.oid}"
    said = {"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""}
    return as_json(said)


def _apply(hub: "Hub", files: dict[str, Entry], key: str, value: Any) -> None:
    path = value["path"]
    if key == "file":
        files[path] = Entry.regular(base64.b64decode(value["content"]))
    elif key == "lfsFile":
        if not hub.has_body(value["oid"]):
            raise Refused(400, "", f"{path} points to a file that was not uploaded")
        files[path] = Entry.large(value["oid"], hub.body_size(value["oid"]))
    elif key == "deletedFile":
        if files.pop(path, None) is None:
            raise Refused(404, "EntryNotFound", f"{path} does not exist")
    elif key == "deletedFolder":
        for below in [p for p in files if p.startswith(path.rstrip("/") + "/")]:
            del files[below]
    else:
        raise Refused(400, "", f"unknown operation {key}")


def stale(parent: Commit) -> Refused:
    """Return the refusal of a commit whose parent is no longer the newest."""
    message = "A commit has happened since. Please refresh and try again."
    return Refused(412, "", message, {"X-Current-Commit": parent.oid})


def foreign_commit(home: Repository, branch: str, files: dict[str, bytes]) -> Commit:
    """Add a commit by somebody else to a branch."""
    tree = with_files(home.resolve(branch).tree, files)
    return home.commit(branch, tree, "A change by somebody else")
