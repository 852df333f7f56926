"""What the driver of the Ray executor makes of its workers' answers: a Ray of paper."""

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import __version__, attempts
from harness.checkout import commit
from harness.datasets import Source
from harness.device import Setting
from harness.errors import RuncastError
from harness.executors.crew import Crew
from harness.executors.events import Outcome
from harness.executors.ray.cluster import share_of_gpu
from harness.executors.ray.executor import RayExecutor
from harness.executors.ray.words import News, Order, Place
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, finished_ids

DONE = {
    "ending": "done",
    "statuses": ("completed",),
    "error": "",
    "kind": None,
    "spoiled": False,
}
Answer = Callable[[Order], dict | Exception]


class Lost(Exception):
    """The end of an actor, as Ray would raise it."""


class Paper:
    """A cluster whose actors answer at once, from a script.

    Args:
        work: Returns the files and the report for an order, or raises `Lost`.
        place: Where every actor says that it is.
    """

    def __init__(self, work: Callable[[Order], tuple[dict, dict]], place: Place):
        self.work, self.place = work, place
        self.nodes = {"id": place.host}
        self.found: list[str] = []
        self.claims = iter(("taken", "ours"))
        self.started: list[PaperActor] = []
        self.killed: list[PaperActor] = []
        errors = types.SimpleNamespace(
            RayError=Lost, ActorUnavailableError=type("Away", (Lost,), {})
        )
        self.ray = types.SimpleNamespace(
            wait=lambda calls, **_: (list(calls), []),
            get=lambda call: call.get(),
            kill=lambda actor, **_: self.killed.append(actor),
            get_actor=lambda name: self.started[0],
            exceptions=errors,
        )

    def start(self, kind, terms, driver, **_):
        self.started.append(PaperActor(self))
        return self.started[-1]

    def named(self, beginning):
        return self.found

    def kill(self, actor):
        self.killed.append(actor)

    def leave(self):
        return


