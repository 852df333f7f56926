"""The host does not wait for the device inside an epoch.

A read of a value is what makes it wait; on a CPU reads are counted as they are made.
Forward operations also run on imaginary CUDA tensors, which refuse a tensor that was
forgotten on the processor and a value that nobody computed.
"""

import itertools

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from harness.augment.crop import CropFlip
from harness.augment.randaugment import RandAugment
from harness.curves import CurveBuffer
from harness.execution import Execution
from harness.objectives import CrossEntropy
from harness.registry import OPTIMIZERS
from harness.train import train
from tests.harness.tape import Tape
from tests.harness.toy import toy_data, toy_run


class Reads(TorchDispatchMode):
    """Counts values that the host asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket.__name__ == "_local_scalar_dense"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("probes", [False, True], ids=["bare", "directions"])
def test_the_host_reads_one_value_an_epoch(probes):
    from harness.spec import Part

    watch = (Part("update_direction", {"cadence": "epochs:9", "window": 2}),)
    run = toy_run(epochs=5, evals_per_epoch=4, probes=watch if probes else ())
    counts = []

    def at_ends(step, num_steps):
        if step and step % (num_steps // 5) == 0:
            counts.append(reads.count)

    with Reads() as reads:
        train(
            [run],
            toy_data(),
            execution=Execution("graph", Tape()),
            progress=at_ends,
        )
    between = [b - a for a, b in itertools.pairwise(counts)]
    assert len(between) == 4
    assert between[1:-1] == [1, 1]  # whether any run is still alive
    assert max(between) <= 1 + 4 * probes  # and what a probe measures at the end


@pytest.fixture
def imaginary():
    real = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    RandAugment()(real, torch.rand(2, 5))  # strengths are looked up on the processor
    with FakeTensorMode():
        yield torch.device("cuda")


@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_runs_on_the_device_alone(imaginary, channels):
    images = torch.zeros(6, channels, 32, 32, dtype=torch.uint8, device=imaginary)
    for augment in (CropFlip(), RandAugment()):
        uniforms = torch.rand(6, augment.num_uniforms, device=imaginary)
        out = augment(images, uniforms)
        assert out.device.type == "cuda"
        assert out.shape == images.shape
        assert out.dtype == torch.uint8


def test_losses_and_curves_stay_on_the_device(imaginary):
    logits = torch.randn(3, 8, 10, device=imaginary)
    labels = torch.zeros(3, 8, dtype=torch.int64, device=imaginary)
    smoothing = 0.1
    losses = CrossEntropy(label_smoothing=smoothing)(logits, labels)
    assert losses.objective.device.type == "cuda"
    buffer = CurveBuffer(["loss"], range(5), 3, imaginary)
    index = torch.zeros(1, dtype=torch.int64, device=imaginary)
    buffer.write_at(index, {"loss": losses.objective})
    assert buffer.state()["loss"].device.type == "cuda"


def test_the_imaginary_device_notices_a_tensor_left_behind(imaginary):
    with pytest.raises(RuntimeError, match=r"device"):
        torch.zeros(3, device=imaginary) + torch.zeros(3)


def test_every_optimizer_steps_without_a_read():
    with Reads() as reads:
        for name in OPTIMIZERS.names():
            params = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
            optimizer = OPTIMIZERS.get(name)(params, lr=0.1)
            optimizer.static = True
            before = reads.count
            optimizer.step(torch.ones(2, 5), torch.tensor([[1.0], [0.0]]))
            assert reads.count == before, name
            assert params.isfinite().all()
