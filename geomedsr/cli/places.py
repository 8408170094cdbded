"""The part of a scene that a command line asks for."""

from __future__ import annotations

import argparse

from geomedsr.errors import InputError
from geomedsr.geometry import Window
from geomedsr.scene.polygons import area_of
from geomedsr.scene.scene import Scene


def window_asked(options: argparse.Namespace, scene: Scene) -> Window | None:
    """The window of a scene that ``--window`` or ``--bbox`` names, in its pixels; None of the whole. Polygons of
    ``--aoi`` are looked at, too, before any work.

    Raises:
        InputError: a part that leaves the scene, or holds nothing of it.
    """
    window: Window | None = options.window
    if options.bbox:
        west, south, east, north = options.bbox
        window = scene.grid.window_of(west, south, east, north, options.bbox_crs)
    elif options.bbox_crs is not None:
        raise InputError(
            f"--bbox-crs {options.bbox_crs} without --bbox", "a box", "add --bbox W,S,E,N, or leave it out"
        )
    if window:
        scene.check(window)
    if options.aoi is not None:
        area_of(scene, options.aoi)
    return window


def whole_pixels(window: Window | None, made: Scene) -> Window | None:
    """A window of a sharpened product, grown to whole pixels of the coarsest of its bands."""
    coarsest = max((group.factor for group in made.provenance.groups or ()), default=made.provenance.model.factor or 1)
    return None if window is None else window.coarser(coarsest).scaled(coarsest)


def part_asked(options: argparse.Namespace, made: Scene, window: Window | None, factor: int) -> Scene:
    """That part of what was made of the whole scene, so many times finer: the model sees what lies around it."""
    if window:
        made = made.crop(window.scaled(factor))
    return made if options.aoi is None else made.within(options.aoi)
