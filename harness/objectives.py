"""Training losses of a cohort: one number a run, computed run by run.

The sum of the losses is differentiated, so each run's gradient is its own: no
operation mixes rows, and no reduction runs over more than one batch.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from harness.registry import OBJECTIVES


class Losses(NamedTuple):
    """Means over the batch, in nats."""

    objective: Tensor
    """`[S]`, what is optimised."""
    cross_entropy: Tensor
    """`[S]`, without label smoothing; the same tensor when there is none."""


@OBJECTIVES.register("cross_entropy")
class CrossEntropy:
    """Cross-entropy with optional label smoothing.

    Formula: (1 - e) * CE + e * mean over the K classes of -ln p_k, CE = -ln p_label:
    the target is (1 - e) + e / K at the label and e / K elsewhere (Szegedy et al.,
    arXiv 1512.00567, section 7, with a uniform prior). Range: from the entropy of that
    target upward; e = 0.1 and K = 10 have the floor 0.50029.

    Args:
        label_smoothing: e in [0, 1), a number or one a run `[S, 1]`.

    Raises:
        ValueError: The smoothing is out of range.

    Example:
        >>> losses = CrossEntropy()(torch.zeros(1, 2, 4), torch.tensor([[0, 3]]))
        >>> round(float(losses.objective), 4)  # ln 4
        1.3863
    """

    def __init__(self, *, label_smoothing: Tensor | float = 0.0) -> None:
        smoothing = torch.as_tensor(label_smoothing, dtype=torch.float32)
        if not bool(((smoothing >= 0) & (smoothing < 1)).all()):
            raise ValueError(
                f"label_smoothing is {smoothing.flatten().tolist()}, expected at least "
                "0 and below 1"
            )
        # A number stays a 0-d tensor, which mixes with any device without a copy.
        by_run = smoothing[:, 0] if smoothing.ndim else smoothing
        self._smoothing = by_run if bool(smoothing.any()) else None

    def __call__(self, logits: Tensor, labels: Tensor) -> Losses:
        """Return the losses of logits `[S, B, K]` and int64 labels `[S, B]`."""
        log_p = torch.log_softmax(logits, dim=-1)
        picked = log_p.gather(-1, labels[..., None])[..., 0]
        cross_entropy = -picked.mean(1)
        if self._smoothing is None:
            return Losses(cross_entropy, cross_entropy)
        # Classes first, batch second: a single reduction over both could be split
        # among threads differently for one run than for many.
        uniform = -log_p.mean(-1).mean(1)
        smoothing = self._smoothing
        objective = (1 - smoothing) * cross_entropy + smoothing * uniform
        return Losses(objective, cross_entropy)
