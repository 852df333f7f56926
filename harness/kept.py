"""What batches leave in networks beside the gradient, kept from bad updates.

A forward pass in training writes running statistics before its loss tells whether the
update is bad: those of a bad update are taken back, so that a run ends in its last
finite state, whoever its neighbours are and wherever it was interrupted.
"""

import torch
from torch import Tensor, nn

from harness.cohort import CohortNet


class KeptBuffers:
    """The buffers of S runs, and what they were after the last good update of each.

    Args:
        net: Networks that write their buffers in place, or put others of the same
            shape in their place.
    """

    def __init__(self, net: CohortNet) -> None:
        runs = len(net)
        self._good = torch.ones(runs, dtype=torch.bool, device=net.params.device)
        self._groups: list[_Group] = []
        owners = [
            (module, name, buffer)
            for top, _ in net.modules()
            for module in top.modules()
            for name, buffer in module.named_buffers(recurse=False)
        ]
        for dtype in dict.fromkeys(buffer.dtype for *_, buffer in owners):
            held = [(m, name) for m, name, buffer in owners if buffer.dtype is dtype]
            self._groups.append(_Group(held, runs, stacked=net.stacked))

    def start(self) -> None:
        """Keep the buffers as they are now."""
        for group in self._groups:
            group.kept.copy_(group.look())

    @torch.no_grad()
    def whole(self) -> Tensor:
        """Return which runs' buffers are finite now, bool `[S]`."""
        good = self._good
        for group in self._groups:
            now = group.look()
            if now.is_floating_point():
                good = good & torch.isfinite(now).all(dim=1)
        return good

    @torch.no_grad()
    def settle(self, alive: Tensor, *, masks: bool) -> None:
        """Keep the buffers of runs that are alive and give the others theirs back.

        Args:
            alive: bool `[S]`, judged after `whole` has looked.
            masks: Whether the device must not be asked for a value.
        """
        if not self._groups:
            return
        some_dead = masks or not alive.all()
        for group in self._groups:
            if some_dead:
                group.kept.copy_(torch.where(alive[:, None], group.seen, group.kept))
                group.give_back()
            else:
                group.kept.copy_(group.seen)


class _Group:
    """Buffers of one type of number, as one table with a row a run."""

    def __init__(
        self, held: list[tuple[nn.Module, str]], runs: int, *, stacked: bool
    ) -> None:
        # A module of all runs has a row a run in each buffer; others stand in order.
        self._lead = runs if stacked else 1
        self._runs, self._held = runs, held
        tensors = self._tensors()
        self._shapes = [t.shape for t in tensors]
        self._sizes = [t.numel() // self._lead for t in tensors]
        self.seen = self.look()
        self.kept = self.seen.clone()

    def look(self) -> Tensor:
        """Return the buffers `[S, n]` and remember them as `seen`."""
        rows = [tensor.reshape(self._lead, -1) for tensor in self._tensors()]
        self.seen = torch.cat(rows, dim=1).view(self._runs, -1)
        return self.seen

    def give_back(self) -> None:
        """Write what is kept into the buffers."""
        table = self.kept.view(self._lead, -1)
        pieces = table.split(self._sizes, dim=1)  # type: ignore[no-untyped-call]
        shaped = [p.reshape(s) for p, s in zip(pieces, self._shapes, strict=True)]
        torch._foreach_copy_(self._tensors(), shaped)

    def _tensors(self) -> list[Tensor]:
        return [getattr(module, name) for module, name in self._held]
