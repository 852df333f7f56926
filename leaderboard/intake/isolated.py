"""Read a stranger's folder in a process that may fail, and has little to fail with.

The process is started anew (no fork), knows no environment variable of its parent,
imports nothing from the current folder, and answers in JSON and Parquet.
"""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import polars as pl

from harness.spec import Part
from harness.storage import read_parquet, write_parquet
from leaderboard.boards import Asked, Board
from leaderboard.intake.card import parse_card
from leaderboard.intake.files import read_folder
from leaderboard.intake.limits import CPU_S, MEMORY_BYTES, RESULT_BYTES, WALL_S
from leaderboard.intake.validate import Valid, validate
from leaderboard.problems import Problem, Rejected
from tasks.base import Task, Visibility
from tasks.submission import CARD

START_S: Final = 60
"""Seconds that starting Python and importing may take beside."""
EXAMPLES: Final = "asked-{}.parquet"
TABLE: Final = "table-{}.parquet"
ASK: Final = "ask.json"
ANSWER: Final = "answer.json"
READING: Final = "reading"
"""File that names what is being read, a line a file."""
ENVIRONMENT: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""A thread reserves memory that it never uses."""


def validate_isolated(folder: Path, board: Board) -> Valid:
    """Return a submission that answers what a board asks, read under limits.

    What the reading process does, crash, hang, or run out of memory, is a problem of
    the submission and none of the caller's.

    Args:
        folder: The submission.
        board: What is asked.

    Raises:
        Rejected: Something is wrong with the submission, or reading it took more than
            `leaderboard.intake.limits` allow.

    Cost: beside `validate`, two seconds for a process and its imports.
    """
    with tempfile.TemporaryDirectory(prefix="runcast-") as name:
        desk = Path(name)
        _put(board, desk)
        code = _started(folder.absolute(), desk)
        answer = _answer(desk) if code == 0 else None
        if answer is None:
            raise Rejected([_breach(code, desk)])
        if problems := answer["problems"]:
            raise Rejected([_problem(found) for found in problems])
        tables = {
            task: pl.DataFrame(read_parquet(desk / TABLE.format(number)))
            for number, task in enumerate(answer["tasks"])
        }
        return Valid(
            submission=parse_card(answer["card"].encode()),
            tables=tables,
            sha256=answer["sha256"],
            notes=tuple(answer["notes"]),
        )


def _started(folder: Path, desk: Path) -> int | None:
    """Return how the reading process ended; None: it had to be stopped."""
    places = os.pathsep.join(path for path in sys.path if path)
    program = [sys.executable, "-P", "-m", "leaderboard.intake.isolated"]
    try:
        ended = subprocess.run(
            [*program, str(folder), str(desk)],
            env=ENVIRONMENT | {"PYTHONPATH": places},
            cwd=desk,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_S + WALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return ended.returncode


def _answer(desk: Path) -> dict[str, Any] | None:
    path = desk / ANSWER
    if not path.is_file():
        return None
    answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return answer


def _breach(code: int | None, desk: Path) -> Problem:
    """Return what is said of a submission that could not be read within the limits.

    Raises:
        RuntimeError: The process did not even begin: this is no fault of the folder.
    """
    path = desk / READING
    lines = path.read_text(encoding="utf-8").split() if path.is_file() else []
    if not lines:
        raise RuntimeError(
            f"the process that reads submissions ended with {code} before it read "
            "anything: is `python -m leaderboard.intake.isolated` able to start?"
        )
    limits = (
        f"{MEMORY_BYTES >> 20} MB of memory, {CPU_S} s of a processor and {WALL_S} s"
    )
    how = "was stopped" if code is None or code < 0 else "gave up"
    return Problem(
        code="too_large",
        where=lines[-1],
        what=f"reading it {how}: it takes more than {limits}, or is damaged",
        mend="write it again, as plain and small as the documentation shows",
    )


def _problem(found: dict[str, Any]) -> Problem:
    return Problem(**found | {"rows": tuple(found["rows"])})


def _put(board: Board, desk: Path) -> None:
    """Write a board for the reading process."""
    tasks = []
    for number, asked in enumerate(board.tasks.values()):
        data = dataclasses.asdict(asked.task)
        data |= {key: _pair(getattr(asked.task, key)) for key in ("target", "split")}
        tasks.append(data)
        write_parquet(desk / EXAMPLES.format(number), asked.examples.to_arrow())
    fields = ("name", "corpus", "version", "sha256", "hidden")
    ask = {key: getattr(board, key) for key in fields} | {"tasks": tasks}
    (desk / ASK).write_text(json.dumps(ask), encoding="utf-8")


def _pair(part: Part) -> tuple[str, dict[str, Any]]:
    return part.name, part.params


def _got(desk: Path) -> Board:
    """Return the board that `_put` wrote."""
    ask = json.loads((desk / ASK).read_text(encoding="utf-8"))
    tasks = {}
    for number, data in enumerate(ask.pop("tasks")):
        seen = {k: _tuple(v) for k, v in data.pop("visibility").items()}
        fields: dict[str, Any] = {key: _tuple(value) for key, value in data.items()}
        fields |= {key: Part(*data[key]) for key in ("target", "split")}
        task = Task(visibility=Visibility(**seen), **fields)
        examples = pl.DataFrame(read_parquet(desk / EXAMPLES.format(number)))
        tasks[task.name] = Asked(task=task, examples=examples)
    return Board(tasks=tasks, **ask)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _address_space() -> int | None:
    """Return the bytes of address space that may be reserved; None: not bounded.

    The system bounds address space, of which libraries reserve far more than they use:
    allowed is what is reserved now, and as much again as memory may grow. Other systems
    than Linux bound none; there time and the size of files are the limits.
    """
    path = Path("/proc/self/statm")
    if not path.exists():
        return None
    reserved, used = map(int, path.read_text(encoding="ascii").split()[:2])
    size = resource.getpagesize()
    return reserved * size + max(MEMORY_BYTES - used * size, 0)


def _limited() -> None:
    """Leave this process what reading may cost, counted from now."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    pl.DataFrame({"id": ["a"]}).sort("id")  # threads and pools before the count
    memory = _address_space()
    spent = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(spent.ru_utime + spent.ru_stime) + 1 + CPU_S
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, RESULT_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ):
        if limit is not None:
            resource.setrlimit(kind, (limit, limit))
    signal.setitimer(signal.ITIMER_REAL, WALL_S)  # not handled: the process is ended


def read(folder: Path, desk: Path) -> None:
    """Check a folder against the board that lies on a desk; leave the answer there."""
    board = _got(desk)
    handle = os.open(desk / READING, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    _limited()

    def reading(where: str) -> None:
        os.write(handle, f"{where}\n".encode())

    reading(CARD)
    answer: dict[str, Any] = {"problems": []}
    try:
        files = read_folder(folder)
        valid = validate(files, board, reading)
    except Rejected as rejected:
        answer["problems"] = [dataclasses.asdict(one) for one in rejected.problems]
    else:
        answer |= {
            "tasks": list(valid.tables),
            "card": files[CARD].decode("utf-8"),
            "sha256": valid.sha256,
            "notes": valid.notes,
        }
        for number, table in enumerate(valid.tables.values()):
            write_parquet(desk / TABLE.format(number), table.to_arrow())
    (desk / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    read(Path(sys.argv[1]), Path(sys.argv[2]))
