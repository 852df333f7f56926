"""Running statistics kept from bad updates, against torch's own layers."""

import pytest
import torch
from torch import nn

from harness.cohort import CohortNet
from harness.kept import KeptBuffers
from harness.spec import Part

SHAPE = (3, 8, 8)


class Counting(nn.Module):
    """Torch's batch normalisation, and a buffer that each pass replaces."""

    def __init__(self, in_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_shape[0])
        self.linear = nn.Linear(in_shape[0], num_classes)
        self.register_buffer("largest", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.largest = torch.maximum(self.largest, x.detach().max())
        return self.linear(self.norm(x).mean((2, 3)))


def net(model: str, runs: int = 3) -> CohortNet:
    params = {"norm": "batch"} if model == "mlp" else {}
    part = Part(model, params)
    return CohortNet(part, range(runs), SHAPE, 4, device=torch.device("cpu"))


def passes(seed: int) -> torch.Tensor:
    return torch.randn(3, 5, *SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["mlp", "resnet20", "tests.harness.test_kept:Counting"])
def cohort(request):
    return net(request.param)


@pytest.mark.parametrize("masks", [False, True])
def test_a_dead_run_keeps_what_it_had_and_the_others_go_on(cohort, masks):
    kept = KeptBuffers(cohort)
    everybody = torch.ones(3, dtype=torch.bool)
    cohort.train_logits(passes(0), 0)
    assert kept.whole().all()
    kept.settle(everybody, masks=masks)
    before = {name: b.clone() for name, b in cohort.buffers().items()}
    cohort.train_logits(2 * passes(1), 1)
    after = {name: b.clone() for name, b in cohort.buffers().items()}
    kept.whole()
    kept.settle(torch.tensor([True, False, True]), masks=masks)
    for name, buffer in cohort.buffers().items():
        assert torch.equal(buffer[[0, 2]], after[name][[0, 2]])
        assert torch.equal(buffer[1], before[name][1])
        assert not torch.equal(after[name][1], before[name][1])


def test_a_number_that_is_not_finite_is_that_of_its_run(cohort):
    kept = KeptBuffers(cohort)
    inputs = passes(0)
    inputs[2, 0, 0, 0, 0] = float("inf")
    cohort.train_logits(inputs, 0)
    assert kept.whole().tolist() == [True, True, False]
    kept.settle(kept.whole(), masks=False)
    assert kept.whole().all()


def test_networks_without_buffers_are_always_whole():
    cohort = CohortNet(Part("mlp"), [0, 1], SHAPE, 4, device=torch.device("cpu"))
    kept = KeptBuffers(cohort)
    cohort.train_logits(passes(0)[:2] * float("inf"), 0)
    assert kept.whole().tolist() == [True, True]
    kept.settle(torch.tensor([True, False]), masks=True)
    assert cohort.buffers() == {}
