"""The files of a pull request, taken as data: it is never checked out.

    python -m leaderboard.pull --repository . --base SHA --head SHA --out DIR

Reads objects with git's plumbing alone, whose behaviour no attribute, filter, hook or
configuration of the user changes; no shell sees a name.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from leaderboard.intake.files import COMPONENT
from leaderboard.intake.limits import FILE_BYTES, FILES, SUBMISSION_BYTES
from leaderboard.intake.names import RESERVED, folder_name
from leaderboard.problems import SHOWN, Problem, Rejected
from tasks.submission import CARD, FOLDER

PLACE: Final = "leaderboard/submissions"
"""The one folder that a submission changes something in."""
LIST_BYTES: Final = 4_000_000
"""Most bytes of a list of changed files."""
REGULAR: Final = "100644"
PLAIN: Final = "add it as a regular file of mode 100644"
KINDS: Final = {
    "040000": "a folder",
    "100755": "an executable",
    "120000": "a symbolic link",
    "160000": "a submodule",
}
GONE: Final = "000000"
OPTIONS: Final = (
    "--no-replace-objects",
    "--no-optional-locks",
    "--literal-pathspecs",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.attributesFile=/dev/null",
    "-c",
    "protocol.allow=never",
)


class Entry(NamedTuple):
    """A file of the head's tree."""

    path: str
    """Below `PLACE`, such as "forest/submission.toml"; checked."""
    sha: str
    """Of its blob."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A pull request's submission."""

    name: str
    """Its folder."""
    files: dict[str, bytes]
    """By path below the folder."""
    flags: tuple[str, ...]
    """What a maintainer should look at."""


def pull(repository: Path, base: str, head: str) -> Pulled:
    """Return the submission that a pull request adds or changes.

    Args:
        repository: A clone that has both commits; its work tree is neither read nor
            written.
        base: Full digest of the commit to merge into.
        head: Full digest of the pull request's last commit.

    Raises:
        Rejected: It changes anything but one submission's folder, holds anything but
            regular files of the expected names, or too much; says everything.
        ValueError: A digest is none, or git does not know it.
    """
    for name, sha in (("base", base), ("head", head)):
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", sha):
            raise ValueError(f"--{name} is {ascii(sha)[:80]}, expected a full digest")
    name = _only_folder(_changed(repository, _fork(repository, base, head), head))
    entries = _entries(repository, head, name)
    before = _listed(repository, base, f"{PLACE}/{name}/")
    flags = (f"{name} is there already: is this its owner?",) if before else ()
    return Pulled(name=name, files=_blobs(repository, entries), flags=flags)


def write(pulled: Pulled, out: Path) -> Path:
    """Write the files to a folder named after the submission in a new folder `out`.

    Raises:
        FileExistsError: `out` exists.
    """
    out.mkdir(parents=True)
    folder = out / pulled.name
    for path, data in pulled.files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as file:
            file.write(data)
    return folder


def _fork(repository: Path, base: str, head: str) -> str:
    """Return the commit that the changes are counted from.

    Where there are several, a change may be none against the first and yet take back,
    once merged, what came in through another.
    """
    told = _git(
        repository, "merge-base", "--all", "--end-of-options", base, head,
        limit=LIST_BYTES,
    )  # fmt: skip
    found = told.decode("ascii").split()
    if len(found) > 1:
        what = f"{len(found)} commits are where it branched off, expected one"
        raise Rejected([_problem(what, "rebase it on the branch it is for")])
    return found[0]


def _changed(repository: Path, fork: str, head: str) -> list[tuple[str, str]]:
    """Return mode in the head and path of everything that is changed."""
    told = _git(
        repository, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff",
        "--no-textconv", "--ignore-submodules=none", "--end-of-options", fork, head,
        "--", limit=LIST_BYTES,
    )  # fmt: skip
    parts = told.split(b"\0")[:-1]
    return [
        (heading.split()[1].decode(), os.fsdecode(path))
        for heading, path in zip(parts[::2], parts[1::2], strict=True)
    ]


def _only_folder(changed: Sequence[tuple[str, str]]) -> str:
    """Return the one submission that is changed."""
    problems, names, strangers = [], set(), []
    for mode, path in changed:
        found = re.fullmatch(rf"{PLACE}/([^/]+)/.+", path, re.DOTALL)
        if not found or folder_name(found[1]):
            strangers.append(path)
            continue
        names.add(found[1])
        if mode not in (REGULAR, GONE):
            what = f"{_shown(path)} is {KINDS.get(mode, 'no regular file')}"
            problems.append(_problem(what, PLAIN))
    if strangers:
        told = ", ".join(map(_shown, strangers[:SHOWN]))
        told += ", ..." if len(strangers) > SHOWN else ""
        problems.append(
            _problem(
                f"{len(strangers)} other file(s) are changed: {told}",
                f"change nothing but {PLACE}/NAME/, where NAME is of a-z, 0-9 and "
                "'-'; send anything else in a pull request of its own",
                count=len(strangers),
            )
        )
    if len(names) > 1:
        told = ", ".join(sorted(names)[:SHOWN])
        problems.append(
            _problem(f"{len(names)} submissions are changed: {told}", "one at a time")
        )
    if not changed:
        problems.append(_problem("nothing is changed", f"add a folder to {PLACE}"))
    if problems:
        raise Rejected(problems)
    return names.pop()


