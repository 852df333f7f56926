"""Vectors of S runs as `[S, P]` tensors, and the few operations curvature needs.

Every reduction is along a run's own row and accumulates in float64, so a run's numbers
do not depend on which runs stand beside it (bit for bit on one CPU thread).
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.measure import DIVERGED, OK, Floats
from harness.seeds import derive

Matvec = Callable[[Tensor], Tensor]
"""A symmetric matrix a run: maps `[S, P]` to `[S, P]` on the same device."""

Draw = Callable[[int], Tensor]
"""Random vectors by index: 0, 1, ... to `[S, P]`; the same index, the same vectors."""

_CPU_COLUMNS = 1 << 14
"""Columns converted to float64 at a time on the CPU, so that they stay in its cache."""

_GPU_NUMBERS = 1 << 25
"""Numbers converted to float64 at a time on a GPU, 256 MB."""


def rademacher(
    seeds: Sequence[int],
    dim: int,
    index: int,
    *,
    purpose: str = "curvature",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return signs +1 and -1 with equal chances, `[S, dim]`, a stream a run.

    Args:
        seeds: Seed of each run.
        dim: Length of a vector.
        index: Which vector of the stream.
        purpose: Name of the stream; vectors that must be independent, such as the
            start of Lanczos and the probes of a trace, need different names.
        device: Where the vectors are made; CPU and CUDA draw different numbers.
        dtype: float32, or float64 in tests.
    """
    rows = torch.empty(len(seeds), dim, device=device, dtype=dtype)
    for row, seed in zip(rows, seeds, strict=True):
        row.random_(0, 2, generator=_generator(seed, purpose, index, rows.device))
    return rows.mul_(2).sub_(1)


def gaussian(
    seeds: Sequence[int],
    dim: int,
    index: int,
    *,
    purpose: str = "curvature",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return standard normal numbers `[S, dim]`; arguments as for `rademacher`."""
    rows = torch.empty(len(seeds), dim, device=device, dtype=dtype)
    for row, seed in zip(rows, seeds, strict=True):
        row.normal_(generator=_generator(seed, purpose, index, rows.device))
    return rows


class Products:
    """A matrix whose products are counted and made harmless where not finite.

    Attributes:
        count: Products so far, the cost.
        finite: bool `[S]`, false from a run's first product on that is not finite.
    """

    def __init__(self, matvec: Matvec, like: Tensor) -> None:
        self._matvec = matvec
        self.count = 0
        self.finite = torch.ones(len(like), dtype=torch.bool, device=like.device)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return float64 products `[S, P]`, zero for runs that are not finite.

        Raises:
            ValueError: The matrix returned another shape.
        """
        result = self._matvec(vectors).detach()
        if result.shape != vectors.shape:
            raise ValueError(
                f"a matrix must map [S, P] to [S, P], got {tuple(result.shape)} from "
                f"{tuple(vectors.shape)}"
            )
        self.count += 1
        rows = result.to(torch.float64, copy=True)
        self.finite &= torch.isfinite(norm(rows))
        return rows.masked_fill_(~self.finite[:, None], 0.0)

    def status(self) -> npt.NDArray[np.str_]:
        """Return "diverged" for the runs that were not finite, else "ok", `[S]`."""
        return np.where(host(self.finite), OK, DIVERGED)


def dot(left: Tensor, right: Tensor) -> Tensor:
    """Return the inner product of each run, float64 `[S]` of `[S, P]`."""
    return (left.double() * right.double()).sum(-1)


def norm(rows: Tensor) -> Tensor:
    """Return the length of each run's vector, float64 `[S]` of `[S, P]`."""
    length: Tensor = torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float64)
    return length


def coordinates(basis: Tensor, rows: Tensor) -> Tensor:
    """Return <q_i, x> for basis `[k, S, P]` and x `[S, P]`: float64 `[S, k]`."""
    shape = rows.shape[0], basis.shape[0]
    found = torch.zeros(shape, dtype=torch.float64, device=rows.device)
    for runs, columns in _tiles(basis):
        part = _wide(rows[runs, columns])
        tile = _wide(basis[:, runs, columns]).transpose(0, 1)
        found[runs] += torch.bmm(tile, part[:, :, None])[:, :, 0]
    return found


def combine(basis: Tensor, weights: Tensor, out: Tensor) -> Tensor:
    """Add sum_i w_i q_i to float64 `out` `[S, P]`, for weights `[S, k]`."""
    for runs, columns in _tiles(basis):
        tile = _wide(basis[:, runs, columns]).transpose(0, 1)
        out[runs, columns] += torch.bmm(weights[runs, None], tile)[:, 0]
    return out


def project_out(rows: Tensor, basis: Tensor) -> Tensor:
    """Remove from float64 rows `[S, P]`, in place, what lies in the basis.

    Gram-Schmidt done twice, which is enough for orthogonality to rounding.

    Returns:
        What was removed along each basis vector, float64 `[S, k]`.
    """
    first = coordinates(basis, rows)
    combine(basis, -first, rows)
    second = coordinates(basis, rows)
    combine(basis, -second, rows)
    return first + second


def unit(rows: Tensor, length: Tensor) -> Tensor:
    """Return rows `[S, P]` divided by `length` `[S]`, zero where that is not > 0."""
    positive = (length > 0)[:, None]
    return torch.where(positive, rows / length[:, None], 0.0)


def floor(dtype: torch.dtype) -> float:
    """Return the relative size below which a remainder is rounding, not signal."""
    return 10 * torch.finfo(dtype).eps


def host(values: Tensor) -> Floats:
    """Return a small tensor as a numpy array."""
    array: Floats = values.cpu().numpy()
    return array


def _generator(
    seed: int, purpose: str, index: int, device: torch.device
) -> torch.Generator:
    return torch.Generator(device).manual_seed(derive(seed, purpose, index))


def _tiles(basis: Tensor) -> Iterator[tuple[slice, slice]]:
    """Return the runs and columns to work on at a time.

    On the CPU a run at a time, because a batched product rounds differently for
    another number of runs; on a GPU as many as fit, because launches cost more.
    """
    vectors, runs, dim = basis.shape
    alone = basis.device.type == "cpu"
    numbers = max(1, vectors * runs)
    width = _CPU_COLUMNS if alone else max(1, _GPU_NUMBERS // numbers)
    groups = [slice(s, s + 1) for s in range(runs)] if alone else [slice(0, runs)]
    for group in groups:
        for start in range(0, dim, width):
            yield group, slice(start, start + width)


def _wide(part: Tensor) -> Tensor:
    """Return a float64 copy, aligned whatever P is: it rounds alike in any cohort."""
    return part.to(torch.float64, copy=True)
