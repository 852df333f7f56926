"""Preview a built site on loopback."""

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def server(site: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of a site on 127.0.0.1; `serve_forever` starts it.

    Args:
        site: What `harness leaderboard build` wrote.
        port: 0: any that is free, see `server_address`.

    Raises:
        FileNotFoundError: There is no site.
        OSError: The port is taken.
    """
    if not (site / "index.html").is_file():
        raise FileNotFoundError(
            f"{site} has no index.html: make it with `harness leaderboard build --out "
            f"{site}`"
        )
    handler = functools.partial(_Quiet, directory=str(site))
    return ThreadingHTTPServer(("127.0.0.1", port), handler)