class Call:
    """An answer that is there."""

    def __init__(self, answer):
        self.answer = answer

    def get(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class PaperActor:
    """Does what it is told within one question."""

    def __init__(self, cluster):
        self.cluster, self.number, self.place = cluster, 0, cluster.place
        self.busy = lambda: False
        self.held: tuple[str | None, dict, dict | None] = (None, {}, None)
        for name in ("enter", "adopt", "poll", "leave"):
            remote = types.SimpleNamespace(remote=getattr(self, f"_{name}"))
            setattr(self, name, remote)

    def _enter(self, token):
        return Call(self.place)

    def _adopt(self, driver, terms, token):
        return Call(next(self.cluster.claims))

    def _leave(self):
        return Call(None)

    def _poll(self, driver, received, order=None, *, stop=False):
        if received == self.number:
            self.held = (None, {}, None)
        if order is not None:
            try:
                self.held = (order.cohort, *self.cluster.work(order))
            except Lost as error:
                return Call(error)
        self.number += 1
        cohort, files, report = self.held
        if self.busy():
            files, report = {}, None
        return Call(
            News(
                number=self.number,
                cohort=cohort,
                share=0.5,
                beats=self.number,
                files=files,
                report=report,
            )
        )


def place(**changes) -> Place:
    known = {"version": __version__, "commit": commit(), "sends_back": True}
    return Place(**{"host": "far", "node": "id", "pid": 0} | known | changes)


@pytest.fixture
def planned(make_record, tmp_path) -> tuple[Crew, dict[str, RunRecord]]:
    """A folder with a plan of three cohorts of a run each, and the runs' records."""
    found = {f"c-{seed}": make_record(seed) for seed in range(3)}
    runs = [PlannedRun(r.config, r.config.run_id, c, ("g",)) for c, r in found.items()]
    folder = tmp_path / "corpus"
    for part in ("shards", "leases", "checkpoints", attempts.FOLDER):
        (folder / part).mkdir(parents=True)
    Plan(tuple(runs)).save(folder)
    crew = Crew(
        folder=folder,
        source=Source(None, tmp_path),
        devices=("cpu",),
        jobs=1,
        setting=Setting(device="cpu"),
    )
    return crew, found


def shard(record: RunRecord, place: Path) -> dict[str, bytes]:
    path = record.save(place)
    return {f"shards/{path.name}": path.read_bytes()}


def run(crew, cluster, cohorts):
    events = []
    outcome = RayExecutor(crew, cluster).run(
        cohorts, on_event=events.append, interrupted=lambda: False
    )
    return outcome, [(e.kind, e.cohort, e.reason) for e in events]


def test_records_that_come_back_are_committed_and_no_worker_stays(planned, tmp_path):
    crew, records = planned
    cluster = Paper(lambda o: (shard(records[o.cohort], tmp_path), DONE), place())
    outcome, events = run(crew, cluster, list(records))
    assert outcome is Outcome.DONE
    assert [e for e in events if e[0] == "done"] == [("done", c, None) for c in records]
    ids = {record.config.run_id for record in records.values()}
    assert finished_ids(crew.folder / "shards") == ids
    assert not list((crew.folder / "leases").iterdir())
    assert cluster.killed == cluster.started


def test_a_worker_whose_driver_has_just_died_is_waited_for_and_its_cohort_not_repeated(
    planned, tmp_path
):
    crew, records = planned
    asked = []

    def work(order):
        asked.append(order.cohort)
        return shard(records[order.cohort], tmp_path), DONE

    cluster = Paper(work, place())
    before = cluster.start(None, None, None)
    before.number = 57  # told to a driver before
    before.held = ("c-1", shard(records["c-1"], tmp_path), DONE)
    cluster.found = ["of-a-driver-before"]
    outcome, events = run(crew, cluster, list(records))
    assert outcome is Outcome.DONE
    assert sorted(events) == [("done", c, None) for c in records]
    assert asked == ["c-0", "c-2"]
    assert cluster.started == [before]  # no other was needed
    assert len(finished_ids(crew.folder / "shards")) == 3


def test_a_worker_that_is_lost_costs_one_attempt_at_its_own_cohort(planned, tmp_path):
    crew, records = planned
    asked = []

    def work(order):
        asked.append(order.cohort)
        if asked.count("c-1") == 1 and order.cohort == "c-1":
            raise Lost("its node has died")
        return shard(records[order.cohort], tmp_path), DONE

    outcome, events = run(crew, Paper(work, place()), list(records))
    assert outcome is Outcome.DONE
    assert ("retried", "c-1", "died") in events
    assert sorted(asked) == ["c-0", "c-1", "c-1", "c-2"]
    assert len(finished_ids(crew.folder / "shards")) == 3


def test_a_cohort_that_was_lost_on_a_node_goes_to_another(planned, tmp_path):
    crew, records = planned
    lost = []

    def fails(order):
        lost.append(order.cohort)
        raise Lost("its node is sick")

    def works(order):
        return shard(records[order.cohort], tmp_path), DONE

    class TwoNodes(Paper):
        def start(self, kind, terms, driver, **_):
            sound = len(self.started) == 1
            node = types.SimpleNamespace(
                work=works if sound else fails,
                place=place(node="sound" if sound else "sick"),
            )
            actor = PaperActor(node)
            if sound:
                actor.busy = lambda: len(lost) < 2  # it takes its time
            self.started.append(actor)
            return actor

    cluster = TwoNodes(works, place())
    two = dataclasses.replace(crew, jobs=2)
    outcome, events = run(two, cluster, list(records))
    assert outcome is Outcome.DONE
    assert lost == ["c-0", "c-2"]  # while c-1 was trained on the other node
    assert [e[2] for e in events if e[0] == "retried"] == ["died", "died"]
    assert len(finished_ids(crew.folder / "shards")) == 3


def test_what_is_damaged_on_its_way_is_asked_for_again_and_then_trained_again(
    planned, tmp_path
):
    crew, records = planned
    sent = []

    def work(order):
        files = shard(records[order.cohort], tmp_path)
        sent.append(order.cohort)
        if sent == ["c-0"]:
            files = {name: data[:-9] + b"x" + data[-8:] for name, data in files.items()}
        return files, DONE

    outcome, events = run(crew, Paper(work, place()), ["c-0"])
    assert outcome is Outcome.DONE
    assert [e[0] for e in events] == ["retried", "done"]
    assert sent == ["c-0", "c-0"]


def test_without_space_nothing_more_is_handed_out_and_results_stay_with_the_worker(
    planned, tmp_path
):
    crew, records = planned
    asked = []

    def work(order):
        asked.append(order.cohort)
        files = shard(records[order.cohort], tmp_path)
        (crew.folder / "shards").rmdir()
        (crew.folder / "shards").write_text("in the way")  # no file can be made there
        return files, DONE

    cluster = Paper(work, place())
    outcome, events = run(crew, cluster, list(records))
    assert outcome is Outcome.NO_SPACE
    assert asked == ["c-0"]
    assert events == [("no-space", "c-0", None)]
    assert cluster.killed == []  # the next driver fetches it
    assert not list((crew.folder / "leases").iterdir())


def test_workers_of_other_code_are_refused_by_name(planned):
    crew, records = planned
    cluster = Paper(lambda order: ({}, DONE), place(version="0.0.1"))
    with pytest.raises(RuncastError, match=r"far has runcast 0\.0\.1 .* every node"):
        run(crew, cluster, list(records))
    assert len(cluster.started) == 3
    assert set(cluster.killed) == set(cluster.started)


def test_a_worker_that_cannot_begin_leaves_its_cohort_to_others(planned):
    crew, records = planned
    unfit = {"ending": "unfit", "error": "ImportError: no torch here"}
    cluster = Paper(lambda order: ({}, unfit), place())
    with pytest.raises(RuncastError, match=r"(?s)3 workers on far .* no torch here"):
        run(crew, cluster, list(records))
    assert not list((crew.folder / "shards").iterdir())  # nothing is given up


@pytest.mark.parametrize(("jobs", "gpus"), [(1, 4), (3, 2), (7, 3), (24, 8), (5, 5)])
def test_the_share_of_a_gpu_lets_every_worker_find_room_on_one(jobs, gpus):
    share = share_of_gpu(jobs, gpus)
    assert gpus * int(1 / share + 1e-9) >= jobs
    assert 0 < share <= 1
