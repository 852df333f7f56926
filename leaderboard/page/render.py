"""The static site: one folder of page, scripts and data that works from anywhere.

Every text that a submission brought is escaped here, or travels as JSON and is shown as
text by the scripts.
"""

import hashlib
import importlib.resources
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import jinja2

from harness.storage import replacing, write_text

STYLE_HASHES: Final = ()
"""Hashes of inline styles that the content policy allows, such as "'sha256-...'"."""
SCRIPT_SUFFIX: Final = ".js"
FIRST_SCRIPT: Final = "js/data.js"
"""Defines the namespace; the others add to it, in the order of `ORDER`."""
HEAD_SCRIPT: Final = "js/theme.js"
"""Runs before the first paint; the template names it."""
ORDER: Final = (
    FIRST_SCRIPT,
    "js/dom.js",
    "js/format.js",
    "js/bar.js",
    "js/parts.js",
    "js/controls.js",
    "js/charts.js",
)
"""Scripts that others need at load time."""
LAST_SCRIPT: Final = "js/main.js"
"""Starts the page."""
NONE: Final = "\N{EN DASH}"
WIDTH: Final = 100.0
"""Of the drawing of a skill, in its own units."""
Data = Mapping[str, Any]


class Bar(NamedTuple):
    """Where a skill is drawn, in units of `WIDTH`."""

    point: float
    """The skill."""
    zero: float
    """Skill 0."""
    start: float | None
    """Low end of the interval."""
    width: float | None
    """Of the interval."""


def policy() -> str:
    """Return the content policy of the page: its own files, and nothing else."""
    style = " ".join(("'self'", *STYLE_HASHES))
    return (
        f"default-src 'none'; script-src 'self'; style-src {style}; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def render_site(
    out: Path,
    site: Data,
    boards: Mapping[str, Data],
    tasks: Mapping[str, Mapping[str, Data]],
    downloads: Mapping[str, Mapping[str, bytes]],
) -> None:
    """Write the site; `index.html` comes last, so that it never names absent files.

    What else lies in `out`, such as the explorer's tables, stays.

    Args:
        out: Folder, made if there is none.
        site: Title, versions and boards, in the order that the page shows.
        boards: Entries, ranks and pairs of each board; pairs go to a file of their own.
        tasks: Scores of each board's tasks, by board and task.
        downloads: Content of files by board and ending, such as "csv".

    Raises:
        ValueError: There is no board, one that `site` names is missing, or a number is
            not finite.
        StorageError: A file could not be written.
    """
    names = [board["name"] for board in site["boards"]]
    if not names or set(names) != set(boards):
        raise ValueError(
            f"site names the boards {names}, but there is data of {sorted(boards)}: "
            "give at least one, and the same in both"
        )
    for path, content in _files(site, boards, tasks, downloads):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(out / path) as temporary:
            temporary.write_bytes(content)
    page = index_html(site, [boards[name] for name in names], downloads)
    write_text(out / "index.html", page)


def index_html(
    site: Data, boards: Sequence[Data], downloads: Mapping[str, Mapping[str, bytes]]
) -> str:
    """Return the page, with the table of the first board in it.

    Args:
        site: Title and versions.
        boards: In the order that the page shows; the first is the one it opens.
        downloads: As in `render_site`.
    """
    static = sorted(path for path, _ in _static())
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            site=site,
            boards=boards,
            first=boards[0],
            example={"task": _example(boards[0])},
            files=list(_listed(downloads)),
            policy=policy(),
            sheets=[path for path in static if path.endswith(".css")],
            scripts=_scripts(static, boards[0]["name"]),
        )
    )


def _example(board: Data) -> str:
    """Return the task that the page "Submit a predictor" takes for its example."""
    names: list[str] = [task["name"] for task in board["tasks"]]
    return next((name for name in names if name.startswith("final-acc/")), names[0])


