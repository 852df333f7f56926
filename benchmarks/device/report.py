"""What was measured, on disk as soon as it is: results.json, table.md, figure.png."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.device.bench import Row, Spread
from harness.storage import write_text


class Report:
    """Tables of rows, written anew whenever one is added.

    Args:
        folder: Where the files go; made if it is not there.
        machine: What it was measured on.
    """

    def __init__(self, folder: Path, machine: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._machine = folder, dict(machine)
        self.tables: dict[str, dict[str, Any]] = {}

    def open(self, name: str, meaning: str) -> None:
        """Begin a table.

        Args:
            name: A word.
            meaning: What it shows, a sentence.
        """
        self.tables[name] = {"meaning": meaning, "rows": [], "status": "begun"}

    def add(self, name: str, row: Row) -> None:
        """Add a row."""
        self.tables[name]["rows"].append(row)
        self._write()

    def close(self, name: str, status: str, seconds: float) -> None:
        """End a table: "measured", or why not."""
        self.tables[name] |= {"status": status, "seconds": round(seconds, 1)}
        self._write()

    def _write(self) -> None:
        data = {"machine": self._machine, "tables": self.tables}
        text = json.dumps(_plain(data), indent=1)
        write_text(self._folder / "results.json", text + "\n")
        write_text(self._folder / "table.md", self.markdown())

    def markdown(self) -> str:
        """Return all tables as Markdown."""
        machine = "\n".join(f"- {k}: {v}" for k, v in self._machine.items())
        parts = [f"# Measured\n\n{machine}\n"]
        for name, table in self.tables.items():
            parts.append(f"## {name}\n\n{table['meaning']}\n")
            if table["rows"]:
                parts.append(markdown_table(table["rows"]))
            if table["status"] != "measured":
                parts.append(f"Status: {table['status']}\n")
        return "\n".join(parts)


def markdown_table(rows: list[Row]) -> str:
    """Return rows as a Markdown table; columns in the order of their appearance.

    Example:
        >>> print(markdown_table([{"what": "copy", "rate": 2.0}]), end="")
        | what | rate |
        | --- | ---: |
        | copy | 2 |
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    texts = {key: any(isinstance(row.get(key), str) for row in rows) for key in columns}
    lines = [
        columns,
        ["---" if texts[key] and key == columns[0] else "---:" for key in columns],
        *([cell(row.get(key, "")) for key in columns] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(value: Any) -> str:
    """Return a number with three digits, a spread as median [low, high].

    Example:
        >>> cell(0.012345), cell(1234567.0), cell(Spread(2.0, 1.0, 3.5))
        ('0.0123', '1,230,000', '2 [1, 3.5]')
    """
    if isinstance(value, Spread):
        return f"{cell(value.median)} [{cell(value.low)}, {cell(value.high)}]"
    if isinstance(value, float):
        if value and not 1e-4 <= abs(value) < 1e9:
            return f"{value:.3g}"
        rounded = float(f"{value:.3g}")
        return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"
    return str(value).replace("|", "\\|")


def _plain(value: Any) -> Any:
    """Return plain JSON data; a spread as an object."""
    if isinstance(value, Spread):
        return value._asdict()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
