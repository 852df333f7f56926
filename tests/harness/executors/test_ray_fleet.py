"""Which workers the Ray executor's driver starts, keeps and lets go: on paper."""

import itertools
import os

import pytest

import harness.executors.ray.fleet
from harness import held_for
from harness.errors import RuncastError
from harness.executors.events import Outcome
from harness.executors.ray.executor import IDLE_S, TURN_S
from harness.executors.ray.fleet import Fleet
from harness.executors.ray.member import GONE_S
from harness.executors.ray.words import DRIVER_S
from harness.held_for import Held, Process
from harness.record import finished_ids
from tests.harness.executors.test_ray_driver import (
    DONE,
    Lost,
    Paper,
    place,
    planned,
    run,
    shard,
)

__all__ = ["planned"]  # a fixture


@pytest.fixture
def fleet(planned, monkeypatch) -> Fleet:
    """Workers for as many cohorts as their cluster has room for, told each time."""
    monkeypatch.setattr(harness.executors.ray.fleet, "GROW_S", 0.0)
    cluster = Paper(lambda order: ({}, DONE), place())
    return Fleet(planned[0], cluster, elastic=True, tuned={})


def grow(fleet: Fleet, room: int) -> int:
    """Let ten cohorts wait; return how many workers there are then."""
    fleet._cluster.room = lambda device, threads: room
    fleet.grow(10)
    return len(fleet.members)


def test_a_worker_of_other_code_ends_its_cohort_before_it_goes(planned, tmp_path):
    crew, records = planned
    asked = []

    def work(order):
        asked.append(order.cohort)
        return shard(records[order.cohort], tmp_path), DONE

    cluster = Paper(work, place())
    cluster.claims = itertools.chain(["other"], itertools.repeat("stranger"))
    before = cluster.start(None, None, None)
    before.number, before.place = 57, place(commit="before-the-edit", pid=1)
    before.held = ("c-1", shard(records["c-1"], tmp_path), DONE)
    cluster.found = ["of-a-driver-before"]
    outcome, events = run(crew, cluster, list(records))
    assert outcome is Outcome.DONE
    assert sorted(events) == [("done", c, None) for c in records]
    assert asked == ["c-0", "c-2"]
    assert cluster.killed[0] is before
    assert len(finished_ids(crew.folder / "shards")) == 3


def test_a_start_that_succeeds_ends_the_row_of_those_that_failed(fleet):
    assert grow(fleet, 4) == 4
    fleet.greet(fleet.members[0], place())
    for member in fleet.members[1:]:
        fleet.failed_start(member, "no such Python")
    assert grow(fleet, 4) == 3  # one less after three failures in a row
    fleet.greet(fleet.members[1], place())
    assert grow(fleet, 4) == 4


def test_failed_starts_on_a_node_that_has_left_hinder_no_others(fleet):
    fleet._cluster.nodes = {"id": "far", "bad": "near"}
    assert grow(fleet, 8) == 8
    fleet.greet(fleet.members[0], place())
    for member in fleet.members[1:7]:
        fleet.greet(member, place(node="bad", host="near"))
        fleet.failed_start(member, "ImportError: no torch here")
    assert grow(fleet, 8) == 4
    fleet._cluster.nodes = {"id": "far"}
    assert grow(fleet, 8) == 8


def test_where_none_is_left_and_none_may_be_started_the_driver_says_so(fleet):
    assert grow(fleet, 8) == 8
    good, *others = fleet.members
    fleet.greet(good, place())
    for member in others[:6]:
        fleet.failed_start(member, "no such Python")
    for member in (others[6], good):
        fleet.drop(member)
    fleet._cluster.room = lambda device, threads: 4  # nodes have left
    fleet.grow(0)
    assert fleet.members == []
    told = r"(?s)of 4 none may be started .* the last said:\nno such Python"
    with pytest.raises(RuncastError, match=told):
        grow(fleet, 4)


def test_workers_found_again_that_are_gone_at_once_are_no_failed_starts(
    planned, tmp_path
):
    crew, records = planned
    work = {c: shard(record, tmp_path) for c, record in records.items()}
    cluster = Paper(lambda order: (work[order.cohort], DONE), place())
    cluster.claims = itertools.chain(["ours"] * 3, itertools.repeat("stranger"))
    for _ in range(3):
        cluster.start(None, None, None).place = Lost("its node has died")
    cluster.ray.get_actor = lambda name: cluster.started[int(name)]
    cluster.found = ["0", "1", "2"]
    outcome, events = run(crew, cluster, list(records))
    assert outcome is Outcome.DONE
    assert sorted(events) == [("done", c, None) for c in records]


def test_a_driver_notes_for_whom_it_holds_claims_as_long_as_it_lives(fleet):
    assert grow(fleet, 3) == 3
    for pid, member in enumerate(fleet.members):
        fleet.greet(member, place(pid=pid, sends_back=pid > 0))
        member.cohort = f"c-{pid}" if pid < 2 else None
    fleet.look()
    folder = fleet._crew.folder
    held = Held("c-1", Process(fleet.host, os.getpid()))
    assert held_for.read(folder) == {held: Process("far", 1)}
    fleet.close()
    assert held_for.read(folder) == {}


def test_an_idle_worker_hears_of_its_driver_before_another_may_take_it_over():
    assert IDLE_S + GONE_S + TURN_S < DRIVER_S
