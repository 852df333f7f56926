"""The objective against torch.nn.functional.cross_entropy and known floors."""

import math

import pytest
import torch
from torch.nn import functional

from harness.objectives import CrossEntropy
from harness.registry import OBJECTIVES, complete


def problem(num_runs=5, batch=37, num_classes=10, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shape = (num_runs, batch, num_classes)
    logits = 4 * torch.randn(shape, generator=generator, dtype=dtype)
    labels = torch.randint(num_classes, shape[:2], generator=generator)
    return logits.requires_grad_(), labels


EPSILONS = [0.0, 0.05, 0.1, 0.3, 0.9]


def test_values_and_gradients_equal_the_reference_run_by_run():
    logits, labels = problem(dtype=torch.float64)
    smoothing = torch.tensor(EPSILONS)[:, None]
    losses = CrossEntropy(label_smoothing=smoothing)(logits, labels)
    (grads,) = torch.autograd.grad(losses.objective.sum(), logits)
    for run, eps in enumerate(smoothing[:, 0].double().tolist()):
        row = logits[run].detach().requires_grad_()
        expected = functional.cross_entropy(row, labels[run], label_smoothing=eps)
        (grad,) = torch.autograd.grad(expected, row)
        torch.testing.assert_close(losses.objective[run], expected)
        torch.testing.assert_close(grads[run], grad)
        plain = functional.cross_entropy(row, labels[run])
        torch.testing.assert_close(losses.cross_entropy[run], plain)


def test_without_smoothing_both_losses_are_one_tensor():
    logits, labels = problem()
    losses = CrossEntropy()(logits, labels)
    assert losses.objective is losses.cross_entropy
    expected = functional.cross_entropy(logits[2], labels[2])
    torch.testing.assert_close(losses.objective[2], expected)


def test_ten_per_cent_smoothing_of_ten_classes_has_its_known_floor():
    target = torch.tensor([0.91] + [0.01] * 9)
    logits, labels = target.log()[None, None], torch.zeros(1, 1, dtype=torch.int64)
    loss = CrossEntropy(label_smoothing=0.1)(logits, labels)
    assert loss.objective.item() == pytest.approx(0.50029, abs=5e-6)
    assert loss.cross_entropy.item() == pytest.approx(-math.log(0.91), rel=1e-5)


@pytest.mark.parametrize(
    ("batch", "num_classes"), [(37, 10), (64, 10), (512, 100), (1, 2)]
)
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_a_run_alone_gets_the_same_bits_as_in_a_cohort(batch, num_classes, eps):
    logits, labels = problem(batch=batch, num_classes=num_classes)
    smoothing = torch.tensor(EPSILONS)[:, None]
    smoothing[1] = eps
    losses = CrossEntropy(label_smoothing=smoothing)(logits, labels)
    (grads,) = torch.autograd.grad(losses.objective.sum(), logits)
    row = logits[1:2].detach().clone().requires_grad_()
    alone = CrossEntropy(label_smoothing=eps)(row, labels[1:2])
    (grad,) = torch.autograd.grad(alone.objective.sum(), row)
    assert torch.equal(alone.objective[0], losses.objective[1])
    assert torch.equal(alone.cross_entropy[0], losses.cross_entropy[1])
    assert torch.equal(grad[0], grads[1])


def test_a_diverged_run_does_not_touch_its_neighbours():
    logits, labels = problem()
    objective = CrossEntropy(label_smoothing=0.1)
    before = objective(logits, labels)
    (grad_before,) = torch.autograd.grad(before.objective.sum(), logits)
    broken = logits.detach().clone()
    broken[0] = float("nan")
    broken.requires_grad_()
    after = objective(broken, labels)
    (grad_after,) = torch.autograd.grad(after.objective.sum(), broken)
    assert after.objective[0].isnan()
    assert torch.equal(after.objective[1:], before.objective[1:])
    assert torch.equal(grad_after[1:], grad_before[1:])


def test_the_registered_factory_names_its_default():
    factory = OBJECTIVES.get("cross_entropy")
    assert complete("objective", factory, {}) == {"label_smoothing": 0.0}


@pytest.mark.parametrize("eps", [-0.1, 1.0])
def test_smoothing_out_of_range_is_refused(eps):
    with pytest.raises(ValueError, match=r"label_smoothing is .* below 1"):
        CrossEntropy(label_smoothing=eps)
