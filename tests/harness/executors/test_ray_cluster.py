"""Joining a Ray cluster: what is no address, and where nobody listens."""

import socket

import pytest

from harness.errors import RuncastError
from harness.executors.ray.cluster import Cluster


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
