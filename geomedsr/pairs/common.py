"""Real pairs: an input and a reference of the same area from two sensors, cropped to common pixels."""

from __future__ import annotations

from dataclasses import replace

from geomedsr.errors import InputError
from geomedsr.pairs.placement import placement, tell_unplaced
from geomedsr.scene.bands import continuous
from geomedsr.scene.scene import Scene

#: The minimum side of the common area, in pixels of the input.
_LEAST = 16


def on_common_pixels(reference: Scene, source: Scene, scale: int) -> tuple[Scene, Scene]:
    """Reference and input, continuous bands only, cropped to their common area in whole pixels of the input.

    The reference then has the input's grid, refined. A warning tells how far its pixels are off this grid, and whether
    it was placed by sizes alone.

    Raises:
        InputError: bands or frames differ; the grids do not match, see :func:`geomedsr.pairs.placement.placement` and
            :meth:`geomedsr.pairs.placement.Placement.check`; or the common area is too small.
    """
    fine, coarse = continuous(reference), continuous(source)
    place = placement(fine, coarse, scale)
    common = place.whole
    if min(common.width, common.height) < _LEAST:
        raise InputError(
            f"{place.names} with {common.width} × {common.height} coarse pixels in common",
            f"at least {_LEAST} a side",
            "take another pair",
        )
    tell_unplaced([place])
    place.check([common])
    coarse = replace(coarse.crop(common), scale=None)
    return replace(fine.crop(place.fine(common)), scale=None, grid=coarse.grid.scaled(scale)), coarse
