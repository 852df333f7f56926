"""The T-4 grid on the digits profile and the smoke profile, as a user runs them.

Wall-clock seconds and peak memory of the command with all its workers (resident sets
added up every half second, so pages that processes share count more than once).
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def resident_mb(session: int) -> float:
    """Return the resident memory of a process and all its descendants, in MB."""
    parents, sizes = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(
                line.split(":", 1)
                for line in status.read_text().splitlines()
                if ":" in line
            )
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(fields["Pid"])
        parents[pid] = int(fields["PPid"])
        sizes[pid] = int(fields.get("VmRSS", "0 kB").split()[0]) / 1024

    def below(pid: int) -> bool:
        while pid > 1:
            if pid == session:
                return True
            pid = parents.get(pid, 0)
        return False

    return sum(size for pid, size in sizes.items() if below(pid))


def measure(*arguments: str) -> tuple[float, float, dict[str, object]]:
    """Run a command and return seconds, peak MB and its JSON answer."""
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [sys.executable, "-c", "from harness.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None:
        peak = max(peak, resident_mb(process.pid))
        time.sleep(0.5)
    seconds = time.perf_counter() - start
    assert process.stdout is not None
    return seconds, peak, json.loads(process.stdout.read())


def main() -> None:
    """Print one line a profile."""
    for profile in ("smoke", "digits"):
        with tempfile.TemporaryDirectory() as folder:
            options = ["--grid", "t4", "--profile", profile, "--out", folder, "--json"]
            seconds, peak, result = measure("generate", *options)
            verified, _, _ = measure("verify", folder, "--json")
        print(
            f"{profile}: {result['finished']} runs, {seconds:.0f} s, {peak:.0f} MB; "
            f"verified in {verified:.1f} s"
        )


if __name__ == "__main__":
    main()
