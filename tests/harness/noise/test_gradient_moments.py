"""The sums, against a naive loop over all gradients at once."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.noise.gradient_moments import GradientMoments, gradient_moments

LAYERS = [("weight", 700), ("bias", 9), ("head", 291)]


def gradients(runs: int = 3, count: int = 23, dim: int = 1000, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(runs, count, dim)) * np.exp(rng.normal(size=dim))
    return torch.from_numpy(noise + rng.normal(size=(runs, 1, dim))).float()


class Recomputed:
    """Gives its blocks anew whenever asked."""

    def __init__(self, rows: Tensor, size: int) -> None:
        self.rows, self.size = rows, size

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.rows.split(self.size, dim=1))


def arrays(moments: GradientMoments) -> dict[str, np.ndarray]:
    names = ("mean_squares", "squares", "products", "sum_squares")
    more = ("logs", "sum_logs", "live")
    result = {name: getattr(moments, name) for name in names + more}
    return result | {"mean": moments.mean.numpy()}


def test_every_sum_equals_a_naive_loop_over_all_gradients() -> None:
    rows = gradients()
    moments = gradient_moments(rows.split(5, 1), images=4, layers=LAYERS)
    assert moments.count == 23
    assert moments.layers == ("weight", "bias", "head")
    assert moments.images == 4
    wide = rows.double().numpy()
    for s in range(3):
        mean = wide[s].mean(0)
        np.testing.assert_allclose(moments.mean[s], mean, rtol=1e-12, atol=1e-14)
        start = 0
        for column, (_, size) in enumerate(LAYERS):
            part = slice(start, start := start + size)
            noise = wide[s][:, part] - mean[part]
            sums = [noise[4 * j : 4 * j + 4].sum(0) for j in range(5)]
            expected = {
                "mean_squares": mean[part] @ mean[part],
                "squares": [h @ h for h in noise],
                "products": [h @ mean[part] for h in noise],
                "sum_squares": [y @ y for y in sums],
                "live": size,
            }
            for name, value in expected.items():
                got = getattr(moments, name)[s][..., column]
                np.testing.assert_allclose(got, value, rtol=1e-11, atol=1e-10)
            logs = {
                "logs": [np.log(np.abs(h)).sum() for h in noise],
                "sum_logs": [np.log(np.abs(y)).sum() for y in sums],
            }
            for name, value in logs.items():
                got = getattr(moments, name)[s][..., column]
                np.testing.assert_allclose(got, value, rtol=0, atol=2e-7 * size)


@pytest.mark.usefixtures("one_thread")
def test_a_run_alone_has_the_same_bits_as_among_others() -> None:
    rows = gradients()
    together = arrays(gradient_moments([*rows.split(5, 1)], images=4, layers=LAYERS))
    for s in range(3):
        alone = rows[s : s + 1].split(5, 1)
        for name, value in arrays(
            gradient_moments(alone, images=4, layers=LAYERS)
        ).items():
            assert np.array_equal(value[0], together[name][s]), name


def test_a_run_with_nan_is_lost_whole_and_leaves_the_others_alone() -> None:
    rows = gradients()
    healthy = arrays(gradient_moments(rows.split(5, 1), images=4, layers=LAYERS))
    for bad in (torch.nan, torch.inf):
        broken = rows.clone()
        broken[1, 7, 3] = bad
        found = arrays(gradient_moments(broken.split(5, 1), images=4, layers=LAYERS))
        assert np.isnan(found["squares"][1]).all()
        assert np.isnan(found["sum_squares"][1]).all()
        for name, value in found.items():
            assert np.array_equal(value[[0, 2]], healthy[name][[0, 2]]), name


def test_the_cut_into_blocks_and_recomputing_change_nothing_but_rounding() -> None:
    rows = gradients()
    kept = arrays(gradient_moments([rows], images=4, layers=LAYERS))
    for size in (1, 6, 7):
        other = gradient_moments(Recomputed(rows, size), images=4, layers=LAYERS)
        for name, value in arrays(other).items():
            np.testing.assert_allclose(value, kept[name], rtol=1e-9, atol=1e-10)


def test_small_noise_on_a_large_gradient_survives() -> None:
    # ||g||^2 / ||h||^2 is 1e14: subtracting squares of float32 would leave nothing.
    rng = np.random.default_rng(0)
    noise = rng.integers(-8, 9, size=(1, 20, 500)) * 2.0**-20
    rows = torch.from_numpy(8.0 + noise).float()
    squares = gradient_moments([rows], images=1).squares[..., 0]
    expected = np.square(noise - noise.mean(1, keepdims=True)).sum(2)
    np.testing.assert_allclose(squares, expected, rtol=1e-8)


def test_layers_are_read_by_name_or_all_together() -> None:
    moments = gradient_moments([gradients()], images=4, layers=LAYERS)
    head = moments.of(moments.squares, "head")
    assert np.array_equal(head, moments.squares[:, :, 2])
    np.testing.assert_allclose(
        moments.of(moments.squares, None), moments.squares.sum(-1)
    )
    with pytest.raises(KeyError, match="no layer 'tail', expected one of"):
        moments.of(moments.squares, "tail")


def test_coordinates_that_never_vary_are_counted_out() -> None:
    rows = gradients(dim=10)
    rows[0, :, 3:5] = 0.1
    assert gradient_moments([rows], images=1).live[:, 0].tolist() == [8, 10, 10]


def test_wrong_blocks_are_refused() -> None:
    rows = gradients(dim=10)
    with pytest.raises(TypeError, match="can be gone through only once"):
        gradient_moments(iter([rows]), images=1)
    with pytest.raises(ValueError, match="images is 0"):
        gradient_moments([rows], images=0)
    with pytest.raises(ValueError, match="no micro-batch"):
        gradient_moments([], images=1)
    with pytest.raises(ValueError, match=r"expected \[S, c, P\]"):
        gradient_moments([rows, rows[:, :, :9]], images=1)
    with pytest.raises(ValueError, match="have 11 parameters together, expected 10"):
        gradient_moments([rows], images=1, layers=[("a", 5), ("b", 6)])


def test_a_source_that_changes_its_length_is_refused() -> None:
    class Moody:
        def __init__(self, first: int, second: int) -> None:
            self.counts = [first, second]

        def __iter__(self) -> Iterator[Tensor]:
            return iter([gradients(count=self.counts.pop(0), dim=10)])

    with pytest.raises(ValueError, match="gave at least 23 micro-batches, the first 9"):
        gradient_moments(Moody(9, 23), images=1)
    with pytest.raises(ValueError, match="gave 9 micro-batches, the first 23"):
        gradient_moments(Moody(23, 9), images=1)


@pytest.mark.gpu
def test_a_gpu_gives_the_numbers_of_the_processor() -> None:
    rows = gradients()
    here = arrays(gradient_moments([rows], images=4, layers=LAYERS))
    there = gradient_moments([rows.cuda()], images=4, layers=LAYERS)
    for name, value in here.items():
        got = there.mean.cpu().numpy() if name == "mean" else getattr(there, name)
        np.testing.assert_allclose(got, value, rtol=1e-6, atol=1e-4)
