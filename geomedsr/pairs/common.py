"""Real pairs: an input and a reference that two sensors took of the same ground, brought onto common pixels."""

from __future__ import annotations

from dataclasses import replace

from geomedsr.errors import InputError
from geomedsr.pairs.placement import placement, tell_unplaced
from geomedsr.scene.bands import continuous
from geomedsr.scene.scene import Scene

#: The least side of what both show, in pixels of the input.
_LEAST = 16


def paired(reference: Scene, source: Scene, scale: int) -> tuple[Scene, Scene]:
    """Reference and input, continuous bands, both cropped to the ground they share; whole pixels of the input.

    The reference then has the input's grid, made finer. A warning says how far its pixels lie beside that, and where
    sizes alone placed it.

    Raises:
        InputError: other bands or frames; grids that do not go together, see
            :func:`geomedsr.pairs.placement.placement` and :meth:`geomedsr.pairs.placement.Placement.check`; or too
            little ground in common.
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
