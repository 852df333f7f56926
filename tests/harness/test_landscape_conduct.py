import numpy as np
import pytest
import torch

from harness.landscape import Landscape
from harness.passes import Passes
from tests.harness.landscapes import (
    ALL,
    DEEP,
    IMAGES,
    cohort,
    distance,
    images,
    landscape,
    methods,
    shared,
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in DEEP else ())
        for name in ALL
    ],
)
def test_a_run_is_the_same_alone_and_in_company(name: str) -> None:
    together = Landscape(cohort(name, range(3)), *images(name), chunk=9)
    alone = Landscape(cohort(name, range(1)), *images(name), chunk=9)
    for label, method in methods().items():
        among, single = method(together)[:1], method(alone)
        if label in ("images", "microbatches"):
            # torch.func folds micro-batches into the products' rows: other sums.
            assert distance(among, single.double()) < 1e-6
        else:
            assert torch.equal(among, single), label


@pytest.mark.parametrize("name", ["mlp", "vgg", "vit"])
def test_nothing_of_the_cohort_changes(name: str) -> None:
    net = cohort(name)
    x, y = images(name)
    net.train_logits(x.expand(2, *x.shape), 0)  # leaves training mode behind
    first = net.modules()[0][0]
    next(iter(first.children())).eval()
    flags = [m.training for module, _ in net.modules() for m in module.modules()]
    params = net.params.clone()
    buffers = {key: value.clone() for key, value in net.buffers().items()}
    torch_state, numpy_state = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    there = Landscape(net, x, y)
    for method in methods().values():
        method(there)
        assert torch.equal(net.params, params)
        now = net.buffers()
        assert all(torch.equal(now[key], value) for key, value in buffers.items())
        assert flags == [
            m.training for module, _ in net.modules() for m in module.modules()
        ]
        assert all(
            p.grad is None and p.requires_grad
            for module, _ in net.modules()
            for p in module.parameters()
        )
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert str(np.random.get_state()) == numpy_state  # noqa: NPY002
    assert any(flags)


def test_what_the_cohort_does_later_changes_nothing() -> None:
    net = cohort("vgg")
    there = Landscape(net, *images("vgg"))
    before = {label: method(there) for label, method in methods().items()}
    net.params.mul_(2)
    net.train_logits(images("vgg")[0].expand(2, IMAGES, 1, 8, 8), 0)
    for label, method in methods().items():
        assert torch.equal(method(there), before[label])


@pytest.mark.parametrize("name", ["mlp", "vit"])
def test_a_diverged_run_spoils_no_other(name: str) -> None:
    net = cohort(name)
    net.params[1] = float("nan")
    broken = Landscape(net, *images(name), chunk=7)
    for label, method in methods().items():
        found = method(broken)
        assert found[1].isnan().any(), label
        assert torch.equal(found[0], method(shared(name))[0]), label


def test_it_does_not_matter_whether_gradients_are_on() -> None:
    for label, method in methods().items():
        with torch.no_grad():
            found = method(landscape("patchnet"))
        assert torch.equal(found, method(shared("patchnet"))), label
        assert not found.requires_grad


@pytest.mark.parametrize("name", ["mlp", "vgg"])
def test_graphs_that_are_not_kept_give_the_same(name: str) -> None:
    kept, fresh = landscape(name), landscape(name, retain=False)
    with kept:
        for label, method in methods().items():
            assert torch.equal(method(kept), method(fresh)), label
    assert torch.equal(kept.gradient(), fresh.gradient())


def test_passes_are_counted_once_for_all_runs() -> None:
    for name in ("mlp", "resnet20"):
        there = landscape(name)
        counts = []
        for label in ("gradient", "hvp", "hvp", "covariance_product", "images", "loss"):
            before = there.passes
            methods()[label](there)
            counts.append(np.subtract(there.passes, before) / IMAGES)
        expected = [(1, 1), (2, 2), (2, 2), (2, 2), (1, 1), (1, 0)]
        assert [tuple(c) for c in counts] == expected
        assert there.passes == Passes(9 * IMAGES, 8 * IMAGES)


def test_wrong_arguments_are_refused() -> None:
    net, (x, y) = cohort("mlp"), images("mlp")
    with pytest.raises(ValueError, match="precision is 'half', expected one of"):
        Landscape(net, x, y, precision="half")
    with pytest.raises(ValueError, match="got 12 images and 11 labels"):
        Landscape(net, x, y[:-1])
    there = Landscape(net, x, y)
    with pytest.raises(ValueError, match=r"shape \[1, 3\], expected \[2, "):
        there.hvp(torch.ones(1, 3))
    with pytest.raises(ValueError, match="size is 5, expected a divisor of the 12"):
        next(there.microbatch_gradients(5))
