"""The unit in which the work of a probe is counted, next to that of training."""

from typing import Final, NamedTuple


class Passes(NamedTuple):
    """Work in images of one run: what a forward or backward pass takes for one image.

    A backward pass through parameters costs about two forward passes, and a product
    with the Hessian through a kept graph two of each.
    """

    forward: float = 0.0
    backward: float = 0.0

    def plus(self, other: "Passes") -> "Passes":
        """Return the sum."""
        return Passes(self.forward + other.forward, self.backward + other.backward)

    def times(self, count: float) -> "Passes":
        """Return `count` times the work."""
        return Passes(self.forward * count, self.backward * count)

    @property
    def gradients(self) -> float:
        """Return the work as a number of image gradients, one forward, one backward.

        Formula: (forward + 2 backward) / 3.
        """
        return (self.forward + 2 * self.backward) / 3


FREE: Final = Passes()
"""No pass at all."""
GRADIENT: Final = Passes(1.0, 1.0)
"""The gradient of one image's loss."""
HESSIAN_PRODUCT: Final = Passes(2.0, 2.0)
"""A product with one image's Hessian through a kept graph."""
