"""Probe of how the gradient turns from one update to a later one."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from harness.cadence import apart, cadence_steps
from harness.noise.autocorrelation import autocorrelation
from harness.passes import GRADIENT
from harness.probes.base import Lens, Meaning, Probe, Scene, dictionary
from harness.reading import Reading
from harness.registry import PROBES


@PROBES.register("gradient_autocorrelation")
class GradientAutocorrelation(Probe):
    """Product, correlation and cosine of the probe gradients `lag` updates apart.

    Of the mean cross-entropy of fixed, not augmented training images in evaluation
    mode, in two halves, so that the images' noise can be taken out
    (`harness.noise.autocorrelation`). A value stands at the later of its two times;
    pairs do not overlap.

    Cost: images * 2 image gradients a time, or once where a pair begins as another
    ends.

    Args:
        scene: The cohort.
        cadence: When, see `harness.cadence`.
        images: Training images, an even number.
        lag: Updates between the two gradients.
        precision: "float32" or "bfloat16".

    Raises:
        ValueError: `lag` is not positive or `images` is odd or too many.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        cadence: str = "log:24",
        images: int = 256,
        lag: int = 1,
        precision: str = "float32",
    ) -> None:
        if lag < 1 or images % 2:
            raise ValueError(
                f"gradient_autocorrelation got lag = {lag} and images = {images}, "
                "expected a positive lag and an even number of images"
            )
        self._lens = Lens(scene, "gradient_autocorrelation", images, precision)
        self._parts = slice(images // 2), slice(images // 2, images)
        ends = apart(cadence_steps(cadence, scene.timeline), lag)
        self._ends, starts = frozenset(ends), {end - lag for end in ends}
        self.steps = sorted(self._ends | starts)
        self.planned = GRADIENT.times(images * len(self.steps))
        shape = (len(scene.cohort), 2, scene.dim)
        self._before = torch.zeros(shape, device=scene.device)
        own = "gradient_autocorrelation"
        self.signals = dictionary(own, _meanings(lag), GRADIENT.times(2))

    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return the readings of the pair that ends at `step`, if one does."""
        halves = torch.stack([self._gradient(part) for part in self._parts], dim=1)
        found = autocorrelation(self._before, halves) if step in self._ends else {}
        self._before = halves
        return found

    def _gradient(self, part: slice) -> Tensor:
        """Return the mean gradient of half of the images, `[S, P]`."""
        with self._lens.look(self, part) as landscape:
            return landscape.gradient_at(torch.zeros_like(self._before[:, 0]))

    def state(self) -> dict[str, Tensor]:
        """Return the gradients of the last time."""
        return {"before": self._before}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore them."""
        self._before = state["before"].clone()


def _meanings(lag: int) -> Iterator[Meaning]:
    pair = f"the gradients at this update and {lag} before"
    square = "(nat per parameter unit) squared"
    yield Meaning("gradient_product", f"inner product of {pair}, unbiased", square, "R")
    yield Meaning(
        "gradient_correlation",
        f"correlation of {pair}, freed from the noise of the images",
        "1",
        "R, about [-1, 1]",
    )
    yield Meaning(
        "gradient_cosine", f"cosine of {pair} on the probe's images", "1", "[-1, 1]"
    )
