"""SupReME (Lanaras et al. 2017, doi 10.1109/CVPRW.2017.194), written anew from the paper: what ``sharpen.py`` compares.

All bands at the finest resolution are mixtures of a few images, ``X = U Z``; what was observed is ``Y = M B X``, and Z
is smooth but where the finest bands have edges. The paper solves it by ADMM; since every term is a square, conjugate
gradients find the same minimum. B and M here are block means, by which the figures' inputs are made.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray

#: How strongly each component is smoothed, as in the authors' code; and below what an edge does not lift the weight.
SMOOTHING, LEAST = np.array([1, 1.5, 4, 8, 15, 15, 20]), 0.5


def supreme(coarse: Array, guide: Array, scale: int, strength: float = 0.005, steps: int = 150) -> Array:
    """Coarse bands ``(band, y, x)`` beside fine ones ``(band, s·y, s·x)``, float64, as fine as these."""
    bands, fine = len(coarse), len(guide)
    sizes = [np.sqrt((x**2).mean((1, 2), keepdims=True)) for x in (coarse, guide)]
    low, high = coarse / sizes[0], guide / sizes[1]
    height, width = high.shape[1:]
    first = np.concatenate([_repeated(low, scale), _repeated(_reduced(high, scale), scale)])
    basis, *_ = np.linalg.svd(first.reshape(bands + fine, -1), full_matrices=False)
    basis = basis[:, : min(len(SMOOTHING), bands + fine)]
    q = SMOOTHING[: basis.shape[1], None, None]
    weights = _edges(high)

    def forward(z: Array) -> tuple[Array, Array]:
        x = np.tensordot(basis, z, 1)
        return _reduced(x[:bands], scale), x[bands:]

    def backward(one: Array, other: Array) -> Array:
        x = np.concatenate([_repeated(one, scale) / scale**2, other])
        return np.tensordot(basis.T, x, 1)

    def normal(z: Array) -> Array:
        smooth = sum(
            np.roll(weights * d, -1, axis) * -1 + weights * d for axis in (1, 2) for d in [z - np.roll(z, 1, axis)]
        )
        return backward(*forward(z)) + strength * q * smooth

    right = backward(low, high)
    z = np.tensordot(basis.T, first, 1)
    rest = right - normal(z)
    way, size = rest.copy(), float((rest**2).sum())
    for _ in range(steps):
        image = normal(way)
        step = size / float((way * image).sum())
        z += step * way
        rest -= step * image
        now = float((rest**2).sum())
        way, size = rest + now / size * way, now
    assert z.shape[1:] == (height, width)
    return np.tensordot(basis[:bands], z, 1) * sizes[0]


def _edges(high: Array) -> Array:
    """Weights of smoothness from the finest bands: small where any has an edge."""
    slopes = np.sqrt(sum((x - np.roll(x, 1, axis)) ** 2 for axis in (1, 2) for x in [high]))
    slopes /= np.quantile(slopes, 0.95, axis=(1, 2), keepdims=True)
    return np.maximum(np.exp(-(slopes.max(0) ** 2) / 2), LEAST)


def _reduced(fine: Array, scale: int) -> Array:
    bands, height, width = fine.shape
    return fine.reshape(bands, height // scale, scale, width // scale, scale).mean((2, 4))


def _repeated(coarse: Array, scale: int) -> Array:
    return coarse.repeat(scale, 1).repeat(scale, 2)
