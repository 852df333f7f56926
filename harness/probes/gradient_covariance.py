"""Probe of how gradient noise lies to the curvature."""

from collections.abc import Mapping
from typing import Final

from harness.cadence import cadence_steps
from harness.curvature.covariance import moments
from harness.curvature.difficulty import difficulty, kappa_cos, kappa_ratio
from harness.curvature.lanczos import extremes, lanczos
from harness.curvature.trace import deflated_hutchinson
from harness.passes import GRADIENT, HESSIAN_PRODUCT, Passes
from harness.probes.base import Lens, Meaning, Probe, Scene, dictionary
from harness.reading import Reading
from harness.registry import PROBES

COVARIANCE_PRODUCT: Final = Passes(2.0, 2.0)
"""A product with the covariance of single images' gradients, for one image."""
BASIS: Final = 8
"""Vectors of Lanczos' space on which all moments are exact."""
TRACE_PROBES: Final = 8
"""Products for the trace in the difficulty."""

_CURVATURE: Final = "nat per parameter unit squared"
_SQUARE: Final = "(nat per parameter unit) squared"
_NOISE: Final = "the covariance Sigma of single images' gradients"
_MEANINGS: Final = (
    Meaning(
        "covariance_hessian",
        f"tr(Sigma H), {_NOISE} and the Hessian H",
        f"{_SQUARE} times {_CURVATURE}",
        "R",
    ),
    Meaning(
        "covariance_square_trace",
        f"tr(Sigma^2), {_NOISE}",
        f"({_SQUARE}) squared",
        "[0, inf)",
    ),
    Meaning(
        "kappa_cos",
        "tr(Sigma H) / (||Sigma|| ||H||), Frobenius norms: 1 where noise and "
        "curvature are proportional",
        "1",
        "[-1, 1]",
    ),
    Meaning(
        "kappa_ratio",
        "P tr(Sigma H) / (tr Sigma tr H), P parameters: 1 for isotropic noise",
        "1",
        "R",
        "after Zhu et al. 2019, arXiv 1803.00195",
    ),
    Meaning(
        "difficulty",
        "lambda_1^2 / tr H * kappa_cos",
        _CURVATURE,
        "R",
    ),
)


@PROBES.register("gradient_covariance")
class GradientCovariance(Probe):
    """Covariance of gradients along the Hessian: tr(Sigma H), kappa, difficulty.

    Of the mean cross-entropy of fixed, not augmented training images in evaluation
    mode. 8 vectors of Lanczos' space and `probes` random ones outside of it are
    multiplied by both matrices (`harness.curvature.covariance`); lambda_1 and the trace
    in the difficulty come from `steps` and 8 products with the Hessian of their own.

    Cost: images * (1 + 4 (probes + 8) + 2 (steps + 8)) image gradients a time.

    Args:
        scene: The cohort.
        cadence: When, see `harness.cadence`.
        images: Training images.
        probes: Random vectors, at least 2.
        steps: Products for lambda_1, at least 8.
        tolerance: Largest residual of lambda_1, relative to it.
        precision: "float32" or "bfloat16".
    """

    def __init__(
        self,
        scene: Scene,
        *,
        cadence: str = "windows",
        images: int = 256,
        probes: int = 8,
        steps: int = 16,
        tolerance: float = 1e-3,
        precision: str = "float32",
    ) -> None:
        if steps < BASIS:
            raise ValueError(
                f"gradient_covariance.steps is {steps}, expected at least {BASIS}"
            )
        self._scene, self._counts, self._tolerance = scene, (steps, probes), tolerance
        self._lens = Lens(scene, "gradient_covariance", images, precision)
        self.steps = cadence_steps(cadence, scene.timeline)
        both = BASIS + probes
        one = GRADIENT.plus(COVARIANCE_PRODUCT.times(both))
        one = one.plus(HESSIAN_PRODUCT.times(both + steps + TRACE_PROBES))
        self.planned = one.times(images * len(self.steps))
        self.signals = dictionary("gradient_covariance", _MEANINGS, one)

    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return the readings of the state after `step` updates."""
        steps, probes = self._counts
        own = "gradient_covariance"
        start = self._scene.start(own, step)
        signs, others = (
            self._scene.signs(name, step) for name in (own, f"{own}/trace")
        )
        with self._lens.look(self) as landscape:
            space = lanczos(landscape.hvp, start, steps)
            found = moments(
                landscape.covariance_product,
                landscape.hvp,
                signs,
                probes,
                basis=space.basis[:BASIS],
            )
            trace = deflated_hutchinson(landscape.hvp, space, others, TRACE_PROBES)
        largest = extremes(space, self._tolerance).largest
        kappa = kappa_cos(found)
        return {
            "covariance_hessian": found.cross,
            "covariance_square_trace": found.covariance_sq,
            "kappa_cos": kappa,
            "kappa_ratio": kappa_ratio(found),
            "difficulty": difficulty(largest, trace.trace, kappa),
        }
