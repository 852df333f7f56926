"""A worker process of the local executor without torch, which does as it is told.

Started as `python scripted.py SCRIPT FOLDER SETTING`. The script, as JSON, names for a
device what each process that is started there does, the last one for ever; where it
names nothing, a process reports every cohort as done, once the file `gate` is there.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

DONE = {"ending": "done", "statuses": ["completed"], "error": "", "kind": None}
BROKEN = {"ending": "failed", "statuses": [], "error": "lost", "kind": "device"}


def main() -> None:
    script, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "cpu")
    begun = folder / f"begun-{device}"
    with begun.open("a") as file:
        file.write(f"{os.getpid()}\n")
    parts = script.get(device, ["work"])
    number = len(begun.read_text().split())
    part = parts[min(number, len(parts)) - 1]
    if part == "refuse":
        sys.exit(1)
    if part == "die":
        os.kill(os.getpid(), signal.SIGTERM)
    if part == "hang":
        signal.pause()
    say({"ready": True})
    for line in sys.stdin:
        if json.loads(line).get("stop"):
            break
        report(part, folder)


def report(part: str, folder: Path) -> None:
    if part == "spoil":
        say(BROKEN | {"spoiled": True})
    elif part == "babble":
        sys.stdout.write("no message\n")
        sys.stdout.flush()
    else:
        while not (folder / "gate").exists():
            time.sleep(0.01)
        say(DONE | {"spoiled": False})


def say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
