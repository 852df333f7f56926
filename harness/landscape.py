"""The loss of S runs on fixed images as a function of their parameters.

Every signal of curvature and of gradient noise is made of these products. They work on
copies: nothing here can change a training run.
"""

from collections.abc import Iterator
from typing import Final, Self

import torch
from torch import Tensor

from harness.cohort import CohortNet
from harness.landscape_graph import FrozenNet, Graph, derivative, gradient_graph
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

    Args:
        net: The cohort.
        inputs: Normalised images `[n, ...]`, not augmented, on the cohort's device.
        labels: int64 `[n]`.
        precision: "float32"; "bfloat16", autocast, whose products are float32 tensors
            with the noise of bfloat16; or "float64", the reference.
        chunk: Images of a micro-batch; by default 64 on a CPU and 256 on a GPU.
        retain: Keep the graphs from the first product until `release`.

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
        self._inputs, self._labels = inputs, labels
        self._dtype = DTYPES[precision]
        self._chunk = chunk or (CPU_CHUNK if on_cpu else CUDA_CHUNK)
        self._block = CPU_BLOCK if on_cpu else CUDA_BLOCK
        self._retain = retain
        self._nets = [
            FrozenNet(
                module,
                rows,
                net.params,
                stacked=net.stacked,
                dtype=self._dtype,
                autocast=precision == "bfloat16",
            )
            for module, rows in net.modules()
        ]
        self._kept: dict[tuple[FrozenNet, int], Graph] = {}
        self._forward = self._backward = 0

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._labels)

    @property
    def passes(self) -> Passes:
        """What has been done so far, in images a run."""
        return Passes(self._forward, self._backward)

    def release(self) -> None:
        """Free the graphs; the next product sets them up again."""
        self._kept.clear()

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
        losses = self._per_image()
        for net in self._nets:
            leaves = net.moved(delta)
            for window in self._windows():
                with torch.no_grad():
                    losses[net.rows, window] = self._losses(net, leaves, window)
        return losses.mean(1)

    def gradient(self) -> Tensor:
        """Return the gradient `[S, P]`; setting up the graphs makes it known."""
        total = self._zeros()
        for net in self._nets:
            for _, graph in self._graphs(net):
                total[net.rows] += net.join(graph.grads)
        return self._mean(total, self._dtype)

    def gradient_at(self, delta: Tensor) -> Tensor:
        """Return the gradient `[S, P]` at the parameters plus `delta [S, P]`.

        Cost: n forward and n backward; no graph stays.
        """
        self._check(delta)
        total = self._zeros()
        for net in self._nets:
            leaves = net.moved(delta)
            for window in self._windows():
                with torch.enable_grad():
                    losses = self._losses(net, leaves, window)
                ones = torch.ones_like(losses)
                total[net.rows] += net.join(
                    derivative([losses], leaves, [ones], retain=False)
                )
                self._count(net, window, backward=1)
        return self._mean(total, self._dtype)

    def hvp(self, v: Tensor) -> Tensor:
        """Return the Hessian times `v [S, P]`, in the type of `v`.

        Cost: 2 n forward and 2 n backward once the graphs are set up.
        """
        self._check(v)
        total = self._zeros()
        for net in self._nets:
            along = net.cut(v)
            for window, graph in self._graphs(net):
                total[net.rows] += net.join(
                    derivative(graph.grads, net.leaves, along, retain=self._retain)
                )
                self._count(net, window, forward=2, backward=2)
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
        seen = self._per_image()
        for net in self._nets:
            along = net.cut(v)
            for window, graph in self._graphs(net):
                (seen[net.rows, window],) = derivative(
                    graph.grads, [graph.weights], along, retain=self._retain
                )
                self._count(net, window, forward=2, backward=1)
        seen -= seen.mean(1, keepdim=True)
        total = self._zeros()
        for net in self._nets:
            for window in self._windows():
                losses = self._attached_losses(net, window)
                along = [seen[net.rows, window]]
                total[net.rows] += net.join(
                    derivative([losses], net.leaves, along, retain=self._retain)
                )
                self._count(net, window, backward=1)
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
        count = max(1, min(self._chunk // size, self._block // self.shape.numel()))
        for start in range(0, len(labels), count):
            window = slice(start, start + count)
            block = torch.cat(
                [
                    net.mean_gradients(images[window], labels[window])
                    for net in self._nets
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
        net = self._nets[0]
        if not net.is_linear:
            return None
        self._count(net, window, forward=1, backward=1)
        return net.linear_rows(self._inputs[window], self._labels[window])

    def _graphs(self, net: FrozenNet) -> Iterator[tuple[slice, Graph]]:
        """Yield every micro-batch with its graph, kept or new."""
        for window in self._windows():
            graph = self._kept.get((net, window.start))
            if graph is None:
                graph = gradient_graph(net, self._inputs[window], self._labels[window])
                self._count(net, window, forward=1, backward=1)
                if self._retain:
                    self._kept[net, window.start] = graph
            yield window, graph

    def _attached_losses(self, net: FrozenNet, window: slice) -> Tensor:
        """Return a micro-batch's losses with a graph, kept or new."""
        graph = self._kept.get((net, window.start))
        if graph is not None:
            return graph.losses
        with torch.enable_grad():
            return self._losses(net, net.leaves, window)

    def _losses(self, net: FrozenNet, leaves: list[Tensor], window: slice) -> Tensor:
        self._count(net, window, forward=1)
        return net.losses(leaves, self._inputs[window], self._labels[window])

    def _windows(self) -> Iterator[slice]:
        for start in range(0, len(self), self._chunk):
            yield slice(start, min(start + self._chunk, len(self)))

    def _count(
        self, net: FrozenNet, window: slice, forward: int = 0, backward: int = 0
    ) -> None:
        """Count passes of a micro-batch, once for all runs."""
        if net is self._nets[0]:
            self._forward += forward * (window.stop - window.start)
            self._backward += backward * (window.stop - window.start)

    def _zeros(self) -> Tensor:
        device = self._labels.device
        return torch.zeros(self.shape, dtype=torch.float64, device=device)

    def _per_image(self) -> Tensor:
        shape = (self.shape[0], len(self))
        return torch.zeros(shape, dtype=torch.float64, device=self._labels.device)

    def _mean(self, total: Tensor, dtype: torch.dtype) -> Tensor:
        return (total / len(self)).to(dtype)

    def _check(self, v: Tensor) -> None:
        if v.shape != self.shape:
            raise ValueError(
                f"a direction has shape {list(v.shape)}, expected {list(self.shape)}: "
                "[runs, parameters]"
            )
