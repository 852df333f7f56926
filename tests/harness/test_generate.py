"""Progress, interruption and the building of tables."""

import os
import signal

import pytest

from harness.executors.events import Event
from harness.generate import TRAINING_SHARE, Progress, interruptible
from harness.spans import duration


def test_progress_weighs_cohorts_and_tells_the_time_left(monkeypatch):
    progress = Progress({"a": 3.0, "b": 1.0}, {"a": 2, "b": 2})
    assert progress.share == 0
    assert progress.seconds_left is None
    progress.update(Event("progress", "a", share=0.5))
    assert progress.share == pytest.approx(0.5 * TRAINING_SHARE * 3 / 4)
    progress.update(Event("done", "a", statuses=("completed", "diverged")))
    assert progress.share == pytest.approx(3 / 4)
    assert progress.counts == {"completed": 1, "diverged": 1}
    monkeypatch.setattr("time.monotonic", lambda: progress.started + 30.0)
    assert progress.seconds_left == pytest.approx(10.0)


def test_work_that_must_be_repeated_is_no_longer_done():
    progress = Progress({"a": 1.0}, {"a": 1})
    progress.update(Event("progress", "a", share=0.9))
    progress.update(Event("retried", "a", error="boom"))
    assert progress.share == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (7.4, "7 s"),
        (150, "2 min"),
        (3725, "1 h 2 min"),
        (3 * 86400, "3.0 days"),
    ],
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_the_first_signal_asks_and_the_second_breaks_off(number):
    before = signal.getsignal(number)
    with interruptible() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), number)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt, match="second signal"):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
