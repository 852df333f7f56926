"""Parting from a Ray cluster on which ways to train were tried: on paper."""

import types
from collections.abc import Callable

import pytest
import torch

from harness.datasets import Source
from harness.device import Setting
from harness.executors.crew import Crew
from harness.site import RaySite
from harness.tuning import untuned


class Paper:
    """A cluster of one GPU whose only actor answers by what it is asked.

    Args:
        answers: What each question returns, or raises.
        free: Whether its GPU is.
    """

    def __init__(self, answers: dict[str, Callable], *, free: bool = True) -> None:
        self.address, self.nodes = "paper:1", {"id": "far"}
        self.room = lambda device, threads: 1
        self.devices = lambda asked: ("cuda",)
        self.did: list[str] = []
        self._answers = {"ready": lambda: None} | answers
        self.ray = types.SimpleNamespace(
            wait=lambda calls, **_: (calls, []) if free else ([], calls),
            get=lambda call: call(),
            exceptions=types.SimpleNamespace(RayError=LookupError),
        )

    def start(self, *_, **__):
        self.did.append("start")
        questions = {
            name: types.SimpleNamespace(remote=lambda *_, answer=answer: answer)
            for name, answer in self._answers.items()
        }
        return types.SimpleNamespace(**questions)

    def kill(self, actor):
        self.did.append("kill")

    def leave(self):
        self.did.append("leave")


def interrupted(*_):
    raise KeyboardInterrupt


def asked():
    raise AssertionError("it was asked, and would answer when the trial has ended")


@pytest.fixture
def joined(tmp_path) -> Callable:
    """A function that joins a cluster: the site, and who tries ways to train there."""

    def site(cluster: Paper):
        found = RaySite(cluster, device=None, jobs=1, threads=1)
        setting = Setting(device="cuda", execution="auto")
        return found, found.scout(setting, Source(None, tmp_path))

    return site


def test_a_trial_that_is_broken_off_is_not_waited_for(joined, make_record):
    cluster = Paper({"choice": interrupted, "tuned": asked})
    site, scout = joined(cluster)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        scout.choice(make_record(0).config)
    site.close()
    assert cluster.did == ["start", "kill", "leave"]


def test_a_cluster_is_left_though_the_end_of_its_actor_fails(joined, make_record):
    cluster = Paper({"choice": lambda *_: ("graph", 2)})
    site, scout = joined(cluster)
    assert scout.choice(make_record(0).config) == ("graph", 2)

    def kill(actor):
        raise ConnectionError("the cluster is gone")

    cluster.kill = kill
    with pytest.raises(ConnectionError, match=r"the cluster is gone"):
        site.close()
    assert cluster.did == ["start", "leave"]


def test_where_no_gpu_is_free_to_try_on_training_begins_all_the_same(
    joined, make_record, tmp_path
):
    cluster = Paper({"tuned": asked}, free=False)
    site, scout = joined(cluster)
    config = make_record(0).config
    usual = untuned(config, torch.device("cuda"))
    assert [scout.choice(config), scout.choice(config)] == [usual, usual]
    crew = Crew(
        folder=tmp_path,
        source=Source(None, tmp_path),
        devices=("cuda",),
        jobs=1,
        setting=Setting(device="cuda"),
    )
    site.executor(crew)
    assert cluster.did == ["start", "kill"]
