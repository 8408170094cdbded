"""How a band marks pixels as no data; one small description for all sources."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto


class Masking(Flag):
    """Ways to mark a band's pixels as no data; a band may have several.

    A pixel is data only if none of them marks it. ``VALUE`` is the band's nodata value, ``NAN`` values that are not
    finite, ``MASK`` a mask that is the same for all bands of the source, ``OWN`` a mask for this band alone, and
    ``ALPHA`` an alpha band, where it is 0.
    """

    NONE = 0
    VALUE = auto()
    NAN = auto()
    MASK = auto()
    OWN = auto()
    ALPHA = auto()


#: Ways that do not show in the band's values.
BESIDE = Masking.MASK | Masking.OWN | Masking.ALPHA


def alike(masking: Sequence[Masking]) -> bool:
    """Whether one mask serves all bands: what marks pixels, apart from their values, is the same for all."""
    return len(masking) == 1 or (len({way & BESIDE for way in masking}) == 1 and Masking.OWN not in masking[0])
