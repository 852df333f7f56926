import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from harness.models.layers import Dropout, Linear
from harness.operations import activation_elements, scoring_flops, training_flops
from harness.peak import matmul_rate
from harness.registry import MODELS
from harness.spec import Part


def counts(model, in_shape, num_classes=10):
    kinds = (scoring_flops, training_flops, activation_elements)
    return tuple(count(model, in_shape, num_classes) for count in kinds)


def products(*layers):
    """Count layers of (inputs an output, outputs): all forward, no first gradient."""
    sizes = [2 * fan_in * outputs for fan_in, outputs in layers]
    elements = sum(outputs for _, outputs in layers[:-1])
    return sum(sizes), 3 * sum(sizes) - sizes[0], elements


def conv(c_in, c_out, side, kernel=3):
    return kernel**2 * c_in, c_out * side**2


def test_resnet18_layer_by_layer():
    layers = [conv(3, 64, 32)] + [conv(64, 64, 32)] * 4
    for c, side in ((128, 16), (256, 8), (512, 4)):
        layers += [conv(c // 2, c, side), conv(c // 2, c, side, kernel=1)]
        layers += [conv(c, c, side)] * 3
    expected = products(*layers, (512, 10))
    found = counts(Part("resnet18"), (3, 32, 32))
    assert found == expected
    assert found == (1_110_845_440, 3_328_997_376, 614_400)


def test_a_quarter_of_resnet20_layer_by_layer_without_projections():
    layers = [conv(1, 4, 8)] + [conv(4, 4, 8)] * 6
    for c, side in ((8, 4), (16, 2)):
        layers += [conv(c // 2, c, side)] + [conv(c, c, side)] * 5
    found = counts(Part("resnet20", {"width": 0.25}), (1, 8, 8))
    assert found == products(*layers, (16, 10))


def test_a_vision_transformer_by_its_definition():
    n, d, blocks = (8 // 2) ** 2, 24, 3
    linear = [(d, 3 * n * d), (d, n * d), (d, 4 * n * d), (4 * d, n * d)] * blocks
    forward, training, elements = products((3 * 2 * 2, n * d), *linear, (d, 7))
    attention = 2 * (2 * n * n * d) * blocks  # scores, and the mixture by them
    model = Part("vit", {"patch": 2, "dim": d, "depth": blocks, "dropout": 0.1})
    expected = (forward + attention, training + 3 * attention, elements)
    assert counts(model, (3, 8, 8), 7) == expected


@pytest.mark.parametrize(
    ("params", "in_shape", "sizes"),
    [
        ({"width": 64, "depth": 1}, (1, 8, 8), (64, 64, 10)),
        ({"width": 5, "depth": 3, "norm": "batch"}, (2,), (2, 5, 5, 5, 10)),
        ({"width": 48, "depth": 2, "dropout": 0.5}, (3, 5, 5), (75, 48, 48, 10)),
        ({"width": 1, "depth": 2, "skip": True}, (2,), (2, 1, 1, 10)),
    ],
)
def test_a_stacked_perceptron_without_its_padding(params, in_shape, sizes):
    found = counts(Part("mlp", params), in_shape)
    assert found == products(*pairwise(sizes))


def test_the_first_example_of_the_docstrings():
    found = counts(Part("mlp", {"width": 64, "depth": 1}), (1, 8, 8))
    assert found == (9_472, 20_224, 64)


def test_patches_of_a_padded_image():
    """Of 6 x 7 pixels, 8 x 8 are seen; 8 channels are not padded to 16."""
    found = counts(Part("patchnet", {"width": 0.25}), (3, 6, 7))
    layers = (4 * 3, 8 * 16), (4 * 8, 16 * 4), (16 * 4, 10)
    assert found == products(*layers)


@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_trains_at_two_to_three_times_its_forward_pass(name):
    forward, training, elements = counts(Part(name), (3, 16, 16))
    assert 2 * forward < training < 3 * forward
    assert 0 < elements < forward


class Twice(nn.Module):
    """A layer that is used twice, and a product that is no layer."""

    def __init__(self, in_shape, num_classes):
        super().__init__()
        size = math.prod(in_shape)
        self.layer = nn.Linear(size, size)
        self.head = nn.Parameter(torch.zeros(size, num_classes))

    def forward(self, x):
        return torch.einsum(
            "bi,ik->bk", self.layer(self.layer(x.flatten(1))), self.head
        )


class OwnStack(nn.Module):
    """A stacked model of one's own, with dropout."""

    def __init__(self, num_runs, in_shape, num_classes):
        super().__init__()
        self.dropout = Dropout(0.3)
        self.head = Linear(num_runs, math.prod(in_shape), num_classes)

    def forward(self, x):
        return self.head(self.dropout(x.flatten(2)))


def test_models_of_ones_own():
    found = counts(Part(f"{__name__}:Twice"), (3, 2, 2), 5)
    assert found[:2] == products((12, 12), (12, 12), (12, 5))[:2]
    assert counts(Part(f"{__name__}:OwnStack"), (3, 2, 2), 5) == products((12, 5))


def test_counting_draws_no_random_number_of_the_caller():
    before = torch.get_rng_state()
    counts(Part("resnet20", {"width": 0.125, "dropout": 0.2}), (1, 4, 4))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_matrix_products_rate_is_a_processors(precision):
    """More than a slow interpreter's, less than a core's 10^4 operations a cycle."""
    before = torch.get_rng_state()
    rate = matmul_rate(torch.device("cpu"), precision)
    assert 1e6 < rate < torch.get_num_threads() * 1e4 * 6e9
    assert matmul_rate(torch.device("cpu"), precision) == rate
    assert torch.equal(before, torch.get_rng_state())
