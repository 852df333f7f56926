import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_submissions import BOARD, kind_of, one, work
from leaderboard.intake.card import parse_card
from leaderboard.intake.csv_table import read_csv
from leaderboard.intake.parquet_table import read_parquet
from leaderboard.problems import CODES, Rejected

ASKED = BOARD.tasks["final-acc/w20"]
READERS = {
    "card": parse_card,
    "csv": lambda data: read_csv(data, ASKED, "x"),
    "parquet": lambda data: read_parquet(data, ASKED, "x"),
}


@pytest.mark.parametrize("kind", READERS)
@given(
    data=st.binary(max_size=200), head=st.sampled_from([b"", b"id,", b"PAR1", b"a="])
)
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_value_or_rejected(kind, data, head):
    tail = head if head == b"PAR1" else b""
    try:
        found = READERS[kind](head + data + tail)
    except Rejected as rejected:
        assert {problem.code for problem in rejected.problems} <= set(CODES)  # noqa: PT017
    else:
        assert found is not None


@pytest.mark.parametrize("kind", ["card", "csv", "parquet", "folder"])
@given(number=st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_what_was_in_order_and_is_damaged_is_a_value_or_rejected(kind, number):
    try:
        outcome = one(kind, number, seed=7)
    except Rejected as rejected:
        outcome = rejected.problems[0].code
    assert outcome in {*CODES, "taken"}


def test_the_benchmark_counts_every_input_once_and_finds_nothing():
    found = work((0, 120, 5))
    assert sum(found["counts"].values()) == 120
    assert found["wrong"] == []
    assert {kind_of(number, 5) for number in range(400)} == {"folder", *READERS}
