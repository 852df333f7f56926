"""A cohort's networks as one: S runs of one architecture, all parameters in [S, P].

A run's numbers do not depend on its neighbours: natively stacked models are batched
matrix products, which treat every run alike, and ordinary modules are called one
after the other, on a GPU each on a stream of its own, so that their kernels overlap.
"""

import contextlib
import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.execution import Execution
from harness.layout import FlatLayout
from harness.registry import MODELS
from harness.seeds import derive
from harness.spec import Part


def is_stacked(model: Part) -> bool:
    """Tell whether a model is written for many runs at once."""
    first = next(iter(inspect.signature(MODELS.get(model.name)).parameters), "")
    return first == "num_runs"


def is_recordable(model: Part, in_shape: tuple[int, ...], num_classes: int) -> bool:
    """Tell whether a training step draws no random numbers: it may be a CUDA graph."""
    if is_stacked(model):
        return not model.params.get("dropout")
    return not _draws(model, in_shape, num_classes)


class CohortNet:
    """S networks of one architecture under one flat parameter tensor.

    In bfloat16 an ordinary module's convolutions and linear layers compute with rounded
    copies of their parameters, made by one kernel a pass instead of by autocast layer
    by layer; the numbers are the same.

    Args:
        model: The architecture.
        seeds: One a run, for initial weights and dropout.
        in_shape: Shape of an image.
        num_classes: K.
        device: Where the networks live.
        precision: "float32", or "bfloat16": autocast.
        execution: How passes are run; by default directly.
        channels_last: See `FlatLayout`; images of ordinary modules follow. By default
            on a GPU, whose fast kernels want it. On a CPU ResNets would train 1.2 to
            1.6 times faster, but torch 2.15 corrupts memory in the gradient of a
            strided 1x1 convolution of few channels.

    Attributes:
        params: float32 `[num_runs, num_params]`; the optimizer writes here.
        layout: Where each parameter lies in a row.
        execution: How passes are run.
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
        execution: Execution | None = None,
        channels_last: bool | None = None,
    ) -> None:
        self._seeds = tuple(seeds)
        self._device = device
        self._autocast = precision == "bfloat16"
        self._stacked = is_stacked(model)
        self._channels_last = (
            device.type == "cuda" if channels_last is None else channels_last
        )
        shape = (in_shape, num_classes)
        singles = [_build(model, shape, seed, stacked=self._stacked) for seed in seeds]
        one = FlatLayout(
            singles[0], stacked=self._stacked, channels_last=self._channels_last
        )
        rows = [one.join([p.detach() for p in net.parameters()]) for net in singles]
        self.params = torch.cat(rows).to(device)
        self._grads = torch.empty_like(self.params)
        if self._stacked:
            factory = MODELS.get(model.name)
            self._nets = [factory(len(seeds), *shape, **model.params).to(device)]
        else:
            self._nets = [single.to(device) for single in singles]
        self.layout = FlatLayout(
            self._nets[0], stacked=self._stacked, channels_last=self._channels_last
        )
        self._bind()
        self._dropouts = [
            m
            for m in self._nets[0].modules()
            if self._stacked and hasattr(m, "generators") and m.p > 0
        ]
        self._draws = not self._stacked and _draws(model, in_shape, num_classes)
        self.execution = execution or Execution("eager")
        self._forward = self.execution.compiled(_logits)
        apart = device.type == "cuda" and not (self._stacked or self._draws)
        self._streams = _streams(device, len(seeds) if apart else 1)

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._seeds)

    @property
    def stacked(self) -> bool:
        """Whether one module computes all runs; else there is a module a run."""
        return self._stacked

    @property
    def order(self) -> str:
        """How weights lie in a row: a state fits only networks of the same order."""
        return "channels last" if self._channels_last else "contiguous"

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
        with self._casting():
            if self._stacked:
                for layer in self._dropouts:
                    layer.generators = self._generators(step)
                return self._forward(self._nets[0].train(), inputs)
            return self._each(list(inputs), step)

    @torch.no_grad()
    def eval_logits(self, inputs: Tensor) -> Tensor:
        """Return logits `[S, B, K]` of the same inputs `[B, ...]` for every run."""
        with self._casting():
            if self._stacked:
                shared = inputs.expand(len(self), *inputs.shape)
                return self._forward(self._nets[0].eval(), shared)
            return self._each([inputs] * len(self), None)

    def gradients(self, objectives: Tensor) -> Tensor:
        """Return the gradient of each run's objective `[S]` as `[S, P]`.

        The returned tensor is reused by the next call.
        """
        pieces = torch.autograd.grad(objectives.sum(), self._leaves)
        if self._stacked:
            flat = [piece.reshape(len(self), -1) for piece in pieces]
            return torch.cat(flat, dim=1, out=self._grads)
        torch._foreach_copy_(self._grad_views, pieces)
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

    def _bind(self) -> None:
        """Make every parameter a view of `params`, or of its copy in bfloat16."""
        casts = self._autocast and not self._stacked
        half = self.params.bfloat16() if casts else self.params
        self._leaves: list[nn.Parameter] = []
        self._grad_views: list[Tensor] = []
        self._exact: list[Tensor] = []
        self._rounded: list[Tensor] = []
        for net, rows in self.modules():
            cast = _cast_parameters(net) if casts else ()
            named = list(net.named_parameters())
            views = [self.layout.views(t[rows]) for t in (self.params, half)]
            for (name, leaf), exact, rounded in zip(named, *views, strict=True):
                leaf.data = rounded if name in cast else exact
                self._leaves.append(leaf)
                if name in cast:
                    self._exact.append(exact)
                    self._rounded.append(rounded)
            self._grad_views += self.layout.views(self._grads[rows])

    @contextlib.contextmanager
    def _casting(self) -> Iterator[None]:
        """Round the parameters and let every operation choose its precision."""
        if self._rounded:
            with torch.no_grad():
                torch._foreach_copy_(self._rounded, self._exact)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            yield

    def _each(self, inputs: Sequence[Tensor], step: int | None) -> Tensor:
        """Call every ordinary network on its own images; return `[S, B, K]`.

        Backward passes follow their forward passes onto the streams.

        Args:
            inputs: `[B, ...]` a network.
            step: Updates completed; None for evaluation mode.
        """
        if self._channels_last and inputs[0].ndim == 4:
            last = torch.channels_last
            inputs = [images.contiguous(memory_format=last) for images in inputs]
        if not self._streams:
            return torch.stack([self._one(s, x, step) for s, x in enumerate(inputs)])
        current, logits = torch.cuda.current_stream(self._device), []
        for s, stream in enumerate(self._streams):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                logits.append(self._one(s, inputs[s], step))
        for stream in self._streams:
            current.wait_stream(stream)
        return torch.stack(logits)

    def _one(self, s: int, inputs: Tensor, step: int | None) -> Tensor:
        """Call ordinary network `s`; what it draws in training is named by the step."""
        net = self._nets[s].train(step is not None)
        if step is None or not self._draws:
            return self._forward(net, inputs)
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(derive(self._seeds[s], "dropout", step))
            return self._forward(net, inputs)

    def _generators(self, step: int) -> list[torch.Generator]:
        seeds = (derive(seed, "dropout", step) for seed in self._seeds)
        return [torch.Generator(self._device).manual_seed(seed) for seed in seeds]


def _streams(device: torch.device, count: int) -> list[torch.cuda.Stream]:
    """Return a stream a run; none for a single run."""
    return [
        torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        for _ in range(count if count > 1 else 0)
    ]


def _logits(net: nn.Module, inputs: Tensor) -> Tensor:
    logits: Tensor = net(inputs)
    return logits.float()


def _cast_parameters(net: nn.Module) -> set[str]:
    """Return the parameters that autocast rounds: of convolutions and linear layers."""
    return {
        f"{name}.{own}".removeprefix(".")
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        for own, _ in module.named_parameters(recurse=False)
    }


def _build(model: Part, shape: Any, seed: int, *, stacked: bool) -> nn.Module:
    """Build one run's network with the initial weights of its seed."""
    factory = MODELS.get(model.name)
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(derive(seed, "init"))
        lead = (1,) if stacked else ()
        net: nn.Module = factory(*lead, *shape, **model.params)
        return net


@functools.lru_cache
def _draws(model: Part, in_shape: tuple[int, ...], num_classes: int) -> bool:
    """Tell whether an ordinary network draws random numbers when it trains."""
    net = _build(model, (in_shape, num_classes), 0, stacked=False).train()
    with torch.random.fork_rng([]), torch.no_grad():
        before = torch.get_rng_state()
        net(torch.zeros(2, *in_shape))
        return not torch.equal(before, torch.get_rng_state())
