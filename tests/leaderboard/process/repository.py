"""Small real git repositories, and pull requests that no client would make."""

import os
import subprocess
from pathlib import Path

PLACE = "leaderboard/submissions"
CARD = b'name = "My forest"\n'
TABLE = b"id,prediction\ne-1,0.5\n"


class Repository:
    """A bare repository with a base commit; trees are written as objects."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.blobs = folder, {}
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", ".")
        self.base = self.commit({"README.md": b"hello\n", f"{PLACE}/.keep": b""})

    def git(self, *arguments: str, given: bytes = b"", **environment: str) -> str:
        """Run git with a fixed identity; return what it says."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=given,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "GIT_CONFIG_NOSYSTEM": "1",
                **{f"GIT_{w}_{k}": "a@b.c" for w in ("AUTHOR", "COMMITTER")
                   for k in ("NAME", "EMAIL")},
                **environment,
            },
        )  # fmt: skip
        return done.stdout.decode().strip()

    def blob(self, data: bytes) -> str:
        """Store bytes; return their digest."""
        if data not in self.blobs:
            sha = self.git("hash-object", "-w", "--stdin", given=data)
            self.blobs[data] = sha
        return self.blobs[data]

    def commit(self, files, parent: str | None = None, remove=()) -> str:
        """Return a commit with files added; values are bytes, or (mode, digest)."""
        index = {"GIT_INDEX_FILE": str(self.folder / "an-index")}
        (self.folder / "an-index").unlink(missing_ok=True)
        if parent:
            self.git("read-tree", parent, **index)
        rows = b""
        for path in remove:
            rows += b"0 " + b"0" * 40 + b"\t" + path.encode() + b"\0"
        for path, value in files.items():
            mode, sha = (
                value if isinstance(value, tuple) else ("100644", self.blob(value))
            )
            rows += f"{mode} {sha}\t".encode() + os.fsencode(path) + b"\0"
        self.git("update-index", "-z", "--index-info", given=rows, **index)
        tree = self.git("write-tree", **index)
        return self.commit_tree(tree, parent)

    def commit_tree(self, tree: str, parent: str | None) -> str:
        """Return a commit of a tree."""
        parents = ["-p", parent] if parent else []
        return self.git("commit-tree", tree, *parents, "-m", "x")

    def tree(self, *rows: tuple[str, str, str]) -> str:
        """Store a tree of (mode, name, digest) just as given, however malformed."""
        data = b"".join(
            f"{mode} {name}".encode() + b"\0" + bytes.fromhex(sha)
            for mode, name, sha in rows
        )
        return self.git(
            "hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=data
        )


def submission(name="forest", **more):
    """Return the files of a submission, by path."""
    files = {"submission.toml": CARD, "predictions/final-acc/w20.csv": TABLE} | more
    return {f"{PLACE}/{name}/{path}": data for path, data in files.items()}
