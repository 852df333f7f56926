"""Probe of how much successive updates agree in direction."""

from collections.abc import Mapping
from typing import Final

from torch import Tensor

from harness.cadence import apart, cadence_steps
from harness.noise.direction import MAX_WINDOW, Directions
from harness.probes.base import Meaning, Probe, Scene, dictionary
from harness.reading import Reading
from harness.registry import PROBES

_MEANINGS: Final = (
    Meaning(
        "dirvar",
        "1 - length of the mean unit update: 0 where all updates agree, "
        "1 - 1 / sqrt(n) for n independent directions",
        "1",
        "[0, 1]",
        "circular variance; Mardia & Jupp, Directional Statistics, 2000",
    ),
    Meaning("update_cosine", "mean cosine of successive updates", "1", "[-1, 1]"),
)


@PROBES.register("update_direction")
class UpdateDirection(Probe):
    """Variance of the direction of updates, and cosine of successive ones.

    Of the last `window` updates before each time, as the optimizer made them
    (`harness.noise.direction`). Windows do not overlap: a time whose window would
    reach into an earlier one, or before the first update, is left out.

    Cost: no pass; some vector operations on each update watched.

    Args:
        scene: The cohort.
        cadence: When, see `harness.cadence`.
        window: Updates, 2 to 64; None for one epoch, at most 64. What n independent
            directions show depends on n (1 - 1 / sqrt n): compare equal windows only.

    Raises:
        ValueError: The window has fewer than 2 or more than 64 updates.
    """

    signals = dictionary("update_direction", _MEANINGS)

    def __init__(
        self, scene: Scene, *, cadence: str = "log:24", window: int | None = None
    ) -> None:
        size = window or min(scene.timeline.steps_per_epoch, MAX_WINDOW)
        if not 2 <= size <= MAX_WINDOW:
            raise ValueError(
                f"update_direction.window is {size} updates, expected 2 to "
                f"{MAX_WINDOW}; by default it is an epoch, "
                f"{scene.timeline.steps_per_epoch} updates here"
            )
        self._size = size
        self.steps = apart(cadence_steps(cadence, scene.timeline), size)
        self._ends = frozenset(self.steps)
        self._watched = {
            t for end in self.steps for t in range(end - size + 1, end + 1)
        }
        self._directions = Directions(len(scene.cohort), scene.dim, scene.device)

    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return the readings of the window that ends with update `step`."""
        del step
        readings = self._directions.read()
        self._directions.clear()
        return readings

    def watches(self, step: int) -> bool:
        """Tell whether update `step` lies in a window."""
        return step in self._watched

    def observe(self, step: int, update: Tensor) -> None:
        """Take note of one update."""
        del step
        self._directions.add(update)

    def state(self) -> dict[str, Tensor]:
        """Return the window begun."""
        return self._directions.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore it."""
        self._directions.load_state(state)
