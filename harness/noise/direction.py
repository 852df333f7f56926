"""How far successive updates point the same way, while a run trains.

`Directions` sees every update of a window and keeps two vectors a run.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from harness.measure import DIVERGED, NOT_APPLICABLE, OK, TOO_SHORT
from harness.reading import Reading, reading

MAX_WINDOW: Final = 64
"""Updates of a window at most: the value depends on their number."""


def random_floor(num_updates: int) -> float:
    """Return the direction variance of independent random updates, 1 - 1 / sqrt(n).

    Its expectation in many dimensions, where the unit vectors are orthogonal; no
    bound: updates that undo each other reach 1.

    Args:
        num_updates: n, at least 1.

    Raises:
        ValueError: `num_updates` is less than 1.

    Example:
        >>> round(random_floor(50), 4)
        0.8586
    """
    if num_updates < 1:
        raise ValueError(f"num_updates is {num_updates}, expected at least 1")
    return float(1 - num_updates**-0.5)


class Directions:
    """Direction variance and cosines of successive updates over one window.

    Formula: V = 1 - ||mean_t u_t / ||u_t||||, and the mean over t of
    <u_t, u_(t+1)> / (||u_t|| ||u_(t+1)||). V is circular variance (Mardia and Jupp
    2000, Directional statistics) of the updates u_t, after momentum and
    whatever else the optimizer does, which ties successive updates together.

    Cost: about eight operations a parameter and update, and 12 bytes a parameter (a
    sum in float64 and the last update). A run's numbers do not depend on the other
    runs.

    Args:
        num_runs: S.
        dim: P, parameters of a run.
        device: Where the updates are.

    Example:
        >>> directions = Directions(1, 2, torch.device("cpu"))
        >>> directions.add(torch.tensor([[1.0, 0.0]]))
        >>> directions.add(torch.tensor([[0.0, 2.0]]))
        >>> {k: round(float(r.value[0]), 4) for k, r in directions.read().items()}
        {'dirvar': 0.2929, 'update_cosine': 0.0}
    """

    def __init__(self, num_runs: int, dim: int, device: torch.device) -> None:
        self._sum = torch.zeros(num_runs, dim, dtype=torch.float64, device=device)
        self._last = torch.zeros(num_runs, dim, device=device)
        column = torch.zeros(num_runs, dtype=torch.float64, device=device)
        self._last_norm = column + 1
        self._cosines = column
        self._zeros = column.to(torch.int64)
        self._count = 0

    @torch.no_grad()
    def add(self, update: Tensor) -> None:
        """Take the next update, parameters after minus before, float32 `[S, P]`.

        Raises:
            ValueError: The shape is wrong or the window already has 64 updates.
        """
        if update.shape != self._last.shape:
            raise ValueError(
                f"the update has shape {tuple(update.shape)}, expected "
                f"{tuple(self._last.shape)}"
            )
        if self._count == MAX_WINDOW:
            raise ValueError(
                f"the window has {MAX_WINDOW} updates, the most it takes: clear() it "
                "before the next"
            )
        wide = update.double()
        norm = torch.linalg.vector_norm(wide, dim=1)
        zero = norm == 0
        norm = norm.masked_fill_(zero, 1.0)
        self._zeros += zero
        if self._count > 0:
            product = (wide * self._last).sum(1)
            self._cosines += product / (norm * self._last_norm)
        self._sum += wide.div_(norm[:, None])
        self._last.copy_(update)
        self._last_norm.copy_(norm)
        self._count += 1

    def __len__(self) -> int:
        """Return the number of updates in the window."""
        return self._count

    @torch.no_grad()
    def read(self) -> dict[str, Reading]:
        """Return "dirvar" and "update_cosine" of the window so far.

        "dirvar" is V, in [0, 1]: 0 for parallel updates, `random_floor` of their
        number for random ones. "update_cosine" is the mean cosine, in [-1, 1]. Both
        "too_short" for fewer than 2 updates; "not_applicable" where an update of the
        window is 0 and has no direction, as in a stopped run; "diverged" where an
        update is not finite. No standard errors: successive updates are dependent.
        """
        count = self._count
        zeros = self._zeros.cpu().numpy()
        if count < 2:
            short = reading(np.full(len(zeros), np.nan), TOO_SHORT)
            return {"dirvar": short, "update_cosine": short}
        lengths = torch.linalg.vector_norm(self._sum, dim=1).cpu().numpy() / count
        cosines = self._cosines.cpu().numpy() / (count - 1)
        finite = np.isfinite(lengths)
        status = np.where(zeros > 0, NOT_APPLICABLE, OK)
        status = np.where(finite, status, DIVERGED)
        return {
            # Rounding may leave the mean of parallel unit vectors longer than 1.
            "dirvar": reading(np.maximum(1 - lengths, 0.0), status),
            "update_cosine": reading(np.clip(cosines, -1.0, 1.0), status),
        }

    def clear(self) -> None:
        """Begin a new window."""
        for value in (self._sum, self._last, self._cosines, self._zeros):
            value.zero_()
        self._last_norm.fill_(1.0)
        self._count = 0

    def state(self) -> dict[str, Tensor]:
        """Return the state, each tensor with runs as rows."""
        return {
            "sum": self._sum,
            "last": self._last,
            "last_norm": self._last_norm,
            "cosines": self._cosines,
            "zeros": self._zeros,
            "count": torch.full_like(self._zeros, self._count),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copy `state`, as `state()` returned it, into this window.

        Raises:
            ValueError: The names or shapes differ.
        """
        own = self.state()
        expected = {name: tuple(value.shape) for name, value in own.items()}
        got = {name: tuple(value.shape) for name, value in state.items()}
        if got != expected:
            raise ValueError(f"the state of directions is {got}, expected {expected}")
        for name, value in own.items():
            value.copy_(state[name])
        self._count = int(state["count"].max())
