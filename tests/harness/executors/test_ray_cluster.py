"""Joining a Ray cluster: what is no address, and where nobody listens."""

import os
import socket
import subprocess
import sys

import pytest

from harness.errors import RuncastError
from harness.executors.ray.cluster import Cluster
from tests.conftest import ROOT

LIBRARY = """
import os
AT_IMPORT = os.environ.get("RAY_AUTH_MODE")
def init(**_):
    print(AT_IMPORT)
"""


@pytest.mark.parametrize("address", ["node1", ":6379", "node1:", "node1:x", "a:65536"])
def test_what_is_no_address_is_refused_before_anything_is_started(address):
    told = rf"joined at {address} \(expected HOST:PORT, such as 10\.0\.0\.1:6379\)"
    with pytest.raises(RuncastError, match=told):
        Cluster.join(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_at_which_nobody_listens_is_told_with_what_to_start(host):
    with socket.socket() as taken:  # bound, so nobody else can; not listening
        taken.bind(("127.0.0.1", 0))
        address = f"{host}:{taken.getsockname()[1]}"
        told = rf"joined at {address} \(.*refused\): start one with `ray start --head`"
        with pytest.raises(RuncastError, match=told):
            Cluster.join(address)


def test_a_name_that_no_machine_has_is_told():
    told = r"joined at no-such\.invalid:6379 \(.*\): start one"
    with pytest.raises(RuncastError, match=told):
        Cluster.join("no-such.invalid:6379")


def test_a_cluster_that_asks_for_a_token_is_told_of_it_before_ray_is_loaded(tmp_path):
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text(LIBRARY)
    (tmp_path / "ray" / "util.py").touch()
    join = "import sys; from harness.executors.ray.cluster import Cluster\n"
    join += "Cluster.join(sys.argv[1])"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = subprocess.run(
            [sys.executable, "-c", join, f"127.0.0.1:{listening.getsockname()[1]}"],
            env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
            | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "RAY_AUTH_TOKEN": "0" * 64},
            capture_output=True,
            text=True,
        )
    assert (done.returncode, done.stdout) == (0, "token\n"), done.stderr
