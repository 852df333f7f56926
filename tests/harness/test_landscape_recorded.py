"""Landscapes whose products are recorded, or whose weights lie channels-last.

A CUDA graph repeats kernels on fixed memory; the tape does the same on a CPU. Here it
also spoils what a graph does not preserve.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.cohort import CohortNet
from harness.execution import Execution
from harness.landscape import Landscape
from harness.passes import Passes
from harness.spec import Part
from tests.harness.landscapes import (
    CLASSES,
    CPU,
    IMAGES,
    ODD,
    TINY,
    directions,
    distance,
    images,
    methods,
)
from tests.harness.tape import Tape

SLOW = ("patchnet", "resnet18", "vgg", "vit")
MODELS = [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
    for name in ("mlp", ODD, *SLOW)
]
LABELS = (
    "hvp",
    "covariance_product",
    "gradient",
    "loss",
    "gradient_at",
    "microbatches",
)


class Pool(Tape):
    """A tape whose recordings share memory, as CUDA graphs with one pool do.

    What a recording made for itself is spoilt at once, since a graph computes nothing
    when it is recorded, and whenever another is repeated that does not read it.
    """

    def __init__(self):
        super().__init__()
        self.seen: list[Watch] = []

    def record(self, body):
        watch = Watch()

        def watched():
            with watch:
                body()

        repeat = super().record(watched)
        self.seen.append(watch)
        watch.spoil()

        def alone():
            for other in self.seen:
                if other is not watch and not other.own.keys() & watch.read:
                    other.spoil()
            repeat()

        return alone


class Watch(TorchDispatchMode):
    """Notes the memory that a body makes for itself, and all that it reads."""

    def __init__(self):
        super().__init__()
        self.own, self.read = {}, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        self.read |= memory((args, kwargs)).keys()
        made = memory(outputs)
        self.own |= {k: v for k, v in made.items() if k not in self.read}
        return outputs

    def spoil(self):
        for storage in self.own.values():
            storage.fill_(255)  # NaN as a float


def memory(values):
    storages = [
        value.untyped_storage()
        for value in tree_leaves(values)
        if isinstance(value, torch.Tensor)
    ]
    return {s.data_ptr(): s for s in storages if s.nbytes()}


def net_of(name, recorder=None, *, runs=2, channels_last=False):
    params, shape = TINY.get(name, ({}, (1, 8, 8)))
    net = CohortNet(
        Part(name, params),
        range(runs),
        shape,
        CLASSES,
        device=CPU,
        execution=Execution("graph", recorder) if recorder else None,
        channels_last=channels_last,
    )
    buffers = net.buffers()
    for key, value in buffers.items():  # as after some training
        if value.is_floating_point():
            value += 0.1 * torch.arange(1, value[0].numel() + 1).view(value[0].shape)
        buffers[key] = value
    net.load_buffers(buffers)
    return net


def pair(name, **options):
    """Return a landscape called directly, the same recorded, and its recorder."""
    pool = Pool()
    direct = Landscape(net_of(name), *images(name), **options)
    taped = Landscape(net_of(name, pool), *images(name), **options)
    return direct, taped, pool


@pytest.mark.parametrize("name", MODELS)
def test_recorded_products_are_those_made_directly(name):
    direct, taped, pool = pair(name, one_by_one=True, chunk=7)
    for _ in range(3):  # called, recorded, repeated
        for label in LABELS:
            expected, found = methods()[label](direct), methods()[label](taped)
            assert torch.equal(found, expected), label
    assert len(pool.lengths) == 6  # setting up the graphs gives the gradient
    assert taped.passes == direct.passes


@pytest.mark.parametrize("name", ["mlp", ODD])
@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_recorded_products_keep_their_precision(name, precision):
    direct, taped, _ = pair(name, precision=precision)
    v = directions(direct)
    for _ in range(3):
        for product in ("hvp", "covariance_product", "gradient_at"):
            found = getattr(taped, product)(v)
            assert torch.equal(found, getattr(direct, product)(v)), product


@pytest.mark.parametrize("name", ["mlp", ODD])
def test_recordings_see_what_the_cohort_has_become(name):
    direct, taped, pool = pair(name, one_by_one=True)
    for turn in range(3):
        for there in (direct, taped):
            there._net.params.mul_(1 + 0.1 * turn)
            buffers = there._net.buffers()
            there._net.load_buffers({k: v * 1.5 for k, v in buffers.items()})
            there.refresh()
        for label in LABELS[: 6 if turn else 1]:
            expected, found = methods()[label](direct), methods()[label](taped)
            assert torch.equal(found, expected), label
    assert len(pool.lengths) == 6


def test_a_result_outlives_the_next_repetition():
    direct, taped, _ = pair(ODD)
    u, v = directions(direct, 0).float(), directions(direct, 1).float()
    for product in ("hvp", "covariance_product", "gradient_at", "loss_at"):
        for _ in range(3):
            first = getattr(taped, product)(u)
            getattr(taped, product)(v)
            assert torch.equal(first, getattr(direct, product)(u)), product


def test_another_recording_in_between_changes_nothing():
    pool = Pool()
    net = net_of("vgg", pool)
    x, y = images("vgg")
    one, other = Landscape(net, x, y), Landscape(net, x.flip(0), y)
    direct = Landscape(net_of("vgg"), x, y)
    v = directions(direct).float()
    body = net.execution.fixed(lambda: net.params.mul_(1.0).exp(), warm_up=0)
    for _ in range(3):
        other.hvp(v)
        body()
        assert torch.equal(one.hvp(v), direct.hvp(v))
        body()
        assert torch.equal(one.covariance_product(v), direct.covariance_product(v))
    assert one.passes == direct.passes


def test_a_product_takes_one_repetition_once_it_is_recorded():
    _, taped, pool = pair("mlp")
    v = directions(taped).float()
    for _ in range(3):
        taped.hvp(v)
    before = pool.replays
    for _ in range(4):
        taped.hvp(v)
    assert pool.replays == before + 4
    taped.refresh()
    taped.hvp(v)
    assert pool.replays == before + 6  # the graphs, too
    assert taped.passes == Passes(3 * IMAGES, 3 * IMAGES)


def test_graphs_are_freed_that_are_not_recorded():
    _, taped, pool = pair("vgg")
    with taped:
        taped.hvp(directions(taped).float())
        assert all(part._kept for part in taped._parts)
    assert not pool.lengths
    assert not any(part._kept for part in taped._parts)


def test_nothing_is_recorded_of_graphs_that_are_not_kept():
    direct, taped, pool = pair("vgg", retain=False)
    for _ in range(3):
        for label, method in methods().items():
            assert torch.equal(method(taped), method(direct)), label
    assert not pool.lengths


@pytest.mark.parametrize("name", ["resnet9", "vgg", "wrn", ODD])
def test_weights_in_another_order_give_the_same_landscape(name):
    plain, other = net_of(name), net_of(name, channels_last=True)
    x, y = images(name)
    options = {"precision": "float64", "chunk": 7}
    there = Landscape(plain, x, y, **options)
    turned = Landscape(other, x, y, **options)

    def as_other(rows):
        """Return rows `[S, P]` of `plain` in the order of `other`."""
        return torch.cat([other.layout.join(plain.layout.views(r[None])) for r in rows])

    assert torch.equal(as_other(plain.params), other.params)
    assert not torch.equal(plain.params, other.params)
    for leaf, mine in zip(
        other.modules()[0][0].parameters(), turned._parts[0].net.leaves, strict=True
    ):
        assert mine.stride() == leaf.stride()
    v = directions(there)
    w = as_other(v)
    assert distance(turned.loss_at(0.1 * w), there.loss_at(0.1 * v)) < 1e-13
    for product in ("gradient_at", "hvp", "covariance_product"):
        expected = as_other(getattr(there, product)(v))
        assert distance(getattr(turned, product)(w), expected) < 1e-12, product
    assert distance(turned.gradient(), as_other(there.gradient())) < 1e-12
    for one_by_one in (False, True):
        turned = Landscape(other, x, y, **options, one_by_one=one_by_one)
        for size in (1, 3):
            found = torch.cat(list(turned.microbatch_gradients(size)), 1)
            expected = torch.cat(list(there.microbatch_gradients(size)), 1)
            for c in range(IMAGES // size):
                assert distance(found[:, c], as_other(expected[:, c])) < 1e-12


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_micro_batches_one_by_one_have_the_same_gradients(name, size):
    at_once = Landscape(net_of(name), *images(name), precision="float64")
    expected = torch.cat(list(at_once.microbatch_gradients(size)), 1)
    for recorder in (None, Pool()):
        there = Landscape(
            net_of(name, recorder),
            *images(name),
            precision="float64",
            one_by_one=True,
        )
        for _ in range(2):
            blocks = list(there.microbatch_gradients(size))
            assert distance(torch.cat(blocks, 1), expected) < 1e-12
        assert there.passes == Passes(2 * IMAGES, 2 * IMAGES)
