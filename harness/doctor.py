"""Look at the machine before a grid is started: what is there, what is missing, why.

Nothing is written but a probe file a folder, and nothing is fetched. torch is looked at
in a process of its own, so that a broken installation is a finding and not a crash.
"""

import dataclasses
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.datasets.base import Source
from harness.datasets.hub import HUB_SETS, HubSet, hub_files, mirror_files
from harness.datasets.source import DATA_DIR_VARIABLE, find_source
from harness.errors import DataError

LOWEST_PYTHON: Final = (3, 11)
LITTLE_DISK: Final = 2 * 10**9
"""Bytes; a grid of the plan writes less than this."""
LITTLE_MEMORY: Final = 2 * 10**9
"""Bytes; two workers on digits need about 1 GB."""
TORCH_TIMEOUT_S: Final = 120.0

_LOOK_AT_TORCH: Final = """
import json, torch
found = {"torch": torch.__version__, "devices": []}
if torch.cuda.is_available():
    for i in range(torch.cuda.device_count()):
        p = torch.cuda.get_device_properties(i)
        found["devices"].append(f"{p.name}, {p.total_memory / 2**30:.0f} GiB")
found["built_for_cuda"] = torch.version.cuda
print(json.dumps(found), flush=True)
"""
_LOOK_AT_TORCHVISION: Final = """
import torchvision
from torchvision.transforms import v2
print(torchvision.__version__)
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    """What was looked at."""
    ok: bool
    """Whether a grid can be trained as far as this goes."""
    detail: str
    """What was found."""
    mend: str = ""
    """What to do, if anything."""


def checks(*folders: Path, data_dir: Path | None = None) -> list[Check]:
    """Look at everything that training and recording need.

    Args:
        folders: Corpus folders to be written; they need not exist yet.
        data_dir: Local mirror of data sets, as given to `harness generate`.
    """
    try:
        source = find_source(data_dir)
        mirror = Check("mirror", True, _mirror_detail(source))
    except DataError as error:
        source = dataclasses.replace(find_source(Path.cwd()), data_dir=None)
        mirror = Check("mirror", False, str(error), f"mend {DATA_DIR_VARIABLE}")
    return [
        _python(),
        *_torch(),
        _cores(),
        _memory(),
        *(_folder("corpus folder", folder) for folder in folders),
        _folder("cache folder", source.cache_dir, "or set RUNCAST_CACHE_DIR"),
        _folder("temporary folder", Path(tempfile.gettempdir()), "or set TMPDIR"),
        mirror,
        *_data_sets(source),
        *_hub(),
    ]


def checks_text(found: list[Check]) -> str:
    """Return the findings as text, a line each and a line for what to do."""
    width = max(len(check.name) for check in found)
    lines = []
    for check in found:
        mark = "ok" if check.ok else "!!"
        lines.append(f"{mark}  {check.name:{width}}  {check.detail}")
        if check.mend:
            lines.append(f"    {'':{width}}  -> {check.mend}")
    return "\n".join(lines)


def _python() -> Check:
    ok = sys.version_info >= LOWEST_PYTHON
    detail = f"{platform.python_version()} at {sys.executable}"
    lowest = ".".join(map(str, LOWEST_PYTHON))
    return Check(
        "python", ok, detail, "" if ok else f"install Python {lowest} or later"
    )


def _torch() -> Iterator[Check]:
    """Yield what child processes say that import torch and torchvision."""
    done = _child(_LOOK_AT_TORCH)
    if done.returncode:
        detail = f"cannot be imported: {_last_line(done.stderr)}"
        yield Check("torch", False, detail, "pip install --force-reinstall torch")
        return
    found = json.loads(done.stdout)
    yield Check("torch", True, found["torch"])
    yield torchvision_check(_child(_LOOK_AT_TORCHVISION), found["torch"])
    yield _cuda(found)


def torchvision_check(
    done: "subprocess.CompletedProcess[str]", torch_version: str
) -> Check:
    """Judge a process that imported torchvision and printed its version."""
    if not done.returncode:
        return Check("torchvision", True, done.stdout.strip())
    detail = f"cannot be imported: {_last_line(done.stderr)}"
    mend = "pip install --force-reinstall torchvision"
    if "torchvision::nms" in done.stderr:
        detail = (
            f"was built for another torch than {torch_version} (operator "
            "torchvision::nms does not exist)"
        )
        mend = "install torch and torchvision in one command, from one index"
    return Check("torchvision", False, detail, mend)


def _cuda(found: dict[str, Any]) -> Check:
    if found["devices"]:
        return Check("cuda", True, "; ".join(found["devices"]))
    if shutil.which("nvidia-smi") is None:
        return Check("cuda", True, "no device: grids run on the processor")
    built = found["built_for_cuda"]
    detail = f"nvidia-smi is there but torch sees no device (built for CUDA {built})"
    mend = "update the driver, install a CUDA build of torch, or mend "
    return Check("cuda", built is None, detail, f"{mend}CUDA_VISIBLE_DEVICES")


def _cores() -> Check:
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return Check("cores", True, f"{allowed} of {os.cpu_count()} may be used")


def _memory() -> Check:
    try:
        pages = {k: os.sysconf(f"SC_{k}PHYS_PAGES") for k in ("", "AV")}
        size = os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return Check("memory", True, "unknown on this platform")
    total, free = pages[""] * size, pages["AV"] * size
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    ok = total >= LITTLE_MEMORY
    detail = f"{_size(total)}, {_size(min(free, total))} unused"
    return Check("memory", ok, detail, "" if ok else "train with --jobs 1")


def _folder(name: str, folder: Path, otherwise: str = "or name another") -> Check:
    """Check that a folder can be written, by writing, and has room."""
    place = folder.resolve()
    while not place.exists():  # made when needed, if its parent allows
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".tmp-") as probe:
            probe.write(b"0")
            probe.flush()
        free = shutil.disk_usage(place).free
    except OSError as error:
        mend = f"mend the permissions, make room, {otherwise}"
        return Check(name, False, f"{folder}: {error.strerror or error}", mend)
    ok = free >= LITTLE_DISK
    mend = "" if ok else f"make room, {otherwise}"
    return Check(name, ok, f"{folder}, {_size(free)} free", mend)


def _mirror_detail(source: Source) -> str:
    if source.data_dir is None:
        return f"none named ({DATA_DIR_VARIABLE} or --data-dir): the Hub is asked"
    return str(source.data_dir)


def _data_sets(source: Source) -> Iterator[Check]:
    """Yield where each image set is; a missing one is no fault of the machine."""
    yield Check("data digits", True, "comes with scikit-learn")
    for hub_set in HUB_SETS:
        try:
            where, mend = _where(hub_set, source), ""
        except DataError as error:
            yield Check(
                f"data {hub_set.name}", False, str(error), "complete the folder"
            )
            continue
        if where is None:
            where = "not on this machine"
            mend = f"put it into the mirror, or let {hub_set.repo} be fetched"
            if hub_set.repo is None:
                mend = "put it into the mirror: it is not on the Hub"
        yield Check(f"data {hub_set.name}", True, where, mend)


def _where(hub_set: HubSet, source: Source) -> str | None:
    """Return where a set is found without asking the Hub."""
    if mirror_files(hub_set, source) is not None:
        return "in the mirror"
    if hub_set.repo is None:
        return None
    try:
        hub_files(hub_set, dataclasses.replace(source, data_dir=None, fetch=False))
    except DataError:
        return None
    return "in the Hub client's cache"


def _hub() -> Iterator[Check]:
    from huggingface_hub import constants, get_token

    offline = constants.HF_HUB_OFFLINE
    detail = "HF_HUB_OFFLINE is set: nothing is fetched" if offline else "may be asked"
    yield Check("hub", True, f"{detail}; client's cache {constants.HF_HUB_CACHE}")
    has_token = get_token() is not None
    detail = "present" if has_token else "none: needed only to publish"
    yield Check("hub token", True, detail)
    missing = [m for m in ("ray",) if importlib.util.find_spec(m) is None]
    detail = "not installed: needed only for --executor ray" if missing else "installed"
    yield Check("ray", True, detail)


def _child(code: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TORCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        late = f"no answer after {TORCH_TIMEOUT_S:.0f} s"
        return subprocess.CompletedProcess(command, 1, "", late)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
