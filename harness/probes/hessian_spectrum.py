"""Probe of the Hessian's whole spectrum, and of the gradient's place in it."""

from collections.abc import Mapping
from typing import Final

from harness.cadence import cadence_steps
from harness.curvature.alignment import gradient_alignment
from harness.curvature.bulk import bulk_ratio
from harness.curvature.lanczos import extremes, lanczos
from harness.curvature.log_determinant import log_determinant
from harness.curvature.participation import absolute_participation
from harness.curvature.spectral_density import quantile, spectral_density
from harness.curvature.trace import deflated_hutchinson
from harness.passes import GRADIENT, HESSIAN_PRODUCT
from harness.probes.base import Lens, Meaning, Probe, Scene, dictionary
from harness.reading import Reading
from harness.registry import PROBES

QUANTILES: Final = (0.5, 5, 25, 50, 75, 95, 99.5)
"""Percent of the spectral mass below the eigenvalues that are recorded."""

TRACE_PROBES: Final = 8
"""Products for the trace, of which the participation ratio is made."""

_UNIT: Final = "nat per parameter unit squared"
_SLQ: Final = "Ubaru, Chen, Saad 2017; Ghorbani, Krishnan, Xiao, arXiv 1901.10159"
_MEANINGS: Final = (
    *(
        Meaning(
            f"hessian_q{level:g}",
            f"eigenvalue of the Hessian below which {level:g} % of the eigenvalues lie",
            _UNIT,
            "R",
            _SLQ,
        )
        for level in QUANTILES
    ),
    Meaning(
        "bulk_ratio",
        "(lambda_1 - e-) / (e+ - e-) with the 0.5 and 99.5 % quantiles as edges e of "
        "the bulk: how far the largest eigenvalue stands out",
        "1",
        "[1, inf)",
    ),
    Meaning(
        "hessian_log_det",
        "ln det(max(H, 0) + epsilon I) divided by the number of parameters",
        "1",
        "[ln epsilon, inf)",
        _SLQ,
    ),
    Meaning(
        "hessian_log_det_excess",
        "ln det(max(H, 0) + epsilon I) above that of H = 0",
        "1",
        "[0, inf)",
        _SLQ,
    ),
    Meaning(
        "participation_ratio_abs",
        "(sum |lambda|)^2 / sum lambda^2: how many eigenvalues carry the curvature",
        "1",
        "[1, P]",
    ),
    Meaning(
        "gradient_alignment",
        "share of the squared gradient in the space of the top eigenvectors; by "
        "chance their number divided by the number of parameters",
        "1",
        "[0, 1]",
        "Gur-Ari, Roberts, Dyer 2018, arXiv 1812.04754",
    ),
)


@PROBES.register("hessian_spectrum")
class HessianSpectrum(Probe):
    """Spectral density by its quantiles, bulk ratio, log-determinant, alignment.

    Stochastic Lanczos quadrature with `probes` random vectors of `steps` products each
    (`harness.curvature.spectral_density`), one Lanczos run of `steps` products more
    for the top `top` eigenvectors (`harness.curvature.alignment`) and lambda_1, and
    8 products for the trace outside of it.
    Loss, images and mode as in the probe `hessian`.

    Cost: images * (1 + 2 steps (probes + 1) + 16) image gradients a time; with the
    defaults 897 gradients of the images.

    Args:
        scene: The cohort.
        cadence: When, see `harness.cadence`.
        images: Training images.
        probes: Random vectors of the density, at least 2.
        steps: Products each, at least `top`.
        top: Eigenvectors that the gradient is compared with.
        epsilon: Ridge of the log-determinant, in the unit of the eigenvalues.
        tolerance: Largest residual of lambda_1, relative to it.
        precision: "float32" or "bfloat16".
    """

    def __init__(
        self,
        scene: Scene,
        *,
        cadence: str = "windows",
        images: int = 256,
        probes: int = 10,
        steps: int = 40,
        top: int = 10,
        epsilon: float = 0.1,
        tolerance: float = 1e-3,
        precision: str = "float32",
    ) -> None:
        if steps < top:
            raise ValueError(
                f"hessian_spectrum.steps is {steps}, expected at least top = {top}"
            )
        self._scene, self._probes, self._lanczos_steps = scene, probes, steps
        self._top, self._epsilon, self._tolerance = top, epsilon, tolerance
        self._lens = Lens(scene, "hessian_spectrum", images, precision)
        self.steps = cadence_steps(cadence, scene.timeline)
        products = steps * (probes + 1) + TRACE_PROBES
        one = GRADIENT.plus(HESSIAN_PRODUCT.times(products))
        self.planned = one.times(images * len(self.steps))
        self.signals = dictionary("hessian_spectrum", _MEANINGS, one)

    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return the readings of the state after `step` updates."""
        signs = self._scene.signs("hessian_spectrum", step)
        start = self._scene.start("hessian_spectrum", step)
        steps = self._lanczos_steps
        with self._lens.look(self) as landscape:
            gradient = landscape.gradient()
            space = lanczos(landscape.hvp, start, steps)
            density = spectral_density(
                landscape.hvp, signs, probes=self._probes, steps=steps
            )
            signs = self._scene.signs("hessian_spectrum/trace", step)
            traces = deflated_hutchinson(landscape.hvp, space, signs, TRACE_PROBES)
        largest = extremes(space, self._tolerance).largest
        logs = log_determinant(density, self._epsilon)
        quantiles = {
            f"hessian_q{level:g}": quantile(density, level / 100) for level in QUANTILES
        }
        return quantiles | {
            "bulk_ratio": bulk_ratio(largest, density),
            "hessian_log_det": logs.per_parameter,
            "hessian_log_det_excess": logs.excess,
            "participation_ratio_abs": absolute_participation(traces, density),
            "gradient_alignment": gradient_alignment(gradient, space, count=self._top),
        }
