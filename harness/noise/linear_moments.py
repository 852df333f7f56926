"""`gradient_moments` of linear layers, without a gradient a micro-batch.

One ordinary backward pass gives the rows (`harness.linear_rows`) of which the sums are
made, so that m P numbers a run are neither written nor read.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Final, NamedTuple

import torch
from torch import Tensor

from harness.landscape import Landscape
from harness.linear_rows import LinearRows
from harness.models.layers import ALIGNED
from harness.noise.gradient_moments import GradientMoments

WINDOW: Final = 128
"""Images that go through the networks at once."""

BLOCK: Final = 2**18
"""Numbers of sums or gradients that are formed at once (2 MiB): they stay in cache."""

FORMING: Final = 25
"""Products in float64 that take as long as all that is done with a formed number."""

CANCELLED: Final = 1e-8
"""Least part of a gradient's square that a difference of squares is trusted with."""


def linear_moments(landscape: Landscape, size: int = 1) -> GradientMoments | None:
    """Return the sums over micro-batch gradients, without logarithms, from rows.

    They are those of `gradient_moments` of `landscape.microbatch_gradients(size)`. Let
    a_p be the inputs of a layer and d_p the gradients of a micro-batch's mean loss by
    its outputs, p going over the micro-batch's rows, and G the mean gradient of the
    weight. Then

        ||g_i||^2 = sum over p and q of <a_p, a_q> <d_p, d_q>,
        <g_i, G> = sum over p of <a_p G, d_p>,

    and the sum of K1 gradients is one product of K1 micro-batches' rows. Goodfellow,
    arXiv 1510.01799; Li et al., arXiv 2110.05679, section 4. Where a micro-batch has
    many rows, and always for biases, g_i = sum over p of a_p d_p^T is formed instead.

    ||h_i||^2 and ||Y_j||^2 are differences of such numbers in float64, with a relative
    error of about 1e-16 / r where they are a part r of the square of the gradients
    before their mean is subtracted. A layer of a run with r < 1e-8 somewhere has its
    gradients formed after all, of the same rows. A run's numbers do not depend on the
    other runs, bit for bit on one CPU thread.

    Cost: n images forward and backward, in about three times the seconds of an ordinary
    gradient where gradients of all micro-batches take twenty times (24 networks of
    11 000 parameters, 100 images). Memory: the rows of all images.

    Args:
        landscape: Where, and of which images.
        size: Images of a micro-batch, b.

    Returns:
        None unless all parameters belong to stacked linear layers
        (`harness.linear_rows.has_linear_rows`).

    Raises:
        ValueError: The micro-batches would leave images over.

    Example:
        >>> with Landscape(net, images, labels) as landscape:  # doctest: +SKIP
        ...     moments = linear_moments(landscape)
    """
    if size < 1 or len(landscape) % size:
        raise ValueError(
            f"size is {size}, expected a divisor of the {len(landscape)} images"
        )
    windows = []
    step = max(1, WINDOW // size) * size
    for start in range(0, len(landscape), step):
        stop = min(start + step, len(landscape))
        if (rows := landscape.linear_rows(slice(start, stop))) is None:
            return None
        windows.append(rows)
    with torch.no_grad():
        sums = [_layer_sums(layer, size) for layer in zip(*windows, strict=True)]
    names = [name for rows in windows[0] for name in (rows.weight, rows.bias) if name]
    return _joined(names, [each for pair in sums for each in pair], size)


class _Sums(NamedTuple):
    """Sums over the micro-batches of one layer for all runs, about the mean."""

    mean: Tensor
    """g, `[S, size of the layer]`"""
    mean_squares: Tensor
    """||g||^2, `[S]`"""
    squares: Tensor
    """||h_i||^2, `[S, m]`"""
    products: Tensor
    """<h_i, g>, `[S, m]`"""
    sum_squares: Tensor
    """||Y_j||^2, `[S, K2]`"""


class _Raw(NamedTuple):
    """Sums over the micro-batches of one weight, about 0; of one run, or of all."""

    total: Tensor
    """Sum of all g_i, `[in * out]`"""
    squares: Tensor
    """||g_i||^2, `[m]`"""
    products: Tensor
    """<g_i, total>, `[m]`"""
    sum_squares: Tensor
    """||sum of K1 successive g_i||^2, `[K2]`"""


def _layer_sums(windows: Sequence[LinearRows], size: int) -> list[_Sums]:
    """Return the sums of the weight of a layer and, if there is one, of the bias.

    Runs are gone through one after the other: what is used again is in the cache, and
    the operands of products begin on the same boundaries whatever the cohort.
    """
    # Rounded as gradients are, equal ones have a mean that is equal to them.
    dtype = torch.promote_types(windows[0].grads.dtype, torch.float32)
    runs = range(len(windows[0].grads))
    if _is_formed_sooner(windows[0], size):
        formed = (_formed(*_of_run(windows, size, run, dtype)) for run in runs)
        weight = _Sums(*map(torch.cat, zip(*formed, strict=True)))
    else:
        about_0 = (_raw(*_of_run(windows, size, run, torch.float64)) for run in runs)
        raw = _Raw(*map(torch.stack, zip(*about_0, strict=True)))
        weight = _differences(raw)
        lost = (weight.squares < CANCELLED * raw.squares).any(1)
        lost |= (weight.sum_squares < CANCELLED * raw.sum_squares).any(1)
        for run in lost.nonzero().flatten().tolist():
            exact = _formed(*_of_run(windows, size, run, dtype))
            for each, value in zip(weight, exact, strict=True):
                each[run] = value[0]
    if windows[0].bias is None:
        return [weight]
    biases = []
    for window in windows:
        *_, rows, outputs = window.grads.shape
        d = window.grads.reshape(len(runs), -1, size * rows, outputs)
        biases.append(d.sum(2, dtype=torch.float64))
    return [weight, _centred((torch.cat(biases, 1) / size).to(dtype))]


def _is_formed_sooner(rows: LinearRows, size: int) -> bool:
    """Tell whether forming all g_i takes less time than `_raw`.

    In products in float64 a number of g_i: `_raw` takes 2 r and two Gram matrices,
    forming r / 2, being in float32, and `FORMING`.
    """
    num_rows = size * rows.inputs.shape[2]
    features, outputs = rows.inputs.shape[3], rows.grads.shape[3]
    products = 1.5 + num_rows * (1 / features + 1 / outputs)
    return num_rows * products > FORMING


def _of_run(
    windows: Sequence[LinearRows], size: int, run: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return a `[m, r, in]` and d `[m, r, out]` of a run in memory of their own."""
    rows = size * windows[0].inputs.shape[2]
    a = torch.cat([each.inputs[run] for each in windows]).to(dtype)
    d = torch.cat([each.grads[run] for each in windows]).to(dtype)
    if size > 1:
        d /= size
    return a.view(-1, rows, a.shape[-1]), d.view(-1, rows, d.shape[-1])


def _raw(a: Tensor, d: Tensor) -> _Raw:
    """Return the sums for gradients a_i^T d_i of `a [m, r, in]` and `d [m, r, out]`."""
    count, rows, features, outputs = *a.shape, d.shape[2]
    squares = torch.bmm(a, a.mT).mul_(torch.bmm(d, d.mT)).sum((1, 2))
    summed = isqrt(count)
    end = count // summed * summed
    each = max(1, BLOCK // (features * outputs)) * summed
    total, sum_squares = a.new_zeros(features, outputs), []
    for start in range(0, end, each):
        part = slice(start, min(start + each, end))
        sums = torch.bmm(
            a[part].view(-1, summed * rows, features).mT,
            d[part].view(-1, summed * rows, outputs),
        )
        total += sums.sum(0)
        sum_squares.append(sums.square_().sum((1, 2)))
    a, d = a.view(-1, features), d.view(-1, outputs)
    if end < count:
        total += a[end * rows :].mT @ d[end * rows :]
    products = (a @ total).mul_(d).view(count, -1).sum(1)
    return _Raw(total.flatten(), squares, products, torch.cat(sum_squares))


def _differences(raw: _Raw) -> _Sums:
    """Return the sums about the mean of all runs from those about 0."""
    runs, count = raw.squares.shape
    blocks, summed = raw.sum_squares.shape[1], isqrt(count)
    mean = raw.total / count
    mean_squares = mean.square().sum(1)
    square = mean_squares[:, None]
    products = raw.products / count
    of_sums = products[:, : blocks * summed].view(runs, blocks, summed).sum(2)
    return _Sums(
        mean,
        mean_squares,
        raw.squares - 2 * products + square,
        products - square,
        raw.sum_squares - 2 * summed * of_sums + summed**2 * square,
    )


def _formed(a: Tensor, d: Tensor) -> _Sums:
    """Return the sums of one run from its gradients, some outputs at a time."""
    each = max(ALIGNED, BLOCK // (len(a) * a.shape[2]))
    parts = []
    for start in range(0, d.shape[2], each):
        gradients = torch.bmm(a.mT, d[..., start : start + each])
        parts.append(_centred(gradients.flatten(1)[None]))
    means, *sums = zip(*parts, strict=True)
    mean = torch.cat([each.view(a.shape[2], -1) for each in means], 1)
    return _Sums(mean.view(1, -1), *(torch.stack(each).sum(0) for each in sums))


def _centred(gradients: Tensor) -> _Sums:
    """Return the sums from gradients `[S, m, size of the layer]` themselves."""
    count = gradients.shape[1]
    summed = isqrt(count)
    end = count // summed * summed
    mean = gradients.sum(1, keepdim=True, dtype=torch.float64).div_(count)
    noise = gradients - mean
    sums = noise[:, :end].view(len(mean), -1, summed, mean.shape[2]).sum(2)
    return _Sums(
        mean[:, 0],
        mean.square().sum(2)[:, 0],
        torch.linalg.vector_norm(noise, dim=2).square_(),
        (noise * mean).sum(2),
        sums.square_().sum(2),
    )


def _joined(
    names: Sequence[str], layers: Sequence[_Sums], size: int
) -> GradientMoments:
    """Return the sums of all layers; a run that is lost in one is lost in all."""
    means, *sums = zip(*layers, strict=True)
    mean = torch.cat(means, 1)
    stacked = [torch.stack(each, -1) for each in sums]
    lost = ~torch.isfinite(stacked[0].sum(1))
    for each in (mean, *stacked):
        each[lost] = torch.nan
    arrays = [each.cpu().numpy() for each in stacked]
    return GradientMoments(
        images=size,
        layers=tuple(names),
        mean=mean,
        mean_squares=arrays[0],
        squares=arrays[1],
        products=arrays[2],
        sum_squares=arrays[3],
        logs=None,
        sum_logs=None,
        live=None,
    )
