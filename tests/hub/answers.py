"""What the loopback Hub is asked and what it answers, without the wire between."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, unquote


class Refused(Exception):
    """A request that the Hub turns down, with the codes its client reads."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] = {}
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    "HTTP method"
    path: str
    "path without query, still quoted"
    query: str
    "what followed the question mark"
    headers: Message
    "headers; names in any case"
    body: bytes
    "the whole body"
    parts: Mapping[str, str] = field(default_factory=dict)
    "named groups of the route, still quoted"

    def part(self, name: str) -> str:
        """Return a named group of the route, unquoted."""
        return unquote(self.parts.get(name) or "")

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body or b"{}")

    def option(self, name: str, default: str = "") -> str:
        """Return a value of the query."""
        return parse_qs(self.query).get(name, [default])[0]


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int = 200
    "HTTP status"
    body: bytes = b""
    "the whole body; sent with its length only for HEAD"
    headers: Mapping[str, str] = field(default_factory=dict)
    "headers beside Content-Length"
    serves: str = ""
    "path of the repository file whose bytes the body holds"


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] = {}) -> Answer:
    """Return an answer with a JSON body."""
    body = json.dumps(value).encode()
    return Answer(status, body, {"Content-Type": "application/json", **headers})


def as_refusal(refused: Refused) -> Answer:
    """Return the answer of a request that was turned down."""
    headers = {"X-Error-Message": refused.message, **refused.headers}
    if refused.code:
        headers["X-Error-Code"] = refused.code
    return as_json({"error": refused.message}, refused.status, headers)