def _entries(repository: Path, head: str, name: str) -> list[Entry]:
    """Return the files of a submission's folder, after their names and sizes."""
    listed = _listed(repository, head, f"{PLACE}/{name}/")
    problems = [found for row in listed if (found := _wrong(row, name))]
    if len({path for *_, path in listed}) < len(listed):
        problems.append(_problem("a name stands there twice", "mend the tree"))
    if not listed:
        what = f"the submission {name} is removed"
        problems.append(_problem(what, "ask the maintainers to withdraw it"))
    total = sum(int(size) for _, _, size, _ in listed if size != "-")
    if len(listed) > FILES or total > SUBMISSION_BYTES:
        what = f"{len(listed)} files of {total:,} bytes, allowed are {FILES} of "
        what += f"{SUBMISSION_BYTES:,}"
        problems.append(_problem(what, "answer fewer tasks", "too_large"))
    if problems:
        raise Rejected(problems[: 4 * SHOWN])
    below = f"{PLACE}/{name}/"
    return [Entry(p.removeprefix(below), sha, int(n)) for _, sha, n, p in listed]


def _wrong(row: Sequence[str], name: str) -> Problem | None:
    """Return what is wrong with mode, name or size of a file."""
    mode, _, size, path = row
    folder, *parts = path.removeprefix(f"{PLACE}/{name}/").split("/")
    taken = any(RESERVED.fullmatch(part.split(".")[0]) for part in parts)
    plain = all(COMPONENT.fullmatch(part) and part[0].isalnum() for part in parts)
    if mode != REGULAR:
        what = f"{_shown(path)} is {KINDS.get(mode, 'no regular file')}"
        return _problem(what, PLAIN)
    if (folder, parts) != (CARD, []) and (
        taken or not (folder == FOLDER and parts and plain)
    ):
        return _problem(
            f"{_shown(path)} belongs to no submission",
            f"a submission is {CARD} and {FOLDER}/TASK.csv or .parquet, in lower case",
        )
    if int(size) > FILE_BYTES:
        what = f"{_shown(path)} has {int(size):,} bytes, allowed are {FILE_BYTES:,}"
        return _problem(what, "send Parquet, or fewer digits", "too_large")
    return None


def _listed(repository: Path, commit: str, under: str) -> list[list[str]]:
    """Return mode, digest, size and path of everything below a folder."""
    told = _git(
        repository, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options",
        commit, under, limit=LIST_BYTES,
    )  # fmt: skip
    rows = []
    for row in told.split(b"\0")[:-1]:
        heading, _, path = row.partition(b"\t")
        mode, _, sha, size = heading.decode("ascii").split()
        rows.append([mode, sha, size, os.fsdecode(path)])
    return rows


def _blobs(repository: Path, entries: Sequence[Entry]) -> dict[str, bytes]:
    """Return the bytes of files, as they are stored."""
    wanted = "".join(f"{entry.sha}\n" for entry in entries)
    room = sum(entry.size + 200 for entry in entries)
    told = _git(repository, "cat-file", "--batch", given=wanted, limit=room)
    found, at = {}, 0
    for path, sha, size in entries:
        heading = f"{sha} blob {size}\n".encode()
        end = at + len(heading) + size
        if told[at : at + len(heading)] != heading or told[end : end + 1] != b"\n":
            raise ValueError(f"git gave something else for {path}: fetch again")
        found[path] = told[at + len(heading) : end]
        at = end + 1
    return found


def _git(repository: Path, *arguments: str, given: str = "", limit: int = 200) -> bytes:
    """Return what git says, at most `limit` bytes; it sees no setting of the user."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    command = ["git", *OPTIONS, "-C", str(repository.resolve()), *arguments]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(given.encode())
            process.stdin.close()
        told = process.stdout.read(limit + 1)
        if len(told) > limit:
            process.kill()
        code = process.wait()
    if len(told) > limit:
        what = f"git {arguments[0]} says more than {limit:,} bytes"
        raise Rejected([_problem(what, "change less at once", "too_large")])
    if code:
        raise ValueError(
            f"git {arguments[0]} ended with {code} in {repository}: are both commits "
            "there, and have they a common one? (git fetch origin HEAD_SHA)"
        )
    return told


def _problem(what: str, mend: str, code: str = "bad_path", count: int = 1) -> Problem:
    return Problem(code=code, where="pull request", what=what, mend=mend, count=count)


def _shown(path: str) -> str:
    """Return a foreign path, short and without anything that a terminal acts on."""
    text = ascii(path)[1:-1].replace("`", "\\x60")
    return f"'{text[:80]}{'...' if len(text) > 80 else ''}'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a pull request's submission to a folder; print what it is as JSON."""
    parser = argparse.ArgumentParser("python -m leaderboard.pull", description=__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--base", required=True, metavar="SHA")
    parser.add_argument("--head", required=True, metavar="SHA")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    given = parser.parse_args(arguments)
    try:
        pulled = pull(given.repository, given.base, given.head)
        folder = write(pulled, given.out)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    told = {"name": pulled.name, "files": len(pulled.files), "flags": pulled.flags}
    sys.stdout.write(json.dumps(told | {"folder": str(folder)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
