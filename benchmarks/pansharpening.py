"""Classical pansharpening, and its figures: what ``sharpen.py`` compares with. Arrays are float64 ``(band, y, x)``.

Methods are those of Vivone et al. 2015, "A critical comparison among pansharpening algorithms",
doi 10.1109/TGRS.2014.2361734, with bicubic interpolation.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from geomedsr.metrics.ergas import ergas as relative_error

Array = np.ndarray


def upsampled(coarse: Array, scale: int) -> Array:
    """Bicubic interpolation (Keys 1981), pixel areas aligned."""
    fine = F.interpolate(torch.from_numpy(coarse)[None], scale_factor=float(scale), mode="bicubic")
    return fine[0].numpy()


def reduced(fine: Array, scale: int) -> Array:
    """Block means."""
    bands, height, width = fine.shape
    return fine.reshape(bands, height // scale, scale, width // scale, scale).mean((2, 4))


def brovey(coarse: Array, pan: Array, scale: int) -> Array:
    """``MS · P / I``, I the bands' mean, P brought to its mean and deviation."""
    bands = upsampled(coarse, scale)
    intensity = bands.mean(0)
    return bands * matched(pan, intensity) / np.maximum(intensity, 1e-9)


def gs(coarse: Array, pan: Array, scale: int) -> Array:
    """Gram-Schmidt (Laben and Brower 2000), I the bands' mean."""
    return _injected(upsampled(coarse, scale), upsampled(coarse, scale).mean(0), pan)


def gsa(coarse: Array, pan: Array, scale: int) -> Array:
    """Adaptive Gram-Schmidt (Aiazzi et al. 2007): I is the regression of the coarse pan on the bands."""
    count = len(coarse)
    seen = np.concatenate([coarse.reshape(count, -1), np.ones((1, coarse[0].size))])
    weights, *_ = np.linalg.lstsq(seen.T, reduced(pan[None], scale).ravel(), rcond=None)
    bands = upsampled(coarse, scale)
    return _injected(bands, np.tensordot(weights[:-1], bands, 1) + weights[-1], pan)


def mtf_glp_hpm(coarse: Array, pan: Array, scale: int) -> Array:
    """High-pass modulation of a Laplacian pyramid (Aiazzi et al. 2006): ``MS · P / lowpass(P)``, P as each band is.

    The lowpass is what the sensor does, here the block mean, whose MTF is so matched exactly. Where P and its lowpass
    are near 0 or below, as of dark water, a ratio has no sense: it is held between 0 and 10, in the method's favour.
    """
    low = upsampled(reduced(pan[None], scale), scale)[0]
    made = []
    for band in upsampled(coarse, scale):
        gain = band.std() / max(low.std(), 1e-9)
        own, own_low = (band.mean() + gain * (image - low.mean()) for image in (pan, low))
        made.append(band * np.clip(own / np.where(np.abs(own_low) < 1e-9, 1e-9, own_low), 0, 10))
    return np.stack(made)


def matched(pan: Array, to: Array) -> Array:
    """With the mean and deviation of another image."""
    return (pan - pan.mean()) * to.std() / max(pan.std(), 1e-9) + to.mean()


def _injected(bands: Array, intensity: Array, pan: Array) -> Array:
    detail = matched(pan, intensity) - intensity
    gains = [np.cov(intensity.ravel(), band.ravel())[0, 1] / intensity.var() for band in bands]
    return np.stack([band + gain * detail for band, gain in zip(bands, gains, strict=True)])


def ergas(made: Array, truth: Array, scale: int) -> float:
    """In percent; 0 is equal."""
    count = np.full(len(truth), truth[0].size)
    return float(relative_error(((made - truth) ** 2).sum((1, 2)), truth.sum((1, 2)), count, scale))


def q2n(made: Array, truth: Array, side: int = 32) -> float:
    """The hypercomplex quality index (Garzelli and Nencini 2009, doi 10.1109/LGRS.2009.2022650), mean over blocks.

    Bands are the parts of hypercomplex numbers, filled up with zeros to a power of two; within each block they are
    brought to mean 1 and deviation 1 of the truth's. 1 is equal.
    """
    bands, height, width = truth.shape
    length = 1 << (bands - 1).bit_length()
    found = []
    for row in range(0, height - side + 1, side):
        for col in range(0, width - side + 1, side):
            where = np.s_[:, row : row + side, col : col + side]
            one, other = truth[where].reshape(bands, -1), made[where].reshape(bands, -1)
            mean, deviation = one.mean(1, keepdims=True), np.maximum(one.std(1, keepdims=True), 1e-9)
            one, other = (
                np.concatenate([(x - mean) / deviation + 1, np.zeros((length - bands, x.shape[1]))])
                for x in (one, other)
            )
            found.append(_quality(one, other))
    return float(np.mean(found))


def _quality(one: Array, other: Array) -> float:
    """Of two sets of hypercomplex numbers ``(part, n)``."""
    count = one.shape[1]
    first, second = one.mean(1, keepdims=True), other.mean(1, keepdims=True)
    shared = product(one, conjugate(other)).mean(1, keepdims=True) - product(first, conjugate(second))
    unbiased = count / (count - 1)
    spreads = [unbiased * ((x**2).sum(0).mean() - (m**2).sum()) for x, m in ((one, first), (other, second))]
    means = [float((m**2).sum()) for m in (first, second)]
    modulus = 2 * np.sqrt(means[0] * means[1]) / max(sum(means), 1e-12)
    return float(unbiased * np.linalg.norm(shared) * 2 / max(sum(spreads), 1e-12) * modulus)


def conjugate(number: Array) -> Array:
    """All parts but the first change their sign."""
    return np.concatenate([number[:1], -number[1:]])


def product(one: Array, other: Array) -> Array:
    """Of hypercomplex numbers ``(part, n)``, by doubling (Cayley-Dickson): ``(a, b)(c, d) = (ac − d*b, da + bc*)``."""
    if len(one) == 1:
        return one * other
    half = len(one) // 2
    a, b, c, d = one[:half], one[half:], other[:half], other[half:]
    return np.concatenate([product(a, c) - product(conjugate(d), b), product(d, a) + product(b, conjugate(c))])
