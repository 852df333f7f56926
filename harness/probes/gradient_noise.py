"""Probe of the noise in minibatch gradients at one state."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from torch import Tensor

from harness.cadence import cadence_steps
from harness.landscape import Landscape
from harness.linear_rows import has_linear_rows
from harness.noise.gradient_moments import GradientMoments, gradient_moments
from harness.noise.linear_moments import linear_moments
from harness.noise.noise_scale import noise_scale
from harness.noise.tail_index import noise_tail_index
from harness.passes import GRADIENT
from harness.probes.base import Lens, Meaning, Probe, Scene, dictionary
from harness.reading import Reading, reading
from harness.registry import PROBES

KEPT_BYTES: Final = 2**29
"""Micro-batch gradients of a run that are kept; larger ones are computed twice."""

_SQUARE: Final = "(nat per parameter unit) squared"
_MEANINGS: Final = (
    Meaning(
        "gradient_variance",
        "trace of the covariance of single images' gradients",
        _SQUARE,
        "[0, inf)",
    ),
    Meaning(
        "gradient_square",
        "squared norm of the gradient without noise, unbiased",
        _SQUARE,
        "R",
        "McCandlish et al., arXiv 1812.06162, appendix A",
    ),
    Meaning(
        "noise_scale",
        "gradient_variance / gradient_square: the batch size at which noise equals "
        "signal; average the two parts, not their ratios",
        "image",
        "[0, inf)",
        "McCandlish et al., arXiv 1812.06162, appendix A",
    ),
    Meaning(
        "tail_index",
        "tail index of centred micro-batch gradients as vectors; 2 for finite variance",
        "1",
        "(0, inf)",
        "Mohammadi et al. 2015; Simsekli et al., arXiv 1901.06053",
    ),
    Meaning(
        "tail_index_layer_median",
        "median over the parameter tensors of the tail index of each",
        "1",
        "(0, inf)",
    ),
    Meaning(
        "tail_index_layer_min",
        "smallest tail index of a parameter tensor",
        "1",
        "(0, inf)",
    ),
)


@PROBES.register("gradient_noise")
class GradientNoise(Probe):
    """Gradient variance, noise scale and tail index from one set of gradients.

    Gradients of the mean cross-entropy of micro-batches of fixed, not augmented
    training images in evaluation mode, without clipping, momentum and weight decay
    (`harness.noise`). Micro-batches of one image are the per-sample gradients; larger
    ones are given back in units of one image. The tail index needs 100 of them.

    Cost: `images` image gradients a time, for networks of stacked linear layers in
    about three times the seconds of an ordinary gradient (`linear_moments`). Twice that
    for other networks if the gradients of a run exceed 512 MB and so are computed again
    after their mean.

    Args:
        scene: The cohort.
        cadence: When, see `harness.cadence`.
        images: Training images, a multiple of `microbatch`.
        microbatch: Images of a gradient.
        per_layer: Record the tail index of every parameter tensor, not only their
            median and smallest.
        precision: "float32" or "bfloat16".

    Raises:
        ValueError: The images do not divide into micro-batches, or are too many.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        cadence: str = "log:24",
        images: int = 512,
        microbatch: int = 4,
        per_layer: bool = False,
        precision: str = "float32",
    ) -> None:
        if microbatch < 1 or images % microbatch:
            raise ValueError(
                f"gradient_noise.images is {images}, expected a multiple of "
                f"microbatch = {microbatch}"
            )
        self._lens = Lens(scene, "gradient_noise", images, precision)
        self._microbatch = microbatch
        self._layers = scene.layers
        self._named = [name for name, _ in self._layers] if per_layer else []
        self._keep = images // microbatch * scene.dim * 4 <= KEPT_BYTES
        self.steps = cadence_steps(cadence, scene.timeline)
        by_rows = scene.net.stacked and has_linear_rows(scene.net.modules()[0][0])
        passes = GRADIENT.times(1 if by_rows or self._keep else 2)
        self.planned = passes.times(images * len(self.steps))
        meanings = [*_MEANINGS, *(_of_layer(name) for name in self._named)]
        self.signals = dictionary("gradient_noise", meanings, passes)

    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return the readings of the state after `step` updates."""
        del step
        with self._lens.look(self) as landscape:
            moments = linear_moments(landscape, self._microbatch)
            if moments is None:
                moments = self._moments(landscape)
        readings = noise_scale(moments) | {"tail_index": noise_tail_index(moments)}
        layers = {name: noise_tail_index(moments, name) for name, _ in self._layers}
        readings |= {f"tail_index/{name}": layers[name] for name in self._named}
        return readings | _over_layers(list(layers.values()))

    def _moments(self, landscape: Landscape) -> GradientMoments:
        """Return the sums over gradients of any network."""
        again = _Gradients(landscape, self._microbatch)
        blocks: Sequence[Tensor] | _Gradients = list(again) if self._keep else again
        return gradient_moments(
            blocks, images=self._microbatch, layers=self._layers, logs=False
        )


class _Gradients:
    """Micro-batch gradients, computed anew each time they are gone through."""

    def __init__(self, landscape: Landscape, size: int) -> None:
        self._landscape, self._size = landscape, size

    def __iter__(self) -> Iterator[Tensor]:
        return self._landscape.microbatch_gradients(self._size)


def _of_layer(name: str) -> Meaning:
    meaning = f"tail index of the centred micro-batch gradients of {name}"
    return Meaning(f"tail_index/{name}", meaning, "1", "(0, inf)")


def _over_layers(layers: Sequence[Reading]) -> dict[str, Reading]:
    """Return median and smallest value over the layers that have one."""
    table = np.stack([layer.value for layer in layers], axis=1)  # [S, L]
    known = np.isfinite(table)
    status = np.where(known.any(1), "ok", layers[0].status)
    filled = np.where(known.any(1, keepdims=True), table, 0.0)
    return {
        "tail_index_layer_median": reading(np.nanmedian(filled, axis=1), status),
        "tail_index_layer_min": reading(np.nanmin(filled, axis=1), status),
    }