def script(key: str, value: object) -> str:
    r"""Return a data file: a call that hands over a value, safe inside any page.

    The value is JSON in a string, since an object literal would take the name
    "__proto__" for an order. `<`, U+2028 and U+2029 are escaped.

    Raises:
        ValueError: A number is not finite.

    Example:
        >>> script("a", {"b": "</script>"})
        'runcast.data("a", JSON.parse("{\\"b\\":\\"\\u003c/script>\\"}"));\n'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    literal = json.dumps(text).replace("<", "\\u003c")
    return f"runcast.data({json.dumps(key)}, JSON.parse({literal}));\n"


def slug(task: str) -> str:
    """Return a task's name as a file name: "final-acc/w20" is "final-acc--w20"."""
    return task.replace("/", "--")


def _files(
    site: Data,
    boards: Mapping[str, Data],
    tasks: Mapping[str, Mapping[str, Data]],
    downloads: Mapping[str, Mapping[str, bytes]],
) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file but the page."""
    yield from ((path, file.read_bytes()) for path, file in _static())
    yield "data/site.js", script("site", site).encode()
    for name, board in boards.items():
        rest = {key: value for key, value in board.items() if key != "pairs"}
        folder = f"data/{name}"
        yield f"{folder}/board.js", script(f"board/{name}", rest).encode()
        yield f"{folder}/pairs.js", script(f"pairs/{name}", board["pairs"]).encode()
        for task, scores in tasks[name].items():
            path = f"{folder}/tasks/{slug(task)}.js"
            yield path, script(f"task/{name}/{task}", scores).encode()
    for name, files in downloads.items():
        for ending, content in files.items():
            yield f"downloads/{name}.{ending}", content


def _static() -> Iterator[tuple[str, Traversable]]:
    """Yield path below `static` and file of styles, scripts and vendored bundles."""
    waiting = [("", importlib.resources.files("leaderboard") / "static")]
    while waiting:
        path, folder = waiting.pop()
        for child in folder.iterdir():
            if child.is_dir():
                waiting.append((f"{path}{child.name}/", child))
            elif child.is_file():
                yield f"{path}{child.name}", child


def _scripts(static: Sequence[str], first: str) -> list[str]:
    """Return the scripts in the order they run; the page opens the first board."""
    own = [p for p in static if p.startswith("js/") and p.endswith(SCRIPT_SUFFIX)]
    ends = (*ORDER, HEAD_SCRIPT, LAST_SCRIPT)
    views = [path for path in own if path not in ends]
    data = ["data/site.js", f"data/{first}/board.js"]
    return [FIRST_SCRIPT, *data, *ORDER[1:], *views, LAST_SCRIPT]


def _listed(downloads: Mapping[str, Mapping[str, bytes]]) -> Iterator[dict[str, str]]:
    for board, files in downloads.items():
        for ending, content in files.items():
            yield {
                "name": f"{board}.{ending}",
                "board": board,
                "size": f"{max(1, round(len(content) / 1000)):,} kB",
                "sha256": hashlib.sha256(content).hexdigest(),
            }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("leaderboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": _shown,
        "encoded": lambda name: quote(name, safe="!'()*-._~"),
        "skill_bars": _skill_bars,
    }
    return environment


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return NONE
    text = {
        "skill": lambda v: f"{v:.3f}",
        "percent": lambda v: f"{100 * v:.0f}\N{NO-BREAK SPACE}%",
        "bare": lambda v: f"{100 * v:.0f}",
        "rank": lambda v: f"{v:.1f}",
    }[unit](value)
    return text.replace("-", "\N{MINUS SIGN}")


def _skill_bars(board: Data) -> list[tuple[Data, Data, Bar]]:
    """Return row, entry and drawing of the widest pool, as `bar.js` draws them."""
    rows = board["pools"]["settings"]
    entries = {entry["name"]: entry for entry in board["entries"]}
    ends = [end for row in rows for end in row["skill"] if end is not None]
    low, high = max(-1.0, min([0.0, *ends])), min(1.0, max([0.1, *ends]))

    def place(value: float) -> float:
        share = min(max((value - low) / (high - low), 0.02), 0.98)
        return float(round(share * WIDTH, 1))

    def bar(value: float, start: float | None, end: float | None) -> Bar:
        if start is None or end is None:
            return Bar(place(value), place(0), None, None)
        width = round(max(place(end) - place(start), 1.0), 1)
        return Bar(place(value), place(0), place(start), width)

    return [(row, entries[row["name"]], bar(*row["skill"])) for row in rows]
