"""What says of a band which of its pixels are no data: small, and of every source alike."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto


class Masking(Flag):
    """Ways to mark a band's pixels as no data; a band may have several.

    A pixel is data only where all of them say so. ``VALUE`` is the band's nodata value, ``NAN`` values that are not
    finite, ``MASK`` a mask that is the same for all bands of the source, ``OWN`` a mask of the band's own, ``ALPHA``
    another band, where that is 0.
    """

    NONE = 0
    VALUE = auto()
    NAN = auto()
    MASK = auto()
    OWN = auto()
    ALPHA = auto()


#: Ways that values alone do not show.
BESIDE = Masking.MASK | Masking.OWN | Masking.ALPHA


def alike(masking: Sequence[Masking]) -> bool:
    """Whether what is beside the values says the same of all bands, so that one mask serves them."""
    return len(masking) == 1 or (len({way & BESIDE for way in masking}) == 1 and Masking.OWN not in masking[0])
