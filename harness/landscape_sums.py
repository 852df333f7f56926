"""What one module of a cohort adds to sums over images, one micro-batch at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.landscape_graph import FrozenNet, Graph, derivative, gradient_graph


class NetSums:
    """Sums over n images of losses, gradients and products, of one module's s runs.

    The methods add to the module's rows of `out`, float64 `[S, P]` or `[S, n]`. They
    ask the device for no value, so that they can be recorded.

    Args:
        net: The module.
        inputs: Images `[n, ...]`.
        labels: int64 `[n]`.
        chunk: Images of a micro-batch.
        retain: Keep the graphs of gradients until `drop`.
    """

    def __init__(
        self,
        net: FrozenNet,
        inputs: Tensor,
        labels: Tensor,
        *,
        chunk: int,
        retain: bool,
    ) -> None:
        self.net = net
        self._inputs, self._labels = inputs, labels
        self._chunk, self._retain = chunk, retain
        self._kept: dict[int, Graph] = {}

    def drop(self) -> None:
        """Free the graphs."""
        self._kept.clear()

    def add_losses(self, delta: Tensor, out: Tensor) -> None:
        """Add every image's loss at the parameters plus `delta [S, P]`."""
        leaves = self.net.moved(delta)
        for window in self._windows():
            with torch.no_grad():
                out[self.net.rows, window] += self._losses(leaves, window)

    def add_gradient(self, out: Tensor) -> None:
        """Add the gradient; the graphs are there afterwards."""
        for _, graph in self._graphs():
            out[self.net.rows] += self.net.join(graph.grads)

    def add_new_gradient(self, out: Tensor) -> None:
        """Add the gradient, setting up the graphs anew."""
        self.drop()
        self.add_gradient(out)

    def add_gradient_at(self, delta: Tensor, out: Tensor) -> None:
        """Add the gradient at the parameters plus `delta [S, P]`."""
        leaves = self.net.moved(delta)
        for window in self._windows():
            with torch.enable_grad():
                losses = self._losses(leaves, window)
            pieces = derivative(
                [losses], leaves, [torch.ones_like(losses)], retain=False
            )
            out[self.net.rows] += self.net.join(pieces)

    def add_hvp(self, v: Tensor, out: Tensor) -> None:
        """Add the Hessian times `v [S, P]`."""
        along = self.net.cut(v)
        for _, graph in self._graphs():
            pieces = derivative(
                graph.grads, self.net.leaves, along, retain=self._retain
            )
            out[self.net.rows] += self.net.join(pieces)

    def add_covariance(self, v: Tensor, out: Tensor) -> None:
        """Add the centred second moment of the images' gradients times `v [S, P]`."""
        along, seen = self.net.cut(v), self._per_image(len(v))
        for window, graph in self._graphs():
            (seen[:, window],) = derivative(
                graph.grads, [graph.weights], along, retain=self._retain
            )
        seen -= seen.mean(1, keepdim=True)
        for window in self._windows():
            pieces = derivative(
                [self._attached_losses(window)],
                self.net.leaves,
                [seen[:, window]],
                retain=self._retain,
            )
            out[self.net.rows] += self.net.join(pieces)

    def _graphs(self) -> Iterator[tuple[slice, Graph]]:
        """Yield every micro-batch with its graph, kept or new."""
        for window in self._windows():
            graph = self._kept.get(window.start)
            if graph is None:
                images, labels = self._inputs[window], self._labels[window]
                graph = gradient_graph(self.net, images, labels)
                if self._retain:
                    self._kept[window.start] = graph
            yield window, graph

    def _attached_losses(self, window: slice) -> Tensor:
        """Return a micro-batch's losses with a graph, kept or new."""
        graph = self._kept.get(window.start)
        if graph is not None:
            return graph.losses
        with torch.enable_grad():
            return self._losses(self.net.leaves, window)

    def _losses(self, leaves: list[Tensor], window: slice) -> Tensor:
        return self.net.losses(leaves, self._inputs[window], self._labels[window])

    def _windows(self) -> Iterator[slice]:
        for start in range(0, len(self._labels), self._chunk):
            yield slice(start, min(start + self._chunk, len(self._labels)))

    def _per_image(self, runs: int) -> Tensor:
        shape, device = (runs, len(self._labels)), self._labels.device
        zeros = torch.zeros(shape, dtype=torch.float64, device=device)
        return zeros[self.net.rows]
