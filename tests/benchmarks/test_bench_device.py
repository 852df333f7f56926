import dataclasses
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.device.bench import SIZES, Bench, Spread, ratios, synthetic
from benchmarks.device.command import TABLES, Table, measure
from benchmarks.device.epochs import waits
from benchmarks.device.report import Report, cell, markdown_table
from benchmarks.device.signals import covered, kernel_shares
from benchmarks.plain_recipe import InMemory, PlainRecipe, training_transform
from harness.executors.local import cpu_environment
from harness.seeds import stream

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "bench_device.py"
LEAN = """
import runpy, sys
script, *sys.argv[1:] = sys.argv[1:]
for name in ("polars", "typer", "rich", "matplotlib", "datasets", "sklearn"):
    sys.modules[name] = None
runpy.run_path(script, run_name="__main__")
"""


def command(*arguments, code=None):
    """Run the command as a user would; return what it printed."""
    start = ["-c", code, str(SCRIPT)] if code else [str(SCRIPT)]
    done = subprocess.run(
        [sys.executable, *start, "--device", "cpu", "--size", "tiny", *arguments],
        env=os.environ | cpu_environment(1),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def bench():
    size = SIZES["tiny"]
    return Bench(torch.device("cpu"), size, "resnet9", synthetic(size.images))


def test_a_table_has_every_column_of_every_row_and_three_digits():
    rows = [{"what": "copy", "rate": 1234567.0}, {"what": "x|y", "s": 0.012345}]
    assert markdown_table(rows).splitlines() == [
        "| what | rate | s |",
        "| --- | ---: | ---: |",
        "| copy | 1,230,000 |  |",
        "| x\\|y |  | 0.0123 |",
    ]
    assert cell(Spread(2.0, 1.0, 3.5)) == "2 [1, 3.5]"
    assert cell(7.88e14) == "7.88e+14"
    assert cell(0) == "0"


def test_ratios_are_taken_round_by_round():
    assert ratios([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == Spread(2.0, 1.0, 3.0)


def test_covered_is_the_length_of_the_union():
    ends = np.sort(stream(0, "test").integers(0, 60, (2, 12)), axis=0)
    spans = [*zip(*ends.tolist(), strict=True)]
    seconds = {t for start, end in spans for t in range(start, end)}
    assert covered(spans) == len(seconds)
    assert 0 < len(seconds) < 60


def test_kernels_are_summed_and_the_time_without_any_is_told():
    def event(name, start, end, device="CUDA"):
        span = SimpleNamespace(start=start, end=end, elapsed_us=lambda: end - start)
        kind = SimpleNamespace(name=device)
        return SimpleNamespace(name=name, device_type=kind, time_range=span)

    seen = [event("gemm", 10, 16), event("add", 14, 18), event("gemm", 28, 30)]
    host = [event("launch", 0, 100, "CPU")]
    rows = {row["kernel"]: row for row in kernel_shares(host + seen, 2, cuda=True)}
    assert rows["gemm"]["us an update"] == 4
    assert rows["gemm"]["share"] == pytest.approx(8 / 12)
    assert rows["gemm"]["calls an update"] == 1
    idle = rows["idle, of the time from first to last"]
    assert (idle["us an update"], idle["share"]) == (5, pytest.approx(0.5))
    with pytest.raises(RuntimeError, match=r"the profiler saw no kernel: is CUPTI"):
        next(kernel_shares(host, 2, cuda=True))


def test_waits_for_the_device_are_counted_by_line():
    text = "called a synchronizing CUDA operation (Triggered internally)"
    mode = "Synchronization debug mode does not detect all synchronizing operations"
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for line in (3, 7, 3):
            warnings.warn_explicit(text, UserWarning, "feed.py", line)
        warnings.warn_explicit(mode, UserWarning, "cuda.py", 1)
    assert waits(seen) == {"count": 3, "where": "feed.py:3 (2), feed.py:7 (1)"}
    assert waits([]) == {"count": 0, "where": ""}


def test_a_failure_is_reported_and_does_not_stop_the_others(bench, tmp_path):
    def breaks(bench):
        yield {"what": "before"}
        raise ArithmeticError("a reason")

    report = Report(tmp_path, {"device": "none"})
    good = Table("good", "", lambda bench: iter([{"what": Spread(1.0, 1.0, 1.0)}]), 0)
    assert not measure(Table("bad", "", breaks, 0), bench, report)
    assert measure(good, bench, report)
    tables = json.loads((tmp_path / "results.json").read_text())["tables"]
    assert tables["bad"]["rows"] == [{"what": "before"}]
    assert "ArithmeticError: a reason" in tables["bad"]["status"]
    assert tables["good"]["status"] == "measured"
    assert tables["good"]["rows"] == [{"what": {"median": 1, "low": 1, "high": 1}}]
    text = (tmp_path / "table.md").read_text()
    assert "a reason" in text
    assert "| 1 [1, 1] |" in text


def test_no_table_is_begun_without_the_time_for_it(tmp_path):
    size = dataclasses.replace(SIZES["tiny"], budget_s=0.0)
    late = Bench(torch.device("cpu"), size, "resnet9", synthetic(size.images))
    report = Report(tmp_path, {})
    begun = []
    table = Table("late", "", lambda bench: iter([begun.append(1)]), 5)
    assert measure(table, late, report)
    assert report.tables["late"]["status"] == "left out: 0 s of the budget left"
    assert not begun


def test_synthetic_images_have_no_zeros_and_no_two_splits_alike():
    dataset = synthetic((20, 10, 10))
    assert dataset.in_shape == (3, 32, 32)
    assert dataset.train.inputs.min() == 1
    assert dataset.train.inputs.max() == 255
    assert not np.array_equal(dataset.validation.inputs, dataset.test.inputs)


def test_the_loader_holds_the_images_as_torchvision_does():
    images = stream(0, "test").integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    plain = InMemory(images, np.arange(4), None)
    image, label = plain[2]
    assert np.array_equal(np.asarray(image).transpose(2, 0, 1), images[2])
    assert (len(plain), label) == (4, 2)
    ready, _ = InMemory(images, np.arange(4), training_transform(32))[1]
    assert ready.shape == (3, 32, 32)
    assert ready.dtype == torch.float32


def test_the_plain_step_is_the_textbook_step():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images, labels = torch.randn(5, 3, 2, 2), torch.tensor([0, 1, 2, 1, 0])
    weight, bias = (p.detach().clone().double() for p in net.parameters())
    x, hot = images.flatten(1).double(), F.one_hot(labels).double()
    logits = x @ weight.T + bias
    error = (logits.softmax(1) - hot) / 5
    slope = error.T @ x + 5e-4 * weight
    recipe = PlainRecipe(net, 0.1, amp=False)
    expected = -(logits.log_softmax(1) * hot).sum(1).mean()
    assert recipe.step(images, labels).item() == pytest.approx(expected.item())
    # the first step of Nesterov's: the gradient and 0.9 of it as momentum
    moved = net[1].weight.detach().double()
    assert torch.allclose(moved, weight - 0.19 * slope, atol=1e-6)
    loss, correct = recipe.evaluate(images, labels, 2)
    after = net(images).double()
    assert loss == pytest.approx(F.cross_entropy(after, labels).item())
    assert correct == after.argmax(1).eq(labels).sum()


@pytest.mark.slow
def test_the_command_measures_everything_and_ours_computes_what_the_peer_does(tmp_path):
    names = [table.name for table in TABLES if table.name != "compiled"]
    arguments = ("--model", "resnet9", "--only", ",".join(names))
    printed = command(*arguments, "--out", str(tmp_path))
    found = json.loads((tmp_path / "results.json").read_text())["tables"]
    assert {name: t["status"] for name, t in found.items()} == dict.fromkeys(
        names, "measured"
    )
    gaps = [row["relative difference"] for row in found["agreement"]["rows"]]
    assert len(gaps) == 4
    assert max(gaps) < 1e-4
    (gap,) = (
        row["relative difference"]
        for row in found["curvature"]["rows"]
        if row["relative difference"] != ""
    )
    assert gap < 1e-4
    for row in found["steps"]["rows"]:
        assert row["images/s"] == pytest.approx(row["batch"] / row["ms"] * 1000)
        own = row["x plain float32"]
        assert 0 < own["low"] <= own["median"] <= own["high"]
    accounts = {row["what"]: row for row in found["whole run"]["rows"]}
    spent = [row["50 epochs s"] for row in accounts.values() if "share" in row]
    parts = spent[: [*accounts].index("in all")]
    assert accounts["in all"]["50 epochs s"] == pytest.approx(sum(parts))
    sums = {row["what"]: row["s a run"] for row in found["grid"]["rows"]}
    assert sums.pop("in all") == pytest.approx(sum([*sums.values()][:3]))
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    for name in names:
        assert re.search(rf"^## {name} \(", printed, re.MULTILINE)
        assert f"\n## {name}\n" in (tmp_path / "table.md").read_text()


@pytest.mark.slow
def test_without_matplotlib_table_and_numbers_are_written_and_it_says_so(tmp_path):
    out = command("--only", "ceilings,steps", "--out", str(tmp_path), code=LEAN)
    assert "no figure" in out
    assert "images/s" in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "figure.png").exists()
