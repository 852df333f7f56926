import pytest

from harness.schema import SIGNALS, WINDOW_EDGES, segment_of


@pytest.mark.parametrize("num_steps", [1, 7, 100, 240, 999, 19_550])
def test_segment_of_agrees_with_exact_fractions(num_steps):
    from fractions import Fraction

    for step in range(num_steps + 1):
        share = Fraction(100 * step, num_steps)
        expected = sum(share > edge for edge in WINDOW_EDGES)
        assert segment_of(step, num_steps) == expected


def test_the_last_step_belongs_to_the_last_segment():
    assert segment_of(3, 3) == len(WINDOW_EDGES) - 1


def test_every_signal_is_described_once():
    assert len({signal.name for signal in SIGNALS}) == len(SIGNALS)
    assert all(signal.meaning and signal.unit and signal.range for signal in SIGNALS)
