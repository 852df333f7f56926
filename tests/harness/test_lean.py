"""What machines with little installed must do: plan, train, probe and write shards.

A child process may import the standard library and the few distributions named here,
with what these require; everything else is as if it were not installed.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from harness.corpus import Corpus
from harness.datasets.decode import fingerprint
from harness.datasets.hub import CIFAR10
from harness.generate import finish
from harness.record import RunRecord
from harness.registry import DATASETS, PROBES
from harness.verify import verify
from tests.harness.datasets.conftest import encode_image, make_split, save_split

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pyarrow", "pillow")

BLOCK = """
import json, sys
allowed = set(json.loads(sys.argv.pop(1))) | sys.stdlib_module_names

class Block:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"no module named {name!r} here", name=name)

sys.meta_path.insert(0, Block())
"""

PROFILE = """
import dataclasses
from harness.profiles import Profile, smoke
from harness.spec import Part

SMALL = {
    "gradient_noise": {"images": 32, "microbatch": 4},
    "hessian": {"images": 16, "probes": 2, "steps": 2},
    "gradient_autocorrelation": {"images": 16},
    "hessian_spectrum": {"images": 16, "probes": 2, "steps": 4, "top": 2},
    "sharpness": {"images": 16, "steps": 2, "starts": 1},
    "gradient_covariance": {"images": 16, "probes": 2, "steps": 8},
    "update_direction": {"window": 4},
}

def profile() -> Profile:
    base = smoke()
    return dataclasses.replace(
        base,
        name="lean",
        epochs=1,
        model=Part("mlp", {"width": 4}),
        probes=tuple(Part(name, SMALL[name]) for name in sorted(SMALL)),
        max_runs=None,
    )

def grid(base: Profile):
    return [base.run(optimizer="sgd"), base.run(optimizer="lion")]
"""


def requirements(names: tuple[str, ...]) -> set[str]:
    """Return the distributions with all that they require, normalised."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another platform
            continue
        found.add(name)
        left += [
            re.match(r"[\w.-]+", text)[0] for text in wanted if "extra ==" not in text
        ]
    return found


@pytest.fixture(scope="module")
def allowed() -> list[str]:
    """Names at the top of what a lean machine can import."""
    here = requirements(NEEDED)
    tops = [
        top
        for top, owners in metadata.packages_distributions().items()
        if here & {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}
    ]
    return ["harness", "lean_grid", *tops]


@pytest.fixture
def lean(allowed, tmp_path):
    """Run code in a child with little installed; return its output."""
    (tmp_path / "lean_grid.py").write_text(PROFILE)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNCAST", "HF_"))}
    environment = kept | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "RUNCAST_CACHE_DIR": str(tmp_path / "cache"),
    }

    def run(code: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", BLOCK + code, json.dumps(allowed), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_list_of_what_is_allowed_leaves_out_what_must_not_be_needed(allowed):
    assert {"torch", "torchvision", "sklearn", "scipy", "PIL", "pyarrow"} <= {*allowed}
    absent = {"polars", "datasets", "huggingface_hub", "typer", "rich", "matplotlib"}
    absent |= {"click", "pydantic", "platformdirs", "mlcroissant", "pandas", "ray"}
    assert not absent & {*allowed}


def test_what_is_not_allowed_cannot_be_imported(lean):
    code = """
for name in ("polars", "rich.console", "typer"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    assert lean(code).count("no module named") == 3


def test_a_grid_is_planned_trained_and_probed_and_its_shards_are_sound(lean, tmp_path):
    folder = tmp_path / "corpus"
    code = """
import runpy
from harness import registry
for kind in ("DATASETS", "OOD_SETS", "MODELS", "OPTIMIZERS", "SCHEDULES",
             "AUGMENTATIONS", "OBJECTIVES", "PROBES", "PROFILES", "GRIDS"):
    print(kind, *getattr(registry, kind).names())
import harness.executors.process, harness.executors.local, harness.estimate
runpy.run_module("harness.work", run_name="__main__")
"""
    wanted = ["--grid", "lean_grid:grid", "--profile", "lean_grid:profile"]
    out = lean(code, str(folder), *wanted, "--device", "cpu")
    assert "2 of 2 runs finished" in out
    there = dict(line.split(" ", 1) for line in out.splitlines())
    assert there["PROBES"].split() == PROBES.names()
    assert there["DATASETS"].split() == DATASETS.names()
    records = [RunRecord.load(path) for path in (folder / "shards").glob("r-*")]
    assert [record.status for record in records] == ["completed"] * 2
    for record in records:
        probed = {part.name for part in record.config.probes}
        assert probed == set(PROBES.names())
        assert {signal.probe for signal in record.signals} - {None, ""} == probed
        assert {cell.severity for cell in record.ood} == {1, 5}
    finish(folder)
    assert verify(folder) == []
    runs = Corpus.open(folder).runs()
    assert sorted(runs["run_id"]) == sorted(r.config.run_id for r in records)


def test_encoded_images_of_a_mirror_are_decoded(lean, tmp_path):
    mirror = tmp_path / "mirror"
    small = {"train_rows": 40, "test_rows": 20, "validation_size": 10}
    code = """
import dataclasses, pathlib
from harness.datasets import Source
from harness.datasets.decode import fingerprint
from harness.datasets.hub import CIFAR10
from harness.datasets.images import load_arrays
small, mirror = json.loads(sys.argv[1]), pathlib.Path(sys.argv[2])
hub_set = dataclasses.replace(CIFAR10, **small)
print(fingerprint(load_arrays(hub_set, Source(mirror, mirror.parent / "cache"))))
"""
    expected = {}
    hub_set = dataclasses.replace(CIFAR10, **small)
    for split in ("train", "test"):
        pixels, labels = make_split(hub_set, split)
        images = [encode_image(image, "PNG") for image in pixels]
        save_split(mirror / "cifar10", hub_set, split, images, labels.tolist())
        expected |= {f"{split}_inputs": pixels, f"{split}_labels": labels}
    assert expected["test_labels"].dtype == np.int64
    out = lean(code, json.dumps(small), str(mirror))
    assert out.strip() == fingerprint(expected)
