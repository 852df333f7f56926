"""Probe of the Hessian's largest and smallest eigenvalues and of its trace."""

from collections.abc import Mapping
from typing import Final

from harness.cadence import cadence_steps
from harness.curvature.lanczos import extremes, lanczos
from harness.curvature.participation import participation_ratio
from harness.curvature.trace import deflated_hutchinson
from harness.passes import GRADIENT, HESSIAN_PRODUCT
from harness.probes.base import Lens, Meaning, Probe, Scene, dictionary
from harness.reading import Reading
from harness.registry import PROBES

_UNIT: Final = "nat per parameter unit squared"
_EIGENVALUE: Final = "eigenvalue of the Hessian of the mean cross-entropy"
_LANCZOS: Final = "Lanczos 1950, with full reorthogonalisation"
_TRACE: Final = "Hutchinson 1990, outside of Lanczos' space"
_MEANINGS: Final = (
    Meaning("lambda_1", f"algebraically largest {_EIGENVALUE}", _UNIT, "R", _LANCZOS),
    Meaning("lambda_1_residual", "||H v - lambda_1 v|| of lambda_1", _UNIT, "[0, inf)"),
    Meaning(
        "lambda_min", f"algebraically smallest {_EIGENVALUE}", _UNIT, "R", _LANCZOS
    ),
    Meaning(
        "lambda_min_residual", "||H v - theta v|| of lambda_min", _UNIT, "[0, inf)"
    ),
    Meaning("lambda_abs", f"largest absolute {_EIGENVALUE}", _UNIT, "[0, inf)"),
    Meaning("hessian_trace", "sum of the eigenvalues, unbiased", _UNIT, "R", _TRACE),
    Meaning(
        "hessian_square_trace",
        "sum of the squared eigenvalues, unbiased",
        f"({_UNIT}) squared",
        "[0, inf)",
        _TRACE,
    ),
    Meaning(
        "participation_ratio",
        "(tr H)^2 / tr(H^2): how many eigenvalues carry the curvature",
        "1",
        "[0, P]",
    ),
)


@PROBES.register("hessian")
class Hessian(Probe):
    """Eigenvalues lambda_1, lambda_min, largest magnitude; trace; participation ratio.

    Of the mean cross-entropy of fixed, not augmented training images in evaluation
    mode. One Krylov space serves both: `steps` products make it and give the
    eigenvalues (`harness.curvature.lanczos`), `probes` more give the trace outside of
    it (`harness.curvature.trace.deflated_hutchinson`). An eigenvalue whose residual
    exceeds `tolerance` times its size is left out.

    Cost: images * (1 + 2 (steps + probes)) image gradients a time.

    Args:
        scene: The cohort.
        cadence: When, see `harness.cadence`.
        images: Training images.
        steps: Products for the eigenvalues, at most 32.
        probes: Products for the trace, at least 2.
        tolerance: Largest residual of an eigenvalue, relative to it.
        precision: "float32", or "bfloat16", whose noise a tolerance of 1e-3 refuses.

    Raises:
        ValueError: More than 32 steps, or more images than there are.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        cadence: str = "log:24",
        images: int = 256,
        steps: int = 10,
        probes: int = 6,
        tolerance: float = 1e-3,
        precision: str = "float32",
    ) -> None:
        if not 1 <= steps <= 32:
            raise ValueError(f"hessian.steps is {steps}, expected 1 to 32 products")
        self._scene, self._counts, self._tolerance = scene, (steps, probes), tolerance
        self._lens = Lens(scene, "hessian", images, precision)
        self.steps = cadence_steps(cadence, scene.timeline)
        one = GRADIENT.plus(HESSIAN_PRODUCT.times(steps + probes))
        self.planned = one.times(images * len(self.steps))
        self.signals = dictionary("hessian", _MEANINGS, one)

    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return the readings of the state after `step` updates."""
        steps, probes = self._counts
        with self._lens.look(self) as landscape:
            space = lanczos(landscape.hvp, self._scene.start("hessian", step), steps)
            ends = extremes(space, self._tolerance)
            signs = self._scene.signs("hessian", step)
            traces = deflated_hutchinson(landscape.hvp, space, signs, probes)
        return {
            "lambda_1": ends.largest,
            "lambda_1_residual": ends.largest_residual,
            "lambda_min": ends.smallest,
            "lambda_min_residual": ends.smallest_residual,
            "lambda_abs": ends.magnitude,
            "hessian_trace": traces.trace,
            "hessian_square_trace": traces.frobenius_sq,
            "participation_ratio": participation_ratio(traces),
        }
