"""How large a submission may be, and what reading it may cost."""

from typing import Final

FILE_BYTES: Final = 50_000_000
"""Of one file."""
SUBMISSION_BYTES: Final = 200_000_000
"""Of all files of a submission."""
FILES: Final = 1000
"""Entries of a submission's folders, all together."""
CARD_BYTES: Final = 64 * 1024
"""Of `submission.toml`."""
DEPTH: Final = 8
"""Of folders, and of tables within tables of the card."""
KEYS: Final = 64
"""Of one table of the card."""
ITEMS: Final = 256
"""Of one list of the card."""
FOOTER_BYTES: Final = 1_000_000
"""Of a Parquet file's footer."""
ROW_GROUPS: Final = 1024
"""Of a Parquet file."""
CELL_CHARS: Final = 300
"""Of a text in a table, such as the reason for declining."""
BLOCK_BYTES: Final = 1 << 20
"""Of a CSV file that is read at once; no row is longer."""
MEMORY_BYTES: Final = 512 * 2**20
"""Resident memory of the process that reads a submission."""
CPU_S: Final = 10
"""Processor time of reading a submission."""
WALL_S: Final = 30
"""Seconds of reading a submission, on a machine that has other things to do."""
RESULT_BYTES: Final = 500_000_000
"""Of a file that the process writes."""


def rows_read(asked: int) -> int:
    """Return how many rows of a table are looked at, to say which are too many.

    A table with more is refused unread. Accepted are as many as were asked for.
    """
    return 2 * asked + 1000
