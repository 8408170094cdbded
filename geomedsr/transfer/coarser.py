"""The grid of a preview: whole blocks of pixels, the last of which may extend beyond the scene."""

from __future__ import annotations

from dataclasses import replace

from affine import Affine

from geomedsr.geometry.grid import Grid, Plane


def coarser_grid(grid: Grid, factor: int) -> Grid:
    """A grid so many times coarser from the same outer corner on, so that the fine one's last pixels are covered.

    Positions follow the rule of :mod:`geomedsr.geometry.grid` the other way round: corners ``p / f``, centres
    ``(p + ½) / f − ½``.
    """
    height, width = grid.shape
    rpcs = None
    if grid.rpcs is not None:
        rpcs = dict(grid.rpcs)
        for key in ("LINE_OFF", "SAMP_OFF"):
            rpcs[key] = repr((float(rpcs[key]) + 0.5) / factor - 0.5)
        for key in ("LINE_SCALE", "SAMP_SCALE"):
            rpcs[key] = repr(float(rpcs[key]) / factor)
    geolocation = None
    if grid.geolocation is not None:
        geolocation = dict(grid.geolocation)
        for axis in ("LINE", "PIXEL"):
            for key in (f"{axis}_OFFSET", f"{axis}_STEP"):
                geolocation[key] = repr(float(geolocation[key]) / factor)
    return replace(
        grid,
        shape=(-(-height // factor), -(-width // factor)),
        affine=None if grid.affine is None else grid.affine @ Affine.scale(factor),
        gcps=tuple(replace(p, row=p.row / factor, col=p.col / factor) for p in grid.gcps),
        rpcs=rpcs,
        geolocation=geolocation,
        planes=tuple(_coarser(plane, factor) for plane in grid.planes),
    )


def _coarser(plane: Plane, factor: int) -> Plane:
    first = (factor - 1) / 2  # where the first coarse centre lies, in fine pixels
    row, col = plane.spacing
    return replace(plane, position=plane.at(first, first), spacing=(row * factor, col * factor))
