"""Probe of how much the loss can rise near the parameters."""

from collections.abc import Mapping

from harness.cadence import cadence_steps
from harness.curvature.sharpness import STARTS, STEPS, sharpness
from harness.passes import Passes
from harness.probes.base import Lens, Meaning, Probe, Scene, dictionary
from harness.reading import Reading
from harness.registry import PROBES


@PROBES.register("sharpness")
class Sharpness(Probe):
    """Largest rise of the loss within a ball, and the rise after one step uphill.

    Of the mean cross-entropy of fixed, not augmented training images in evaluation
    mode, by projected gradient ascent from several starts
    (`harness.curvature.sharpness`): a lower bound.

    Cost: images * steps * starts image gradients and starts + 2 forward passes a time.

    Args:
        scene: The cohort.
        cadence: When, see `harness.cadence`.
        images: Training images.
        radius: Radius of the ball in the space of the parameters.
        steps: Steps uphill from each start.
        starts: Starts: along the gradient, then random ones.
        precision: "float32" or "bfloat16".
    """

    def __init__(
        self,
        scene: Scene,
        *,
        cadence: str = "windows",
        images: int = 256,
        radius: float = 0.05,
        steps: int = STEPS,
        starts: int = STARTS,
        precision: str = "float32",
    ) -> None:
        self._scene, self._radius, self._counts = scene, radius, (steps, starts)
        self._lens = Lens(scene, "sharpness", images, precision)
        self.steps = cadence_steps(cadence, scene.timeline)
        one = Passes(steps * starts + starts + 2, steps * starts)
        self.planned = one.times(images * len(self.steps))
        ball = f"within a distance of {radius:g} from the parameters"
        meanings = (
            Meaning(
                "sharpness",
                f"largest rise of the mean cross-entropy {ball}, a lower bound",
                "nat",
                "[0, inf)",
                "Keskar et al. 2017, arXiv 1609.04836",
            ),
            Meaning(
                "sharpness_one_step",
                f"its rise after one step of {radius:g} along the gradient",
                "nat",
                "R",
                "Foret et al. 2021, arXiv 2010.01412",
            ),
        )
        self.signals = dictionary("sharpness", meanings, one)

    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return the readings of the state after `step` updates."""
        steps, starts = self._counts
        with self._lens.look(self) as landscape:
            found = sharpness(
                landscape.loss_at,
                landscape.gradient_at,
                self._scene.signs("sharpness", step),
                self._radius,
                steps=steps,
                starts=starts,
            )
        return {"sharpness": found.rise, "sharpness_one_step": found.one_step}
