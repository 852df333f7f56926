"""How often the default probes make the host wait for the device."""

import dataclasses

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from harness.cadence import Timeline
from harness.cohort import CohortNet
from harness.probes.base import Scene
from harness.registry import PROBES
from harness.spec import Part
from tests.harness.toy import toy_data, toy_run

READS = ("cpu", "item", "tolist", "__bool__", "__float__", "__int__", "nonzero")


class Reads(TorchFunctionMode):
    """Counts what would wait: reads, and tensors made on the host and moved."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        to_host = name == "to" and any(
            "cpu" in str(a) for a in (*args[1:], *(kwargs or {}).values())
        )
        self.count += name in READS or to_host
        return function(*args, **(kwargs or {}))


class Scalars(TorchDispatchMode):
    """Counts values read one by one, also those inside of other operations."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        masks = name == "index" and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        self.count += name in ("_local_scalar_dense", "nonzero") or masks
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("name", "arguments", "most"),
    [
        ("gradient_noise", {"images": 64, "microbatch": 1}, 4),
        ("gradient_autocorrelation", {"images": 16, "cadence": "steps:1"}, 3),
        ("hessian", {"images": 16, "steps": 4, "probes": 2}, 9),
        ("hessian", {"images": 16, "steps": 12, "probes": 6}, 9),
        ("update_direction", {"window": 4}, 3),
    ],
)
def test_a_measurement_reads_the_device_a_few_times(name, arguments, most):
    part = Part(name, arguments).resolve(PROBES)
    run = dataclasses.replace(
        toy_run(model="resnet20"), model=Part("resnet20", {"width": 0.25})
    ).resolve()
    data = toy_data()
    net = CohortNet(
        run.model, [0, 1], data.in_shape, data.num_classes, device=torch.device("cpu")
    )
    scene = Scene(cohort=[run, run], net=net, data=data, timeline=Timeline(24, 8))
    probe = PROBES.get(name)(scene, **part.params)
    for step in probe.steps[:2]:
        with Reads() as reads, Scalars() as scalars:
            if probe.watches(step):
                for _ in range(4):
                    probe.observe(step, torch.ones_like(net.params))
            found = probe.measure(step)
    assert found
    assert scalars.count == 0
    assert 0 < reads.count <= most
