"""The loopback Hub: `with Hub(tmp_path, xet=False) as hub: ...`.

Point a client of another process at it with `hub.environment(home)`, one of this
process with `tests.hub.client.pointed_at(hub, home)`.
"""

import secrets
import socket
import sys
import threading
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from tests.hub import uploads, wire
from tests.hub.answers import Answer, Asked, Refused, as_refusal
from tests.hub.faults import Fault, Faults
from tests.hub.store import Entry, Repository, Store, tampered
from tests.hub.xet import Cas


class _Server(ThreadingHTTPServer):
    """Closes the connections that clients keep alive, so no thread outlives it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler: type[wire.Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self.broken: list[BaseException | None] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what went wrong; a client that goes away in mid-answer is no fault."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.broken.append(error)

    def hang_up(self) -> None:
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was first


class Hub:
    """A Hub on 127.0.0.1 that holds its repositories under `folder`."""

    def __init__(self, folder: Path, *, xet: bool) -> None:
        self.xet = xet
        self.user = "loopback-user"
        self.token = f"hf_{secrets.token_hex(17)}"
        self.page_size = 1000
        "entries of a listing before it continues on another page"
        self.large_from = 10_000_000
        "bytes above which a file is large whatever its name"
        self.retry_after: int | None = 1
        "seconds that a 429 asks its client to wait; None: it does not say"
        self.foreign: dict[str, bytes] = {}
        "files that the other committer of a 412 adds or changes"
        self.store = Store(folder / "lfs")
        self.cas = Cas(folder / "cas")
        self.faults = Faults()
        self.requests: list[tuple[str, str, int]] = []
        "method, path without query, status (0: no whole answer was sent)"
        self.bytes_by_path: Counter[str] = Counter()
        "bytes of file bodies sent over HTTP, by path in the repository"
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        handler = type("BoundHandler", (wire.Handler,), {"hub": self})
        self._server = _Server(handler)
        port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{port}"
        self.storage = f"http://localhost:{port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
        if error is None and self._server.broken:
            raise RuntimeError("the loopback Hub has a bug") from self._server.broken[0]

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables that point a client of another process here."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": self.token,
            "HF_HOME": str(home),
            "HF_XET_CACHE": str(home / "xet"),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "0" if self.xet else "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }

    # What it was asked

    @property
    def bytes_served(self) -> int:
        """Bytes of file bodies sent over HTTP since the log was reset."""
        return sum(self.bytes_by_path.values())

    def reset_log(self) -> None:
        """Forget requests and bytes."""
        with self._guard:
            self.requests.clear()
            self.bytes_by_path.clear()

    def record(self, method: str, path: str, status: int) -> None:
        with self._guard:
            self.requests.append((method, path, status))

    def count_bytes(self, path: str, size: int) -> None:
        if path:
            with self._guard:
                self.bytes_by_path[path] += size

    # What goes wrong

    def fail(self, at: int, kind: str, *, times: int = 1, match: str = "") -> Fault:
        """Let the `at`-th request from now suffer a fault (see `faults`).

        Args:
            at: 1 is the next request.
            kind: One of `faults.KINDS`; "412" waits for a commit.
            times: Requests in a row that suffer it.
            match: Regular expression; only requests whose "METHOD /path" it finds
                are counted.
        """
        return self.faults.plan(at, kind, times, match)

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """Return the answer under a fault; one that breaks later is whole here."""
        if fault == "refused":
            return Answer(0)
        if fault == "503":
            return as_refusal(Refused(503, "", "Service Unavailable"))
        if fault == "401":
            message = "Invalid credentials in Authorization header"
            return as_refusal(Refused(401, "", message))
        if fault == "429":
            seconds = self.retry_after
            wait = {} if seconds is None else {"Retry-After": str(seconds)}
            return as_refusal(Refused(429, "", "Too Many Requests", wait))
        if fault == "412":
            return self._overtaken(asked)
        return wire.answer(self, asked)

    def _overtaken(self, asked: Asked) -> Answer:
        _, _, kinds, owner, name, _, branch = asked.path.split("/")
        try:
            home = self.store.get(kinds.removesuffix("s"), f"{owner}/{name}")
            made = self.commit_by_another(home.name, unquote(branch), kind=home.kind)
        except Refused as refused:
            return as_refusal(refused)
        return as_refusal(uploads.stale(home.commits[made]))

    # What it holds

    def repository(self, name: str, kind: str = "dataset") -> Repository:
        return self.store.get(kind, name)

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """Return the bytes of every file, read from storage and not from the wire."""
        tree = self.repository(name).resolve(revision).tree
        return {path: self.body_of(entry) for path, entry in tree.items()}

    def tags(self, name: str) -> dict[str, str]:
        """Return the commit of each tag."""
        return dict(self.repository(name).tags)

    def branches(self, name: str) -> dict[str, str]:
        """Return the commit of each branch."""
        return dict(self.repository(name).branches)

    def commits(self, name: str, revision: str = "main") -> list[str]:
        """Return the titles of a revision's commits, newest first."""
        return [commit.title for commit in self.repository(name).history(revision)]

    def commit_by_another(
        self, name: str, branch: str = "main", *, kind: str = "dataset"
    ) -> str:
        """Let somebody else commit `foreign` to a branch; return the commit."""
        with self.store.lock:
            home = self.repository(name, kind)
            return uploads.foreign_commit(home, branch, self.foreign).oid

    def overwrite(
        self,
        name: str,
        revision: str,
        path: str,
        data: bytes,
        *,
        keep_hashes: bool = True,
    ) -> None:
        """Change a file behind the Hub's back: the commit keeps its oid.

        With `keep_hashes` listings still claim the old size and hashes.
        """
        with self.store.lock:
            tree = self.repository(name).resolve(revision).tree
            tree[path] = tampered(tree[path], data, keep_hashes=keep_hashes)

    def has_body(self, sha256: str) -> bool:
        return self.store.body(sha256).exists() or self.cas.knows(sha256)

    def body_size(self, sha256: str) -> int:
        body = self.store.body(sha256)
        return body.stat().st_size if body.exists() else self.cas.size(sha256)

    def body_of(self, entry: Entry, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes that a file serves, or those from `start` to `stop`."""
        if entry.content is not None:
            return entry.content[start:stop]
        with self._stored(entry).open("rb") as file:
            file.seek(start)
            return file.read() if stop is None else file.read(stop - start)

    def length_of(self, entry: Entry) -> int:
        """Return how many bytes a file serves."""
        if entry.content is not None:
            return len(entry.content)
        return self._stored(entry).stat().st_size

    def _stored(self, entry: Entry) -> Path:
        assert entry.sha256 is not None
        body = self.store.body(entry.sha256)
        if not body.exists():
            self.cas.fetch(entry.sha256, body)
        return body

    def xet_hash(self, entry: Entry) -> str | None:
        """Return the Xet hash, which a tampered file loses with its bytes."""
        if entry.sha256 is None or entry.content is not None:
            return None
        return self.cas.hash_of(entry.sha256)
