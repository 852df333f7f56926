"""The loss of S runs on fixed images as a function of their parameters.

Every signal of curvature and of gradient noise is made of these products. They work on
copies: nothing here can change a training run.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Self

import torch
from torch import Tensor

from harness.cohort import CohortNet
from harness.landscape_graph import FrozenNet
from harness.landscape_recorded import LANES, Recorded
from harness.landscape_sums import NetSums
from harness.linear_rows import LinearRows
from harness.passes import Passes

CPU_CHUNK: Final = 64
"""Images of a micro-batch on a CPU: what it computes stays in the cache."""
CUDA_CHUNK: Final = 256
"""Images of a micro-batch on a GPU."""
CPU_BLOCK: Final = 6 * 2**20
"""Numbers in a block of micro-batch gradients on a CPU (24 MiB)."""
CUDA_BLOCK: Final = 2**28
"""Numbers in a block of micro-batch gradients on a GPU (1 GiB)."""
Add = Callable[[NetSums], Callable[[Tensor, Tensor], None]]
"""Picks what a module adds to a sum, given `[S, P]`."""

GRAPHS: Final = "graphs"
"""Name of the body that sets up the graphs."""

DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.float32,
    "float64": torch.float64,
}
"""Precisions and the type in which each keeps parameters."""


class Landscape:
    """Mean cross-entropy of S runs on n images, its gradient and its curvature.

    The loss has no label smoothing and no weight decay. Networks are in evaluation
    mode: running statistics, no dropout. Parameters and buffers are copied at the
    start, so that the cohort may train on. Sums over images are taken in float64.

    Cost, in images a run (`passes` keeps count): setting up the graphs, which also
    gives the gradient, n forward and n backward; a product with the Hessian or with the
    gradients' covariance 2 n and 2 n (6.8 against 3.3 GFLOP an image for ResNet-18).
    Memory: what n images leave behind in a forward and a backward pass with
    `retain`, one micro-batch of it without; then each product sets up its own graphs.

    Where the cohort's execution records (`harness.execution`), everything but
    `linear_rows` is called directly once, then recorded and repeated, also after a
    `refresh`. What the graphs hold then lies in the memory that all recordings share,
    and is computed anew if another recording has been repeated since.

    Args:
        net: The cohort.
        inputs: Normalised images `[n, ...]`, not augmented, on the cohort's device.
        labels: int64 `[n]`.
        precision: "float32"; "bfloat16", autocast, whose products are float32 tensors
            with the noise of bfloat16; or "float64", the reference.
        chunk: Images of a micro-batch; by default 64 on a CPU and 256 on a GPU.
        retain: Keep the graphs from the first product until `release`; nothing is
            recorded without.
        one_by_one: Compute the gradients of micro-batches one after the other; by
            default for ordinary modules on a GPU.

    Raises:
        ValueError: The precision is unknown, or images and labels do not match.

    Example:
        >>> with Landscape(net, images, labels) as landscape:  # doctest: +SKIP
        ...     product = landscape.hvp(landscape.gradient())  # [S, P]
    """

    def __init__(
        self,
        net: CohortNet,
        inputs: Tensor,
        labels: Tensor,
        *,
        precision: str = "float32",
        chunk: int | None = None,
        retain: bool = True,
        one_by_one: bool | None = None,
    ) -> None:
        if precision not in DTYPES:
            raise ValueError(
                f"precision is {precision!r}, expected one of {', '.join(DTYPES)}"
            )
        if len(inputs) != len(labels) or not len(labels):
            raise ValueError(
                f"got {len(inputs)} images and {len(labels)} labels, expected equally "
                "many and at least one"
            )
        on_cpu = labels.device.type == "cpu"
        self.shape = net.params.shape
        if not (on_cpu or net.stacked) and inputs.ndim == 4:  # no gain on a CPU
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        self._net, self._inputs, self._labels = net, inputs, labels
        self._dtype = DTYPES[precision]
        self._chunk = chunk or (CPU_CHUNK if on_cpu else CUDA_CHUNK)
        self._block = CPU_BLOCK if on_cpu else CUDA_BLOCK
        self._retain = retain
        apart = not (on_cpu or net.stacked)
        self._one_by_one = apart if one_by_one is None else one_by_one
        self._parts = [
            NetSums(
                FrozenNet(
                    module,
                    rows,
                    net.params,
                    net.layout,
                    stacked=net.stacked,
                    dtype=self._dtype,
                    autocast=precision == "bfloat16",
                ),
                inputs,
                labels,
                chunk=self._chunk,
                retain=retain,
            )
            for module, rows in net.modules()
        ]
        self._records = retain and net.execution.records
        self._recorded: dict[str, Recorded] = {}
        if self._records:
            self._slope = self._zeros(self.shape[1])
        self._is_set_up = False
        self._forward = self._backward = 0

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._labels)

    @property
    def passes(self) -> Passes:
        """What has been done so far, in images a run."""
        return Passes(self._forward, self._backward)

    def refresh(self) -> None:
        """Look at the cohort's present parameters and buffers; count passes anew."""
        self.release()
        for part in self._parts:
            part.net.load(self._net.params)
        self._forward = self._backward = 0

    def release(self) -> None:
        """Free the graphs; the next product sets them up again.

        Once recorded they are part of the recordings, which live as long as this.
        """
        self._is_set_up = False
        graphs = self._recorded.get(GRAPHS)
        if graphs is None or not graphs.settled:
            for part in self._parts:
                part.drop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Free the graphs."""
        self.release()

    def loss(self) -> Tensor:
        """Return the mean loss in nats, float64 `[S]`. Cost: n forward."""
        return self.loss_at(torch.zeros(self.shape, device=self._labels.device))

    def loss_at(self, delta: Tensor) -> Tensor:
        """Return the mean loss at the parameters plus `delta [S, P]`, float64 `[S]`."""
        self._check(delta)
        losses = self._made("loss_at", lambda x: x.add_losses, delta, len(self))
        self._count(forward=1)
        return losses.mean(1)

    def gradient(self) -> Tensor:
        """Return the gradient `[S, P]`; setting up the graphs makes it known."""
        if self._records:
            self._graphs()
            return self._mean(self._slope, self._dtype)
        self._count_graphs()
        total = self._zeros(self.shape[1])
        for part in self._parts:
            part.add_gradient(total)
        return self._mean(total, self._dtype)

    def gradient_at(self, delta: Tensor) -> Tensor:
        """Return the gradient `[S, P]` at the parameters plus `delta [S, P]`.

        Cost: n forward and n backward; no graph stays.
        """
        self._check(delta)
        total = self._made("gradient_at", lambda x: x.add_gradient_at, delta)
        self._count(forward=1, backward=1)
        return self._mean(total, self._dtype)

    def hvp(self, v: Tensor) -> Tensor:
        """Return the Hessian times `v [S, P]`, in the type of `v`.

        Cost: 2 n forward and 2 n backward once the graphs are set up.
        """
        self._check(v)
        total = self._made("hvp", lambda x: x.add_hvp, v, by_graphs=True)
        self._count(forward=2, backward=2)
        return self._mean(total, v.dtype)

    def covariance_product(self, v: Tensor) -> Tensor:
        """Return the covariance of single images' gradients times `v [S, P]`.

        Formula: (1/n) sum over i of g_i (<g_i, v> - mean of <g_j, v>), which equals
        (1/n) sum of g_i <g_i, v> - gbar <gbar, v>. The projections <g_i, v> are the
        derivatives of <gradient, v> by the images' weights, so that no g_i is formed.
        Cost: 2 n forward and 2 n backward once the graphs are set up; a third of it is
        torch's convolutions computing derivatives that nobody asked for.
        """
        self._check(v)
        total = self._made("covariance", lambda x: x.add_covariance, v, by_graphs=True)
        self._count(forward=2 if self._retain else 3, backward=2)
        return self._mean(total, v.dtype)

    def microbatch_gradients(self, size: int = 1) -> Iterator[Tensor]:
        """Yield the gradients of consecutive micro-batches in blocks `[S, c, P]`.

        Cost: n forward and n backward for all of them.

        Args:
            size: Images of a micro-batch; 1 gives the gradients of single images.

        Raises:
            ValueError: The micro-batches would leave images over.
        """
        if size < 1 or len(self) % size:
            raise ValueError(
                f"size is {size}, expected a divisor of the {len(self)} images"
            )
        images = self._inputs.reshape(-1, size, *self._inputs.shape[1:])
        labels = self._labels.reshape(-1, size)
        together = math.gcd(len(labels), LANES) if self._one_by_one else 1
        count = max(1, min(self._chunk // size, self._block // self.shape.numel()))
        count = max(together, count // together * together)
        for start in range(0, len(labels), count):
            window = slice(start, start + count)
            if self._one_by_one:
                block = self._gradients(images[window], labels[window], together)
            else:
                block = torch.cat(
                    [
                        part.net.mean_gradients(images[window], labels[window])
                        for part in self._parts
                    ]
                )
            self._forward += block.shape[1] * size
            self._backward += block.shape[1] * size
            yield block

    def linear_rows(self, window: slice) -> list[LinearRows] | None:
        """Return what every linear layer sees of the images in `window`.

        None unless the networks consist of stacked linear layers alone. Cost: n forward
        and n backward for all images, without the products that give a gradient.
        """
        net = self._parts[0].net
        if not net.is_linear:
            return None
        self._forward += window.stop - window.start
        self._backward += window.stop - window.start
        return net.linear_rows(self._inputs[window], self._labels[window])

    def _gradients(self, images: Tensor, labels: Tensor, together: int) -> Tensor:
        """Return the gradients of micro-batches `[c, B, ...]` as `[S, c, P]`."""
        runs, dim = self.shape
        block = torch.empty(
            runs, len(labels), dim, dtype=self._dtype, device=labels.device
        )
        if not self._records:
            for c, (few, their) in enumerate(zip(images, labels, strict=True)):
                for part in self._parts:
                    block[part.net.rows, c] = part.net.mean_gradient(few, their)
            return block
        name = f"microbatches {list(images.shape[1:])}"
        if name not in self._recorded:
            self._recorded[name] = self._lanes(images[:together], labels[:together])
        for start in range(0, len(labels), together):
            window = slice(start, start + together)
            block[:, window] = self._recorded[name](images[window], labels[window])
        return block

    def _lanes(self, images: Tensor, labels: Tensor) -> Recorded:
        """Return the gradients of as many micro-batches, to be recorded."""
        few, their = images.clone(), labels.clone()
        runs, dim = self.shape
        out = torch.zeros(
            runs, len(their), dim, dtype=self._dtype, device=labels.device
        )

        def fill(c: int, net: FrozenNet) -> None:
            out[net.rows, c] = net.mean_gradient(few[c], their[c])

        nets = [part.net for part in self._parts]
        tasks = [partial(fill, c, net) for c in range(len(their)) for net in nets]
        return Recorded(self._net.execution, tasks, (few, their), out)

    def _made(
        self,
        name: str,
        add: Add,
        v: Tensor,
        columns: int | None = None,
        *,
        by_graphs: bool = False,
    ) -> Tensor:
        """Return what all modules add to zeros `[S, columns]`, by default `[S, P]`.

        Where it is recorded, the next call writes to the same tensor.
        """
        columns = columns or self.shape[1]
        if not self._records:
            if by_graphs:
                self._count_graphs()
            out = self._zeros(columns)
            for part in self._parts:
                add(part)(v, out)
            return out
        after = self._graphs() if by_graphs else None
        if name not in self._recorded:
            at = torch.zeros(self.shape, dtype=self._dtype, device=v.device)
            out = self._zeros(columns)
            tasks = [partial(add(part), at, out) for part in self._parts]
            self._recorded[name] = Recorded(
                self._net.execution, tasks, (at,), out, after
            )
        return self._recorded[name](v)

    def _graphs(self) -> Recorded:
        """Return the body that sets up the graphs and gives the gradient, once done."""
        if GRAPHS not in self._recorded:
            tasks = [
                partial(part.add_new_gradient, self._slope) for part in self._parts
            ]
            self._recorded[GRAPHS] = Recorded(
                self._net.execution, tasks, (), self._slope
            )
        if not self._is_set_up:
            self._recorded[GRAPHS]()
            self._count_graphs()
        return self._recorded[GRAPHS]

    def _count_graphs(self) -> None:
        """Count setting up the graphs, unless they are kept."""
        if not self._is_set_up:
            self._count(forward=1, backward=1)
        self._is_set_up = self._retain

    def _count(self, forward: int = 0, backward: int = 0) -> None:
        """Count passes of all images, once for all runs."""
        self._forward += forward * len(self)
        self._backward += backward * len(self)

    def _zeros(self, columns: int) -> Tensor:
        shape, device = (self.shape[0], columns), self._labels.device
        return torch.zeros(shape, dtype=torch.float64, device=device)

    def _mean(self, total: Tensor, dtype: torch.dtype) -> Tensor:
        return (total / len(self)).to(dtype)

    def _check(self, v: Tensor) -> None:
        if v.shape != self.shape:
            raise ValueError(
                f"a direction has shape {list(v.shape)}, expected {list(self.shape)}: "
                "[runs, parameters]"
            )
