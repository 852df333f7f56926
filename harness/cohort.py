"""A cohort's networks as one: S runs of one architecture, all parameters in [S, P].

A run's numbers do not depend on its neighbours: natively stacked models are batched
matrix products, which treat every run alike, and ordinary modules are called one
after the other.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.registry import MODELS
from harness.seeds import derive
from harness.spec import Part


def is_stacked(model: Part) -> bool:
    """Tell whether a model is written for many runs at once."""
    first = next(iter(inspect.signature(MODELS.get(model.name)).parameters), "")
    return first == "num_runs"


class CohortNet:
    """S networks of one architecture under one flat parameter tensor.

    Attributes:
        params: float32 `[num_runs, num_params]`; the optimizer writes here.
    """

    def __init__(
        self,
        model: Part,
        seeds: Sequence[int],
        in_shape: tuple[int, ...],
        num_classes: int,
        *,
        device: torch.device,
        precision: str = "float32",
    ) -> None:
        self._seeds = tuple(seeds)
        self._device = device
        self._autocast = precision == "bfloat16"
        self._stacked = is_stacked(model)
        shape = (in_shape, num_classes)
        singles = [_build(model, shape, seed, stacked=self._stacked) for seed in seeds]
        rows = torch.stack([_flatten(single) for single in singles])
        self.params = rows.to(device)
        self._grads = torch.empty_like(self.params)
        if self._stacked:
            factory = MODELS.get(model.name)
            self._nets = [factory(len(seeds), *shape, **model.params).to(device)]
        else:
            self._nets = [single.to(device) for single in singles]
        self._leaves = self._bind()
        self._dropouts = [
            m
            for m in self._nets[0].modules()
            if self._stacked and hasattr(m, "generators")
        ]

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._seeds)

    @property
    def stacked(self) -> bool:
        """Whether one module computes all runs; else there is a module a run."""
        return self._stacked

    def modules(self) -> list[tuple[nn.Module, slice]]:
        """Return every module with the rows of `params` that it computes."""
        if self._stacked:
            return [(self._nets[0], slice(0, len(self)))]
        return [(net, slice(s, s + 1)) for s, net in enumerate(self._nets)]

    def train_logits(self, inputs: Tensor, step: int) -> Tensor:
        """Return logits `[S, B, K]` in training mode.

        Args:
            inputs: float32 `[S, B, ...]`.
            step: Updates completed; names the dropout masks.
        """
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            if self._stacked:
                for layer in self._dropouts:
                    layer.generators = self._generators(step)
                logits: Tensor = self._nets[0].train()(inputs)
                return logits.float()
            return torch.stack(
                [self._one_logits(s, inputs[s], step) for s in range(len(self))]
            )

    @torch.no_grad()
    def eval_logits(self, inputs: Tensor) -> Tensor:
        """Return logits `[S, B, K]` of the same inputs `[B, ...]` for every run."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            if self._stacked:
                shared = inputs.expand(len(self), *inputs.shape)
                logits: Tensor = self._nets[0].eval()(shared)
                return logits.float()
            return torch.stack([net.eval()(inputs).float() for net in self._nets])

    def gradients(self, objectives: Tensor) -> Tensor:
        """Return the gradient of each run's objective `[S]` as `[S, P]`.

        The returned tensor is reused by the next call.
        """
        pieces = torch.autograd.grad(objectives.sum(), self._leaves)
        if self._stacked:
            flat = [piece.reshape(len(self), -1) for piece in pieces]
            return torch.cat(flat, dim=1, out=self._grads)
        each = len(pieces) // len(self)
        for s in range(len(self)):
            row = [piece.reshape(-1) for piece in pieces[s * each : (s + 1) * each]]
            torch.cat(row, out=self._grads[s])
        return self._grads

    def buffers(self) -> dict[str, Tensor]:
        """Return the buffers, such as running statistics, as `[S, ...]` tensors."""
        if self._stacked:
            return dict(self._nets[0].named_buffers())
        named = [dict(net.named_buffers()) for net in self._nets]
        return {k: torch.stack([each[k] for each in named]) for k in named[0]}

    @torch.no_grad()
    def load_buffers(self, values: dict[str, Tensor]) -> None:
        """Write buffers as returned by `buffers`."""
        for s, net in enumerate(self._nets):
            for name, buffer in net.named_buffers():
                buffer.copy_(values[name] if self._stacked else values[name][s])

    def _bind(self) -> list[nn.Parameter]:
        """Make every parameter a view of `params`; return them in order."""
        leaves = []
        for s, net in enumerate(self._nets):
            offset = 0
            for leaf in net.parameters():
                shape = leaf.shape[1:] if self._stacked else leaf.shape
                size = shape.numel()
                rows = self.params[:, offset : offset + size]
                if self._stacked:
                    leaf.data = rows.view(len(self), *shape)
                else:
                    leaf.data = rows[s].view(shape)
                leaves.append(leaf)
                offset += size
        return leaves

    def _generators(self, step: int) -> list[torch.Generator]:
        seeds = (derive(seed, "dropout", step) for seed in self._seeds)
        return [torch.Generator(self._device).manual_seed(seed) for seed in seeds]

    def _one_logits(self, s: int, inputs: Tensor, step: int) -> Tensor:
        """Call ordinary network `s` with its own random stream."""
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(derive(self._seeds[s], "dropout", step))
            if self._device.type == "cuda" and inputs.ndim == 4:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            logits: Tensor = self._nets[s].train()(inputs)
            return logits.float()


def _build(model: Part, shape: Any, seed: int, *, stacked: bool) -> nn.Module:
    """Build one run's network with the initial weights of its seed."""
    factory = MODELS.get(model.name)
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(derive(seed, "init"))
        lead = (1,) if stacked else ()
        net: nn.Module = factory(*lead, *shape, **model.params)
        return net


def _flatten(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()])
