"""Reading from the Hub: the real client against a small server on this machine."""

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.datasets import load_images
from harness.datasets.hub import CIFAR100

SCRIPT = """
import dataclasses, pathlib, sys
from harness.datasets import Source, load_images
from harness.datasets.hub import CIFAR100
from harness.errors import DataError
small = dataclasses.replace(CIFAR100, train_rows=40, test_rows=20, validation_size=10)
try:
    for cache in map(pathlib.Path, sys.argv[1:]):
        print(load_images(small, Source(None, cache)).fingerprint)
except DataError as error:
    print("DataError:", error)
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers the tree listing and the files of one pinned revision."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.asked.append(path)
        tree = f"/api/datasets/{CIFAR100.repo}/tree/{CIFAR100.revision}"
        files = f"/datasets/{CIFAR100.repo}/resolve/{CIFAR100.revision}/"
        if path == tree:
            self.answer(json.dumps(self.listing()).encode(), "application/json")
        elif path.startswith(files):
            data = (self.folder / path.removeprefix(files)).read_bytes()
            self.answer(data, "application/octet-stream")
        else:
            self.send_error(404)

    def listing(self) -> list[dict]:
        files = [p for p in self.folder.rglob("*") if p.is_file()]
        return [
            {
                "type": "file",
                "oid": f"{index:040x}",
                "size": file.stat().st_size,
                "path": file.relative_to(self.folder).as_posix(),
            }
            for index, file in enumerate(files)
        ]

    def answer(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", CIFAR100.revision)
        self.send_header("ETag", f'"{len(data):040x}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def load(tmp_path):
    """Load the set in a process of its own; the client reads its settings once."""

    def run(*caches: str, endpoint: str = "http://127.0.0.1:9", offline: bool = True):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        settings = {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": str(int(offline)),
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *(tmp_path / cache for cache in caches)],
            env=kept | settings,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_a_set_is_fetched_at_its_pin_and_then_needs_no_network(
    load, shrink, source, tmp_path
):
    small = shrink(CIFAR100)
    expected = load_images(small, source).fingerprint
    Hub.folder, Hub.asked = source.data_dir / "cifar100", []
    (Hub.folder / "README.md").write_text("not needed")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        assert load("decoded", endpoint=endpoint, offline=False) == expected
    finally:
        server.shutdown()
        server.server_close()
    asked = {path for path in Hub.asked if "/resolve/" in path}
    assert {Path(path).name for path in asked} == {
        "train-00000-of-00001.parquet",
        "test-00000-of-00001.parquet",
    }
    # From the decoded arrays, and from the client's own cache.
    assert load("decoded", "elsewhere").split() == [expected] * 2
    assert any((tmp_path / "elsewhere").iterdir())


def test_without_mirror_and_network_the_message_says_how_to_mend_it(load):
    message = load("decoded")
    for part in (
        "DataError: cifar100 is in no local mirror (none is named)",
        "cifar100/cifar100/train-*.parquet and cifar100/test-*.parquet",
        "--data-dir",
        "RUNCAST_DATA_DIR",
        f"uoft-cs/cifar100 at {CIFAR100.revision} could not be fetched",
        "HF_HUB_OFFLINE",
    ):
        assert part in message
