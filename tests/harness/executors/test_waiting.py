"""The queue of cohorts: order, retries, cohorts held elsewhere."""

from harness.executors import waiting
from harness.executors.waiting import MAX_ATTEMPTS, Waiting

DONE = {"ending": "done", "statuses": ["completed", "diverged"], "error": ""}
BUSY = {"ending": "busy", "statuses": [], "error": ""}
FAILED = {"ending": "failed", "statuses": [], "error": "boom"}


def test_cohorts_are_handed_out_in_order_and_once():
    queue = Waiting(["a", "b"])
    assert [queue.take(), queue.take(), queue.take()] == ["a", "b", None]
    assert not queue


def test_a_finished_cohort_becomes_an_event_with_its_statuses():
    queue = Waiting(["a"])
    event = queue.after_report(queue.take(), DONE)
    assert (event.kind, event.cohort) == ("done", "a")
    assert event.statuses == ("completed", "diverged")


def test_a_failed_cohort_comes_again_behind_the_others_and_at_most_thrice():
    queue = Waiting(["a", "b"])
    kinds = []
    while (cohort := queue.take()) is not None:
        report = FAILED if cohort == "a" else DONE
        kinds.append((cohort, queue.after_report(cohort, report).kind))
    assert kinds == [
        ("a", "retried"),
        ("b", "done"),
        ("a", "retried"),
        ("a", "failed"),
    ]
    assert sum(cohort == "a" for cohort, _ in kinds) == MAX_ATTEMPTS


def test_a_cohort_held_elsewhere_waits_without_counting_as_a_failure(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    queue = Waiting(["a"])
    for _ in range(10):
        assert queue.after_report(queue.take(), BUSY) is None
        assert queue
        assert queue.take() is None
        now[0] += waiting.BUSY_WAIT_S + 0.1
    assert queue.take() == "a"
