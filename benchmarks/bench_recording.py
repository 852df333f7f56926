"""What recording loss, gradient norm and learning rate of every step costs.

The same loop with recording on and off, interleaved, for the digits profile's cohorts.
The gradient norm itself is computed either way: divergence is told by it.
Floor: two stores of S floats a step.
"""

import dataclasses
import os
import statistics
import sys
import time

import torch

from harness.datasets.source import find_source
from harness.executors.local import cpu_environment
from harness.feed import DeviceData
from harness.planning import PACK
from harness.profiles import digits
from harness.registry import DATASETS
from harness.spec import Recording
from harness.train import train

ROUNDS = 9


def main() -> None:
    """Print the overhead for each batch size of T-4."""
    torch.set_num_threads(1)
    profile = dataclasses.replace(digits(), epochs=20)
    part = profile.dataset.resolve(DATASETS)
    dataset = DATASETS.get(part.name)(find_source(), **part.params)
    data = DeviceData(dataset, torch.device("cpu"))
    recording = Recording(evals_per_epoch=1, train_subset=1)
    print("batch  microseconds a step off  on  overhead [quartiles]")
    for batch_size in (64, 128, 256):
        cohort = [
            dataclasses.replace(
                profile.run(batch_size=batch_size, seed=i), recording=recording
            ).resolve()
            for i in range(PACK)
        ]
        times: dict[bool, list[float]] = {True: [], False: []}
        for i in range(2 * ROUNDS + 2):
            on = i % 2 == 0
            start = time.process_time()
            records = train(cohort, data, record_steps=on)
            if i > 1:
                times[on].append(time.process_time() - start)
        assert records is not None
        steps = records[0].num_steps
        pairs = zip(times[True], times[False], strict=True)
        extra = sorted(on / off - 1 for on, off in pairs)
        off, on = (1e6 * statistics.median(times[k]) / steps for k in (False, True))
        print(
            f"{cohort[0].batch_size:5d}  {off:8.0f}  {on:8.0f}"
            f"  {statistics.median(extra):+.2%} [{extra[len(extra) // 4]:+.2%}, "
            f"{extra[3 * len(extra) // 4]:+.2%}]"
        )


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":  # as the harness starts its workers
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | cpu_environment(1)
        )
    main()
