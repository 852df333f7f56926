"""Where the parameters of a network lie in its row of a flat tensor `[S, P]`."""

import torch
from torch import Tensor, nn


class FlatLayout:
    """The parameters of one module, end to end in the order of `parameters()`.

    A module computes s runs: all of them if it is natively stacked, its parameters then
    leading with the run, else one. With `channels_last` the weights of a convolution
    lie as [out, height, width, in], the order in which fast kernels of a GPU read them,
    so that a weight is a view of the row and its gradient is copied without reordering.

    Args:
        module: The network.
        stacked: Whether its parameters lead with the run.
        channels_last: Reorder four-dimensional parameters; of ordinary modules only.
    """

    def __init__(
        self, module: nn.Module, *, stacked: bool, channels_last: bool
    ) -> None:
        self._stacked = stacked
        self._channels_last = channels_last and not stacked
        self.shapes = [leaf.shape for leaf in module.parameters()]
        self.sizes = [
            (shape[1:] if stacked else shape).numel() for shape in self.shapes
        ]

    def views(self, rows: Tensor) -> list[Tensor]:
        """Return every parameter as a view of the module's rows `[s, P]`."""
        pieces = torch.split(rows, self.sizes, 1)
        return [
            self._shaped(piece, shape)
            for piece, shape in zip(pieces, self.shapes, strict=True)
        ]

    def join(self, pieces: list[Tensor]) -> Tensor:
        """Return tensors shaped as the parameters as rows `[s, P]`."""
        runs = self.shapes[0][0] if self._stacked else 1
        return torch.cat([self._ordered(p).reshape(runs, -1) for p in pieces], 1)

    def _shaped(self, piece: Tensor, shape: torch.Size) -> Tensor:
        if self._channels_last and len(shape) == 4:
            out, channels, height, width = shape
            return piece.view(out, height, width, channels).permute(0, 3, 1, 2)
        return piece.view(shape)

    def _ordered(self, piece: Tensor) -> Tensor:
        if self._channels_last and piece.ndim == 4:
            return piece.permute(0, 2, 3, 1)
        return piece
