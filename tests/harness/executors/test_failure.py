"""What kind of failure an exception is."""

import pytest
import torch

from harness.errors import CorpusError, DataError
from harness.executors.failure import kind_of


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DataError("CIFAR-10 is nowhere"), "data"),
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "oom"),
        (RuntimeError("CUDA error: out of memory"), "oom"),
        (RuntimeError("CUDA error: an illegal memory access"), "device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device"),
        (RuntimeError("NCCL error in: ProcessGroup"), "device"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "device"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "error"),
        (ValueError("num_images is -1"), "error"),
        (CorpusError("CUDA error"), "error"),
    ],
)
def test_exceptions_are_told_apart(error, kind):
    assert kind_of(error) == kind


def test_a_processor_without_memory_is_out_of_memory_too():
    with pytest.raises(RuntimeError, match=r"can't allocate memory") as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert kind_of(caught.value) == "oom"
