import numpy as np
import pytest

from harness.datasets.base import Array
from harness.ood import suite
from harness.ood.suite import SUITE, corrupt, kept

KEPT_AT_8 = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "snow",
    "fog",
    "brightness",
    "contrast",
    "jpeg_compression",
    "speckle_noise",
    "spatter",
)


def test_the_suite_has_15_corruptions_and_4_extra_at_5_severities() -> None:
    names = list(SUITE)
    assert len(names) == 19
    assert names[15:] == ["speckle_noise", "gaussian_blur", "spatter", "saturate"]
    assert all(len(what.constants) == 5 for what in SUITE.values())
    assert kept(3, 32) == tuple(names)
    assert kept(1, 32) == tuple(names[:18])


def mean_changes(images: Array, name: str) -> list[float]:
    """Mean absolute change in grey levels at severities 1 to 5."""
    corrupted = (corrupt(images, name, s).astype(float) for s in range(1, 6))
    return [float(np.abs(part - images).mean()) for part in corrupted]


@pytest.mark.parametrize("name", [n for n in SUITE if n != "saturate"])
def test_what_is_kept_of_digits_changes_them_more_with_severity(
    digit_images: Array, name: str
) -> None:
    changes = mean_changes(digit_images[:1000], name)
    ordered = changes[0] > 0 and all(np.diff(changes) > 0)
    assert ordered == (name in kept(1, 8))
    assert kept(1, 8) == kept(3, 8) == KEPT_AT_8


@pytest.mark.parametrize("name", SUITE)
def test_every_severity_changes_photographs(photos: Array, name: str) -> None:
    assert min(mean_changes(photos, name)) > 0.2


@pytest.mark.parametrize("name", SUITE)
def test_results_do_not_depend_on_chunks_or_later_images(
    photos: Array, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = corrupt(photos, name, 3)
    assert np.array_equal(whole, corrupt(photos, name, 3))
    assert np.array_equal(whole[:7], corrupt(photos[:7], name, 3))
    monkeypatch.setattr(suite, "CHUNK_VALUES", 4 * 3 * 32 * 32)
    assert np.array_equal(whole, corrupt(photos, name, 3))


@pytest.mark.parametrize("name", [n for n in SUITE if n != "saturate"])
@pytest.mark.parametrize("side", [8, 13, 28])
def test_grey_images_of_any_size_are_corrupted(
    photos: Array, name: str, side: int
) -> None:
    grey = np.ascontiguousarray(photos[:4, :1, :side, :side])
    for severity in (1, 5):
        got = corrupt(grey, name, severity)
        assert got.shape == grey.shape
        assert got.dtype == np.uint8


def test_wrong_arguments_are_named(photos: Array) -> None:
    with pytest.raises(KeyError, match=r"'blur' \(known: gaussian_noise"):
        corrupt(photos, "blur", 1)
    with pytest.raises(ValueError, match="severity is 0"):
        corrupt(photos, "fog", 0)
    with pytest.raises(ValueError, match="got float64"):
        corrupt(photos / 255, "fog", 1)
    with pytest.raises(ValueError, match=r"got uint8 \[30, 3, 32, 31\]"):
        corrupt(photos[..., :31], "fog", 1)
    with pytest.raises(ValueError, match="needs three channels, got 1"):
        corrupt(photos[:, :1], "saturate", 1)
