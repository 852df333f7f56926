import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from harness.datasets import Source, area_resize
from harness.registry import DATASETS

COUNTS = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
"""Images of each class in scikit-learn's description of the set."""


@pytest.fixture(scope="module")
def digits_source(tmp_path_factory):
    return Source(None, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def digits(digits_source):
    return lambda **arguments: DATASETS.get("digits")(digits_source, **arguments)


def test_the_parts_hold_every_digit_once_and_are_stratified(digits):
    data = digits()
    parts = (data.train, data.validation, data.test)
    assert [len(p) for p in parts] == [512, 256, 1029]
    bunch = load_digits()
    stored = {
        (label, *image)
        for image, label in zip(
            bunch.data.astype(int).tolist(), bunch.target.tolist(), strict=True
        )
    }
    loaded = {
        (label, *((image.astype(int).ravel() * 16 + 127) // 255).tolist())
        for part in parts
        for image, label in zip(part.inputs, part.labels.tolist(), strict=True)
    }
    assert loaded == stored
    for part in parts:
        counts = np.bincount(part.labels, minlength=10)
        assert np.abs(counts - COUNTS * len(part) / 1797).max() <= 1


def test_values_are_sixteenths_rounded_half_up(digits):
    data = digits()
    assert data.in_shape == (1, 8, 8)
    assert data.train.inputs.dtype == np.uint8
    sixteenths = {int(255 * v / 16 + 0.5) for v in range(17)}
    assert set(np.unique(data.test.inputs).tolist()) == sixteenths
    assert {0, 128, 255} <= sixteenths


@pytest.mark.parametrize("resolution", [4, 6])
def test_lower_resolutions_are_area_averages_of_the_same_images(digits, resolution):
    full, small = digits(), digits(resolution=resolution)
    for part in ("train", "validation", "test"):
        expected = area_resize(getattr(full, part).inputs, resolution)
        assert np.array_equal(getattr(small, part).inputs, expected)
        assert np.array_equal(getattr(small, part).labels, getattr(full, part).labels)


def test_a_subset_changes_the_training_part_alone(digits):
    whole, small = digits(), digits(subset=100)
    assert len(small.train) == 100
    images = {image.tobytes() for image in whole.train.inputs}
    assert all(image.tobytes() in images for image in small.train.inputs)
    assert np.array_equal(small.test.inputs, whole.test.inputs)
    assert np.array_equal(small.validation.inputs, whole.validation.inputs)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"resolution": 5}, r"resolution is 5, expected one of \(4, 6, 8\)"),
        ({"train_size": 1600}, "cannot be cut from 1797"),
        ({"subset": 513}, "from 1 to 512"),
    ],
)
def test_arguments_out_of_range_are_refused(digits, argument, message):
    with pytest.raises(ValueError, match=message):
        digits(**argument)


def test_the_digits_are_the_same_in_every_release(digits):
    assert digits().fingerprint == "3476cbffbd5293a2"


def test_a_cached_copy_spares_the_import_of_scikit_learn(digits, digits_source):
    digits()
    script = (
        "import sys, pathlib\n"
        "from harness.datasets import Source\n"
        "from harness.registry import DATASETS\n"
        "DATASETS.get('digits')(Source(None, pathlib.Path(sys.argv[1])))\n"
        "heavy = {'sklearn', 'torch', 'PIL', 'huggingface_hub', 'scipy'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    command = [sys.executable, "-c", script, str(digits_source.cache_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
