"""Reads a corpus with whichever `datasets` runs this file, and prints digests as JSON.

    python reader.py FOLDER_OR_REPO [REVISION [CONFIGURATION ...]]

Needs nothing but `datasets` and what that needs: it runs in other environments too.
With HF_HUB_OFFLINE=1 nothing is streamed, and configurations have to be named: what
a repository has, and which is its default, `datasets` only knows online.
"""

import hashlib
import json
import math
import os
import struct
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

SOME = {"runs": ["run_id", "grids", "num_steps"], "curves": ["signal", "values"]}
"""Columns that are streamed alone, in the order of the files."""
SLICES = {"first": "train[:5]", "middle": "train[10%:20%]", "last": "train[-3:]"}


def digest(rows: Iterable[dict[str, Any]]) -> str:
    """Return a digest of rows: of names, types, values and order; a NaN is a NaN."""
    found = hashlib.sha256()
    for row in rows:
        for name, value in row.items():
            found.update(f"{name}={spelled(value)};".encode())
        found.update(b"\n")
    return found.hexdigest()


def spelled(value: Any) -> str:
    """Return one text for equal values, numbers by their bits."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return "[" + ",".join(spelled(one) for one in value) + "]"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else struct.pack(">d", value).hex()
    return repr(value)


def read(where: str, revision: str | None, *names: str) -> dict[str, Any]:
    """Return digests of every configuration, read in every way."""
    import datasets

    online = os.environ.get("HF_HUB_OFFLINE") != "1"
    at = {"path": where, "revision": revision}
    found: dict[str, Any] = {"version": datasets.__version__, "configs": {}}
    for name in names or datasets.get_dataset_config_names(**at):
        table = datasets.load_dataset(**at, name=name, split="train")
        rows = {"whole": digest(table), "num_rows": table.num_rows}
        if online:
            stream = datasets.load_dataset(
                **at, name=name, split="train", streaming=True
            )
            rows["streamed"] = digest(stream)
        found["configs"][name] = rows
    if online:
        found["default"] = digest(datasets.load_dataset(**at, split="train"))
    for name, columns in SOME.items() if online else ():
        some = datasets.load_dataset(
            **at, name=name, split="train", streaming=True, columns=columns
        )
        found["configs"][name]["columns"] = digest(some)
    for key, split in SLICES.items():
        part = datasets.load_dataset(**at, name="curves", split=split)
        found["configs"]["curves"][key] = digest(part)
    curves = datasets.load_dataset(**at, name="curves", split="train")
    arrays = list(curves.with_format("numpy", columns=["steps", "values"]))
    found["configs"]["curves"]["numpy"] = digest(arrays)
    found["kinds"] = sorted(
        {f"{k}:{v.dtype}" for row in arrays for k, v in row.items()}
    )
    return found


if __name__ == "__main__":
    given = sys.argv[1:] if sys.argv[2:] else [sys.argv[1], None]
    sys.stdout.write(json.dumps(read(*given)))
    sys.stdout.flush()
    # threads of pyarrow abort an interpreter that is shut down: apache/arrow#45214
    os._exit(0)
