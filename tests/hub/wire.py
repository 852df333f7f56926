"""The loopback Hub on the wire: reads requests, sends answers, breaks connections."""

import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from tests.hub import api, resolve, uploads, xet
from tests.hub.answers import Answer, Asked, Refused, as_refusal

if TYPE_CHECKING:
    from tests.hub.server import Hub

Route = Callable[["Hub", Asked], Answer]
HOME = r"/api/(?P<kinds>models|datasets|spaces)/(?P<owner>[^/]+)/(?P<name>[^/]+)"
PAGE = r"/(?P<kinds>datasets/|spaces/|)(?P<owner>[^/]+)/(?P<name>[^/]+)"
REV = r"/(?P<revision>[^/]+)"
PATH = r"/(?P<path>.+)"
LFS = r"\.git/info/lfs/"
PIECE = 1 << 16  # bytes
STORED = r"/_lfs/(?P<kinds>\w+)/(?P<owner>[^/]+)/(?P<name>[^/]+)"

# method, path, what it needs ("any", "read", "write"), function
ROUTES: list[tuple[str, re.Pattern[str], str, Route]] = [
    (method, re.compile(pattern + "$"), access, route)
    for method, pattern, access, route in [
        ("GET", "/api/whoami-v2", "write", api.whoami),
        ("POST", "/api/repos/create", "write", api.create),
        ("DELETE", "/api/repos/delete", "write", api.delete),
        ("POST", "/api/validate-yaml", "any", api.validate_yaml),
        ("PUT", r"/_lfs/objects/(?P<sha256>\w{64})", "any", uploads.put),
        ("GET", STORED + REV + PATH, "any", resolve.storage),
        ("POST", HOME + "/preupload" + REV, "write", uploads.preupload),
        ("POST", HOME + "/commit" + REV, "write", uploads.commit),
        ("POST", HOME + "/tag" + REV, "write", api.create_tag),
        ("DELETE", HOME + "/tag" + REV, "write", api.delete_tag),
        ("POST", HOME + "/branch" + REV, "write", api.create_branch),
        ("DELETE", HOME + "/branch" + REV, "write", api.delete_branch),
        ("GET", HOME + "/refs", "read", api.refs),
        ("GET", HOME + f"(/revision{REV})?", "read", api.info),
        ("GET", HOME + "/tree" + REV + f"({PATH})?", "read", api.tree),
        ("POST", HOME + "/paths-info" + REV, "read", api.paths_info),
        ("GET", HOME + "/commits" + REV, "read", api.commits),
        ("GET", HOME + "/xet-write-token" + REV, "write", xet.token),
        ("GET", HOME + "/xet-read-token" + REV, "read", xet.token),
        ("GET", PAGE + "/resolve" + REV + PATH, "read", resolve.resolve),
        ("POST", PAGE + LFS + "objects/batch", "write", uploads.batch),
        ("POST", PAGE + LFS + "verify", "write", uploads.verify),
    ]
]


def answer(hub: "Hub", asked: Asked) -> Answer:
    """Return what the Hub says to a request that suffers no fault."""
    method = "GET" if asked.method == "HEAD" else asked.method
    for expected, pattern, access, route in ROUTES:
        found = pattern.match(asked.path)
        if method != expected or found is None:
            continue
        asked = Asked(
            asked.method,
            asked.path,
            asked.query,
            asked.headers,
            asked.body,
            found.groupdict(),
        )
        try:
            admit(hub, asked, access)
            return route(hub, asked)
        except Refused as refused:
            return as_refusal(refused)
    return as_refusal(Refused(404, "", f"no route for {method} {asked.path}"))


def admit(hub: "Hub", asked: Asked, access: str) -> None:
    """Raise `Refused` if the request's token does not allow what it asks."""
    said = asked.headers.get("Authorization")
    if said is not None and said != f"Bearer {hub.token}":
        raise Refused(401, "", "Invalid credentials in Authorization header")
    if said is not None or access == "any":
        return
    if access == "write":
        raise Refused(401, "", "Invalid username or password.")
    # Who may not see a repository is not told whether it exists.
    kind = asked.part("kinds").rstrip("/").removesuffix("s") or "model"
    home = hub.store.repositories.get(
        (kind, f"{asked.part('owner')}/{asked.part('name')}")
    )
    if home is None or home.private:
        raise Refused(401, "RepoNotFound", "Invalid username or password.")


class Handler(BaseHTTPRequestHandler):
    """One connection; `hub` is set by the server that makes the class."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True
    hub: "Hub"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the Hub keeps its own log."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        asked = Asked(self.command, path, query, self.headers, self._body())
        if path == "/api/agent-harnesses":  # at most once a day, so never counted
            self._send(as_refusal(Refused(404, "", "none")))
            return
        fault = self.hub.faults.next(asked.method, path)
        said = self.hub.answer(asked, fault)
        silent = fault in ("refused", "dropped", "half")
        self.hub.record(asked.method, path, 0 if silent else said.status)
        if fault == "half":
            self._break_off(said)
        if silent:
            self.close_connection = True
            return
        self._send(said)

    def _send(self, said: Answer) -> None:
        self._head(said)
        if self.command != "HEAD":
            # In pieces, so that a client which hangs up is not counted to the end.
            for start in range(0, len(said.body), PIECE):
                piece = said.body[start : start + PIECE]
                self.hub.count_bytes(said.serves, len(piece))
                self.wfile.write(piece)
        self.wfile.flush()

    def _head(self, said: Answer) -> None:
        self.send_response(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()

    def _break_off(self, said: Answer) -> None:
        if self.command == "HEAD" or not said.body:
            self.wfile.write(f"HTTP/1.1 {said.status} OK\r\nContent-Le".encode())
        else:
            self._head(said)
            self.wfile.write(said.body[: len(said.body) // 2])
        self.wfile.flush()
