"""Pixels within the bins of known coefficients: the nearest to a guess that an encoder gives the same coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from geomedsr.jpeg.encoding import FROM_LUMA, TO_LUMA, Units
from geomedsr.jpeg.transform import blocks_of, plane_of

Array = np.ndarray[Any, Any]

#: What is tried until a unit holds: how much of the guess is taken beside the decoded file, how far from the ends of
#: the bins coefficients stay, in units of pixels, and how often pixels are clipped and brought into the bins again.
#: Rounding of pixels moves coefficients by 0.3 in the mean.
_TRIES = ((1.0, 0.3, 1), (1.0, 0.8, 2), (1.0, 1.2, 12), (0.6, 1.2, 4), (0.3, 1.5, 4), (0.0, 1.2, 20))


def _cosines() -> Array:
    """The matrix of the transform, orthonormal."""
    place = np.arange(8)
    matrix = np.cos((2 * place[None] + 1) * place[:, None] * np.pi / 16) / 2
    matrix[0] /= np.sqrt(2)
    return matrix


#: The matrix of the transform, orthonormal: coefficients are DCT · block · DCTᵀ.
DCT = _cosines()


def transformed(blocks: Array) -> Array:
    """Coefficients of blocks ``(…, 8, 8)``, not divided by steps."""
    return np.asarray(DCT @ blocks @ DCT.T)


def restored(coefficients: Array) -> Array:
    """Blocks of coefficients."""
    return np.asarray(DCT.T @ coefficients @ DCT)


def within_bins(
    guess: Array, decoded: Array, units: Units, size: Array, avoid: int | None = None
) -> tuple[Array, Array]:
    """The pixels of each unit that are near a guess, and of which an encoder makes the units' coefficients.

    Args:
        guess: float ``(unit, band, y, x)``, in stored numbers.
        decoded: what the file's decoder made, whole numbers of the same shape.
        units: their coefficients and tables.
        size: rows and columns of each unit ``(unit, 2)`` that are the image's; encoders repeat the last beyond.
        avoid: a number that no pixel may have, as it means no data.

    Returns:
        Whole numbers, and which units hold. Those that do not are as decoded.
    """
    made, holds = decoded.astype(np.int64), np.zeros(len(decoded), bool)
    left = np.arange(len(decoded))
    base = decoded.astype(np.float64)
    for share, margin, times in _TRIES:
        part, old = units.of(left), base[left]
        aim = old + share * (guess[left] - old)
        for _ in range(times):
            aim = _continued(_projected(aim, old, part, margin), size[left])
            aim = np.clip(aim, 0, (1 << units.precision) - 1)
        pixels = _rounded(aim, avoid, units.precision)
        good = part.holds(pixels)
        made[left[good]], holds[left[good]] = pixels[good], True
        left = left[~good]
        if not left.size:
            break
    if left.size:  # the decoder's own pixels may hold where nothing else does
        holds[left] = units.of(left).holds(_continued(made[left], size[left]))
    return made, holds


def _projected(aim: Array, decoded: Array, units: Units, margin: float) -> Array:
    """Each component within its bins; of components with fewer samples, the means of pixels are as decoded."""
    planes = np.einsum("cb,nbyx->ncyx", TO_LUMA, aim) if units.luma else aim
    middle = np.full(planes.shape[1], 2.0 ** (units.precision - 1))
    if units.luma:
        middle[1:] = 0
    out = np.empty_like(planes)
    for i, down in enumerate(units.down):
        steps = units.tables[i].astype(np.float64)
        centre = units.coefficients[i] * steps
        if down == (1, 1):
            own = transformed(blocks_of(planes[:, i] - middle[i]))
            reach = np.maximum(steps / 2 - margin, 0)
            out[:, i] = plane_of(restored(centre + np.clip(own - centre, -reach, reach))) + middle[i]
            continue
        before = np.einsum("b,nbyx->nyx", TO_LUMA[i], decoded) if units.luma else decoded[:, i]
        wanted = plane_of(restored(centre)) + middle[i]
        count, height, width = before.shape
        rows, columns = down
        means = before.reshape(count, height // rows, rows, width // columns, columns).mean((2, 4))
        out[:, i] = before + (wanted - means).repeat(rows, 1).repeat(columns, 2)
    return np.einsum("bc,ncyx->nbyx", FROM_LUMA, out) if units.luma else out


def _rounded(pixels: Array, avoid: int | None, precision: int) -> Array:
    whole = np.rint(pixels).astype(np.int64)
    if avoid is not None:
        whole[whole == avoid] += 1 if avoid < 1 << (precision - 1) else -1
    return whole


def _continued(pixels: Array, size: Array) -> Array:
    """Units whose last rows and columns that are the image's go on beyond it, as encoders have it."""
    cut = (size < pixels.shape[-2:]).any(1)
    if not cut.any():
        return pixels
    pixels = pixels.copy()
    for number in np.flatnonzero(cut):
        rows, columns = size[number]
        pixels[number, :, rows:] = pixels[number, :, rows - 1 : rows]
        pixels[number, :, :, columns:] = pixels[number, :, :, columns - 1 : columns]
    return pixels
