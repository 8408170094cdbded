"""The transform between blocks of pixels and coefficients, in whole numbers, by libjpeg's "slow integer" method.

After Loeffler, Ligtenberg and Moschytz 1989 (doi 10.1109/ICASSP.1989.266596): rotations by constants of 13 bits, rows
first when encoding and columns first when decoding, each pass rounded. Results equal libjpeg's bit for bit, so what an
encoder would make of some pixels is known without it. Blocks are ``(…, 8, 8)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Bits of the constants.
_BITS = 13


def _constant(value: float) -> int:
    return round(value * (1 << _BITS))


_C0_298, _C0_390, _C0_541, _C0_765 = map(_constant, (0.298631336, 0.390180644, 0.541196100, 0.765366865))
_C0_899, _C1_175, _C1_501, _C1_847 = map(_constant, (0.899976223, 1.175875602, 1.501321110, 1.847759065))
_C1_961, _C2_053, _C2_562, _C3_072 = map(_constant, (1.961570560, 2.053119869, 2.562915447, 3.072711026))


def encoded(pixels: Array, table: Array, precision: int = 8) -> Array:
    """The coefficients that libjpeg makes of blocks of pixels 0 … 2ᵖ − 1: int32, divided by the table and rounded."""
    guard = _guard(precision)
    x = pixels.astype(np.int64) - (1 << (precision - 1))
    x = _forward(x, -guard, _BITS - guard)  # along rows
    x = _forward(x.swapaxes(-1, -2), guard, _BITS + guard).swapaxes(-1, -2)
    step = table.astype(np.int64) * 8
    return np.asarray(np.sign(x) * ((np.abs(x) + (step >> 1)) // step), np.int32)


def decoded(coefficients: Array, table: Array, precision: int = 8) -> Array:
    """The pixels 0 … 2ᵖ − 1 that libjpeg makes of coefficients; int32."""
    guard = _guard(precision)
    x = coefficients.astype(np.int64) * table
    x = _inverse(x.swapaxes(-1, -2), _BITS - guard).swapaxes(-1, -2)  # along columns
    x = _inverse(x, _BITS + guard + 3)
    return np.clip(x + (1 << (precision - 1)), 0, (1 << precision) - 1).astype(np.int32)


def blocks_of(plane: Array) -> Array:
    """A plane ``(…, 8·r, 8·c)`` as blocks ``(…, r, c, 8, 8)``; a view where possible."""
    *others, height, width = plane.shape
    return plane.reshape(*others, height // 8, 8, width // 8, 8).swapaxes(-3, -2)


def plane_of(blocks: Array) -> Array:
    """Blocks ``(…, r, c, 8, 8)`` as a plane ``(…, 8·r, 8·c)``."""
    *others, rows, columns, _, _ = blocks.shape
    return blocks.swapaxes(-3, -2).reshape(*others, rows * 8, columns * 8)


def _guard(precision: int) -> int:
    """Bits by which the first pass is finer."""
    return 2 if precision == 8 else 1


def _rounded(x: Array, bits: int) -> Array:
    """``x / 2ᵇ``, rounded; ``x · 2⁻ᵇ`` where bits are negative."""
    return (x + (1 << (bits - 1))) >> bits if bits > 0 else x << -bits


def _forward(x: Array, plain: int, turned: int) -> Array:
    """One pass along the last axis; sums are shifted by ``plain`` bits, and products by ``turned``."""
    a, b = x[..., :4], x[..., :3:-1]
    even, odd = a + b, a - b  # odd: 7, 6, 5, 4 of the flow graph
    t10, t13 = even[..., 0] + even[..., 3], even[..., 0] - even[..., 3]
    t11, t12 = even[..., 1] + even[..., 2], even[..., 1] - even[..., 2]
    out = np.empty_like(x)
    out[..., 0], out[..., 4] = _rounded(t10 + t11, plain), _rounded(t10 - t11, plain)
    z = (t12 + t13) * _C0_541
    out[..., 2], out[..., 6] = _rounded(z + t13 * _C0_765, turned), _rounded(z - t12 * _C1_847, turned)
    made = _odd(odd[..., 3], odd[..., 2], odd[..., 1], odd[..., 0])
    for place, value in zip((7, 5, 3, 1), made, strict=True):
        out[..., place] = _rounded(value, turned)
    return out


def _inverse(x: Array, bits: int) -> Array:
    """One pass along the last axis, shifted by so many bits."""
    z = (x[..., 2] + x[..., 6]) * _C0_541
    t2, t3 = z - x[..., 6] * _C1_847, z + x[..., 2] * _C0_765
    t0, t1 = (x[..., 0] + x[..., 4]) << _BITS, (x[..., 0] - x[..., 4]) << _BITS
    even = (t0 + t3, t1 + t2, t1 - t2, t0 - t3)
    odd = _odd(x[..., 7], x[..., 5], x[..., 3], x[..., 1])[::-1]
    out = np.empty_like(x)
    for place, (one, other) in enumerate(zip(even, odd, strict=True)):
        out[..., place], out[..., 7 - place] = _rounded(one + other, bits), _rounded(one - other, bits)
    return out


def _odd(t0: Array, t1: Array, t2: Array, t3: Array) -> tuple[Array, Array, Array, Array]:
    """The odd half, which is the same in both directions."""
    z1, z2, z3, z4 = t0 + t3, t1 + t2, t0 + t2, t1 + t3
    z5 = (z3 + z4) * _C1_175
    z1, z2, z3, z4 = z1 * -_C0_899, z2 * -_C2_562, z3 * -_C1_961 + z5, z4 * -_C0_390 + z5
    return t0 * _C0_298 + z1 + z3, t1 * _C2_053 + z2 + z4, t2 * _C3_072 + z2 + z3, t3 * _C1_501 + z1 + z4
