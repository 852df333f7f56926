"""A recorder for a CPU that keeps the rules of a CUDA graph.

It writes down every operation of a body with the very tensors it worked on, undoes what
the body did, and repeats the operations on the same memory. Whatever the body computed
on the host is frozen, as it is in a graph; reading a value of the device is an error.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

BATCH_NORM = ("native_batch_norm", "_native_batch_norm_legit")
"""Operations that change their running statistics without saying so."""


class Tape:
    """Records bodies operation by operation."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.replays = 0

    def warm_up(self, body):
        """Run `body`."""
        body()

    def record(self, body):
        """Record `body`, leave every tensor as it was, and return what repeats it."""
        with _Writer() as writer:
            body()
        for storage, before in writer.before.values():
            storage.copy_(before)
        self.lengths.append(len(writer.lines))

        @torch.no_grad()
        def repeat():
            self.replays += 1
            for function, args, kwargs, outputs in writer.lines:
                again = function(*args, **kwargs)
                for old, new in zip(_tensors(outputs), _tensors(again), strict=True):
                    if old.data_ptr() != new.data_ptr():
                        old.copy_(new)

        return repeat


class _Writer(TorchDispatchMode):
    """Keeps what is called, and what tensors from outside held before."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Any] = []
        self.before: dict[int, Any] = {}
        self._own: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        assert name != "_local_scalar_dense", "the host reads a value of the device"
        assert torch.Tag.nondeterministic_seeded not in function.tags, f"{name} draws"
        for tensor in _written(function, args, kwargs):
            storage = tensor.untyped_storage()
            key = storage.data_ptr()
            if key not in self._own and key not in self.before:
                self.before[key] = (storage, storage.clone())
        outputs = function(*args, **kwargs)
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        for tensor in _tensors(outputs):
            if tensor.untyped_storage().data_ptr() not in given:
                self._own.add(tensor.untyped_storage().data_ptr())
        line = (function, args, kwargs, outputs)
        self.lines.append(tree_map_only(Tensor, Tensor.detach, line))
        return outputs


def _written(function, args, kwargs) -> list[Tensor]:
    """Return the tensors that a call changes."""
    if function.overloadpacket.__name__ in BATCH_NORM:
        return _tensors(args[3:5])
    found = []
    for i, argument in enumerate(function._schema.arguments):
        value = args[i] if i < len(args) else kwargs.get(argument.name)
        if argument.alias_info is not None and argument.alias_info.is_write:
            found += _tensors(value)
    return found


def _tensors(value) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for each in value for tensor in _tensors(each)]
    return []
