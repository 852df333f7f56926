"""The overall table as CSV that no spreadsheet takes for formulas."""

from typing import Final

import polars as pl

from leaderboard.ranking.standing import Standing

FORMULA: Final = tuple("=+-@\t\r\0\uff1d\uff0b\uff0d\uff20")
"""What begins a formula in a spreadsheet, also full-width (CWE-1236)."""


def overall_csv(standing: Standing) -> str:
    """Return the overall table of all pools as CSV.

    A text that a spreadsheet would take for a formula begins with an apostrophe
    (CWE-1236); numbers stay numbers and are read back as they were.
    """
    board = standing.board
    about = {one.name: one for one in standing.entrants}

    def texts(name: str) -> dict[str, str]:
        one = about.get(name)
        return {
            "submitted": (one.submitted or "") if one else "",
            "code": one.submission.about.code if one else "",
            "submission_sha256": one.sha256 if one else "",
        }

    table = standing.overall
    more = [texts(name) for name in table["name"]]
    shape = {name: pl.String for name in texts("")}
    table = pl.concat([table, pl.DataFrame(more, schema=shape)], how="horizontal")
    table = table.select(
        pl.lit(board.name).alias("board"),
        pl.lit(board.version).alias("corpus_version"),
        pl.lit(board.sha256).alias("corpus_sha256"),
        pl.all(),
    )
    safe = pl.col(pl.String).map_elements(escaped, return_dtype=pl.String)
    return table.with_columns(safe).write_csv(quote_style="non_numeric")


def escaped(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    Example:
        >>> escaped("=1+1"), escaped("forest")
        ("'=1+1", 'forest')
    """
    return f"'{text}" if text.startswith(FORMULA) else text
