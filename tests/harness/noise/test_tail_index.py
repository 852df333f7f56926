"""The tail index, against laws whose index is known and the published artefacts."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from harness.noise.gradient_moments import gradient_moments
from harness.noise.tail_index import (
    coordinate_tail_index,
    noise_tail_index,
    tail_index,
)

Floats = npt.NDArray[np.float64]
REPEATS, LENGTH = 60, 10_000


def stable(alpha: float, rng: np.random.Generator) -> Floats:
    """Return symmetric stable numbers; Chambers, Mallows and Stuck 1976."""
    angle = rng.uniform(-np.pi / 2, np.pi / 2, (REPEATS, LENGTH))
    waiting = rng.exponential(size=(REPEATS, LENGTH))
    factor = (np.cos(angle - alpha * angle) / waiting) ** ((1 - alpha) / alpha)
    return np.sin(alpha * angle) / np.cos(angle) ** (1 / alpha) * factor


def drawn(law: str, rng: np.random.Generator) -> Floats:
    shape = (REPEATS, LENGTH)
    if law.startswith("stable"):
        return stable(float(law.split()[1]), rng)
    if law == "student t3":
        return rng.standard_t(3, shape)
    if law == "laplace":
        return rng.laplace(size=shape)
    noise = rng.normal(size=shape)
    if law == "scales, log-sd 1":
        return noise * np.exp(rng.normal(size=shape))
    if law == "scales, log-sd 2":
        return noise * np.exp(2 * rng.normal(size=shape))
    if law == "scales sorted":
        return noise * np.sort(np.exp(2 * rng.normal(size=shape)), axis=1)
    if law == "mean left in":
        return noise + 0.1
    assert law == "gaussian"
    return noise


@pytest.mark.parametrize(
    ("law", "stated", "spread"),
    [
        ("stable 1.0", 0.998, 0.036),
        ("stable 1.5", 1.517, 0.056),
        ("gaussian", 1.985, 0.083),
        ("student t3", 1.76, 0.08),
        ("laplace", 1.81, 0.08),
        ("scales, log-sd 1", 1.41, 0.05),
        ("scales, log-sd 2", 0.87, 0.02),
        ("scales sorted", 2.00, 0.10),
        ("mean left in", 1.70, 0.07),
    ],
)
def test_numbers_give_the_stated_index(law: str, stated: float, spread: float) -> None:
    samples = drawn(law, np.random.default_rng(1))
    found = tail_index(samples, num_summed=100, centre=False)
    assert found.ok.all()
    assert found.se is not None
    # The stated values are themselves means of few repetitions.
    assert found.value.mean() == pytest.approx(stated, abs=0.5 * spread)
    assert found.value.std() == pytest.approx(spread, rel=0.5)
    assert np.median(found.se) == pytest.approx(found.value.std(), rel=0.3)


def test_centring_removes_a_mean() -> None:
    samples = drawn("mean left in", np.random.default_rng(1))
    assert tail_index(samples).value.mean() == pytest.approx(2.0, abs=0.04)


def test_gaussian_vectors_give_two_with_or_without_their_mean() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(8, 100, 10_000))
    known = tail_index(samples, centre=False).value
    own = tail_index(samples + 0.3).value
    for found in (known, own):
        assert found.mean() == pytest.approx(2.0, abs=0.005)
        assert found.std() == pytest.approx(0.004, abs=0.003)
    # Without the correction the own mean would fake thin tails.
    centred = samples - samples.mean(1, keepdims=True)
    naive = tail_index(centred, centre=False).value
    assert naive.mean() == pytest.approx(
        np.log(10) / (np.log(10 * 0.9 / 0.99) / 2), abs=0.005
    )
    assert naive.mean() == pytest.approx(2.09, abs=0.01)


def test_a_hundred_numbers_say_next_to_nothing() -> None:
    samples = np.random.default_rng(0).normal(size=(4000, 100))
    found = tail_index(samples, centre=False).value
    low, high = np.nanquantile(found, [0.05, 0.95])
    assert low == pytest.approx(1.38, abs=0.08)
    assert high == pytest.approx(4.67, abs=0.7)


def test_numbers_equal_a_naive_loop() -> None:
    samples = np.random.default_rng(0).standard_cauchy((2, 131))
    found = tail_index(samples, num_summed=7, centre=False)
    for s, row in enumerate(samples):
        sums = [abs(row[7 * j : 7 * j + 7].sum()) for j in range(18)]
        inverse = np.log(sums).mean() - np.log(np.abs(row[:126])).mean()
        assert found.value[s] == pytest.approx(np.log(7) / inverse, rel=1e-12)


@pytest.mark.parametrize("layer", [None, "a", "b"])
def test_moments_give_the_index_of_the_plain_arrays(layer: str | None) -> None:
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.standard_t(2, size=(3, 128, 60)) + 0.5)
    moments = gradient_moments(
        rows.split(9, 1), images=4, layers=[("a", 20), ("b", 40)]
    )
    part = {None: slice(0, 60), "a": slice(0, 20), "b": slice(20, 60)}[layer]
    found, plain = noise_tail_index(moments, layer), tail_index(rows[:, :, part])
    np.testing.assert_allclose(found.value, plain.value, rtol=1e-10)
    np.testing.assert_allclose(found.se, plain.se, rtol=1e-8)
    # Coordinate by coordinate: both means of logarithms, averaged.
    noise = rows[:, :, part].numpy()
    noise = noise - noise.mean(1, keepdims=True)
    sums = noise[:, :121].reshape(3, 11, 11, -1).sum(2)
    growth = np.log(np.abs(sums)).mean((1, 2)) - np.log(np.abs(noise[:, :121])).mean(
        (1, 2)
    )
    shrinkage = np.log((1 - 11 / 128) / (1 - 1 / 128)) / 2
    found = coordinate_tail_index(moments, layer)
    np.testing.assert_allclose(
        1 / found.value, (growth - shrinkage) / np.log(11), rtol=1e-6
    )


def test_unequal_scales_fool_pooled_coordinates_but_neither_moment_version() -> None:
    rng = np.random.default_rng(0)
    scales = np.exp(2 * rng.normal(size=10_000))
    rows = rng.normal(size=(4, 100, 10_000)) * scales
    moments = gradient_moments([torch.from_numpy(rows)], images=1)
    assert noise_tail_index(moments).value.mean() == pytest.approx(2.0, abs=0.25)
    assert coordinate_tail_index(moments).value.mean() == pytest.approx(2.0, abs=0.02)
    pooled = tail_index(rows[:, 0], num_summed=100, centre=False)
    assert pooled.value.mean() == pytest.approx(0.87, abs=0.05)


def test_heavy_tailed_coordinates_are_seen() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_cauchy((1, 100, 4000))
    moments = gradient_moments([torch.from_numpy(rows)], images=1)
    assert coordinate_tail_index(moments).value[0] == pytest.approx(1.0, abs=0.1)


def test_dead_coordinates_do_not_count() -> None:
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(1, 100, 500)) + 1.0)
    padded = torch.cat([rows, torch.full((1, 100, 700), 0.1)], 2)
    found, expected = (
        coordinate_tail_index(gradient_moments([each], images=1))
        for each in (padded, rows)
    )
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-6)


def test_runs_without_a_value_say_why() -> None:
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(4, 100, 30)))
    rows[1] = 0.0
    rows[2, 3, 4] = torch.nan
    moments = gradient_moments([rows], images=1)
    expected = ["ok", "not_applicable", "diverged", "ok"]
    for found in (
        noise_tail_index(moments),
        coordinate_tail_index(moments),
        tail_index(rows),
    ):
        assert found.status.tolist() == expected
    few = gradient_moments([rows[:, :99]], images=1)
    for found in (noise_tail_index(few), coordinate_tail_index(few)):
        assert found.status.tolist() == ["too_short"] * 4
    assert tail_index(rows[:, :99]).status.tolist() == ["too_short"] * 4
    # Samples that undo each other: sums are smaller than samples.
    wave = np.where(np.arange(100) % 2, -1.0, 1.01)[None]
    assert tail_index(wave, centre=False).status.tolist() == ["ill_conditioned"]


def test_a_run_alone_has_the_same_bits_as_among_others() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 120, 30))
    for samples in (rows, rows[:, :, 0]):
        together = tail_index(samples)
        for s in range(3):
            alone = tail_index(samples[s : s + 1])
            assert alone.value[0] == together.value[s]
            assert alone.se is not None
            assert together.se is not None
            assert alone.se[0] == together.se[s]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[S, n\] or \[S, n, d\]"):
        tail_index(np.ones(100))
    with pytest.raises(ValueError, match=r"num_summed is 51, expected 2 to n / 2 = 50"):
        tail_index(np.ones((1, 100)), num_summed=51)
