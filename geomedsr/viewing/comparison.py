"""``compare``: checks that scenes cover the same area, and selects the region, bands and slices for the viewer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry import Factors
from geomedsr.geometry.crs import crs_code
from geomedsr.geometry.grid import Grid, Window
from geomedsr.scene.reformat import reformatted, repeated
from geomedsr.scene.scene import Scene
from geomedsr.viewing.beside import beside
from geomedsr.viewing.colours import View, view_of, views
from geomedsr.viewing.figure import common_stretch, pick_frame
from geomedsr.viewing.stretch import Level, stretch
from geomedsr.viewing.swipe import Comparison

#: How many values of the finest scene a viewer holds, bands and slices together: by default, and at most.
_USUAL, _MOST = 2_400_000, 40_000_000

#: The largest side of a region, in pixels of the finest scene: Safari's largest canvas.
_LONGEST = 16_384

#: The smallest and the largest side of a default region, in pixels of the finest scene.
_LEAST_SIDE, _LARGEST_SIDE = 256, 1536

#: The most bands that are offered one by one.
_BANDS = 12

#: The allowed distance between corners, in pixels of the coarsest scene.
_APART = 0.01


def compare(
    *scenes: Scene,
    names: Sequence[str] | None = None,
    window: Window | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    bbox_crs: str | int | None = None,
    bands: str | int | Sequence[str | int] | None = None,
    frames: int | Sequence[int] | None = None,
    plane: str | None = None,
    percentiles: tuple[float, float] | None = None,
    level: Level | None = None,
    height: int = 480,
) -> Comparison:
    """The same area in two or more scenes, one over the other, with a handle to swipe between them.

    A notebook displays the result; ``save`` writes it as a page or a picture. Only the region shown is read. Of a
    result that is not computed yet, only the tiles for this region are computed.

    Args:
        scenes: two or more scenes of the same area and bands, such as a scene and its result; the first two are shown
            first. If only some of them have a position, the others are placed by size alone, and a warning says so.
        names: the scenes' titles; by default their own names.
        window: the region, in pixels of the coarsest scene; by default a part of the middle that makes a small page.
        bbox: the region as ``(west, south, east, north)`` in units of the CRS instead.
        bbox_crs: the CRS of ``bbox``, such as ``"EPSG:4326"``, longitude first; by default the scenes' own.
        bands: the first view: a band, three (red, green, blue), or ``"true colour"`` or ``"false colour"``.
        frames: slices of a series, by position from 0; by default the middle one. Where scenes have other numbers of
            slices, those of the others are repeated, and the finest's are counted.
        plane: cut volumes along ``"axial"``, ``"coronal"`` or ``"sagittal"`` planes instead, in true proportions.
        percentiles: percentiles of the first scene's pixels that are black and white in all scenes; by default the 1st
            and the 99th. Scenes of half-widths or invented pixels have black and white of their own.
        level: for CT, the initial window: ``"lung"``, ``"bone"``, ``"brain"``, ``"soft tissue"``, or
            ``(centre, width)`` in HU.
        height: height of the viewer in CSS pixels.

    Raises:
        InputError: fewer than two scenes; scenes of different areas, bands or slices; or a region that is outside, or
            too large for a page.
    """
    if len(scenes) < 2:
        raise InputError(f"{len(scenes)} scene{'s' * (len(scenes) != 1)} to compare", "two or more", "add one")
    other = next((s for s in scenes if not isinstance(s, Scene)), None)
    if other is not None:
        raise InputError(f"a {type(other).__name__} to compare", "scenes", "open it with geomedsr.open")
    if height < 1:
        raise InputError(f"a height of {height} pixels", "1 or more", "leave it out, or give about 480")
    if names is not None and len(names) != len(scenes):
        raise InputError(f"{len(names)} names for {len(scenes)} scenes", "one for each", "name all or none")
    image = next((scene for scene in scenes if not all(beside(scene))), scenes[0])
    limits = common_stretch(image, scenes[0], percentiles, level).ends
    own = tuple(stretch(scene, percentiles).ends if all(beside(scene)) else None for scene in scenes)
    scenes = _cut(scenes, plane)
    coarsest = min(scenes, key=lambda s: s.shape[2] * s.shape[3])
    factors = tuple(_factor(coarsest, scene) for scene in scenes)
    _tell_unplaced(coarsest, scenes)
    count = scenes[0].shape[0]
    asked = [frames] if isinstance(frames, (int, np.integer)) or frames is None else list(frames)
    numbers = tuple(pick_frame(scenes[0], n) for n in asked)
    if not numbers:
        raise InputError("no slice", f"some of 0 … {count - 1}", "name one")
    view = view_of(scenes[0], bands)
    held = _held(scenes[0], view)
    if bbox is not None:
        if window is not None:
            raise InputError("a window and a bounding box", "one of them", "leave one out")
        window = coarsest.grid.window_of(*bbox, bbox_crs)
    if window is None:
        window = _middle(coarsest, max(factors), len(held) * len(numbers))
    coarsest.check(window)
    size = window.width * window.height * max(factors) ** 2 * len(held) * len(numbers)
    longest = max(window.width, window.height) * max(factors)
    if longest > _LONGEST:
        raise InputError(
            f"a region of {longest} pixels a side in the finest scene",
            f"at most {_LONGEST}, which browsers draw",
            "give a smaller window",
        )
    if size > _MOST:
        raise InputError(
            f"a region of {size / 1e6:.0f} million values, in all bands and slices",
            f"at most {_MOST / 1e6:.0f} million, which a page still holds",
            "give a smaller window, or fewer bands or slices",
        )
    return Comparison(
        scenes=scenes,
        names=tuple(names or _named_apart(scenes)),
        factors=factors,
        window=window,
        frames=numbers,
        view=view,
        bands=held,
        limits=limits,
        height=height,
        own=own,
    )


def _cut(scenes: tuple[Scene, ...], plane: str | None) -> tuple[Scene, ...]:
    """Scenes of equal slices: those of coarser ones are repeated; all cut along a plane, if one is named."""
    finest = max(scenes, key=lambda scene: scene.shape[0] * scene.shape[2] * scene.shape[3])
    if plane is None and len({scene.shape[0] for scene in scenes}) == 1:
        return scenes
    made = []
    for scene in scenes:
        factors = Factors.between(scene.shape, finest.shape)
        if factors is None or not scene.grid.planes:  # refused later, by their sizes
            return scenes
        made.append(repeated(scene, factors if plane else Factors(frame=factors.frame)))
    return tuple(made if plane is None else (reformatted(scene, plane) for scene in made))


def _factor(coarse: Scene, fine: Scene) -> int:
    """How many times finer one scene is than another of the same area."""
    (frames, bands, height, width), (frames2, bands2, height2, width2) = coarse.shape, fine.shape
    if (frames, bands) != (frames2, bands2):
        raise InputError(
            f"{coarse.name} of {bands} bands and {frames} frames, and {fine.name} of {bands2} and {frames2}",
            "the same bands and frames in all",
            "select the bands first",
        )
    codes = crs_code(coarse.grid.crs), crs_code(fine.grid.crs)
    if codes[0] and codes[1] and codes[0][0] == codes[1][0] and codes[0] != codes[1]:
        one, other = (":".join(code) for code in codes if code)
        raise InputError(f"{coarse.name} in {one} and {fine.name} in {other}", "one CRS", "reproject one of them")
    factor = height2 // height
    if (height * factor, width * factor) != (height2, width2):
        raise InputError(
            f"{coarse.name} of {width} × {height} pixels and {fine.name} of {width2} × {height2}",
            "sizes of which one is a whole multiple of the other",
            "crop them to the same ground",
        )
    if (coarse.grid.apart(fine.grid) or 0.0) > _APART:
        raise InputError(f"{coarse.name} and {fine.name}, which lie elsewhere", "the same ground", "crop them to it")
    return factor


def _tell_unplaced(coarse: Scene, scenes: Sequence[Scene]) -> None:
    """Warn, in one line, about scenes placed by size alone: they have no position, or not the coarsest scene's kind."""
    own = _placed_by(coarse.grid)
    others = [scene for scene in scenes if _placed_by(scene.grid) != own]
    if others:
        placed = ", ".join(f"{scene.name} {_placed_by(scene.grid)}" for scene in (coarse, *others))
        warnings.warn(f"scenes placed by sizes alone: {placed}", SceneWarning, stacklevel=3)


def _placed_by(grid: Grid) -> str:
    """The kind of position that a grid has, in words."""
    if grid.planes:
        return "by planes"
    if grid.affine is not None:
        return "by an affine"
    return "by GCPs or RPCs" if grid.gcps or grid.rpcs is not None else "without a place"


def _held(scene: Scene, view: View) -> tuple[int, ...]:
    """The bands that a viewer of a scene holds: all bands of the views that it offers."""
    offered = {b for v in views(scene)[: _BANDS + 2] for b in v.bands} if len(scene.bands) <= _BANDS else set()
    composites = {b for v in views(scene) if len(v.bands) == 3 for b in v.bands}
    return tuple(sorted(offered | composites | set(view.bands)))


def _middle(scene: Scene, factor: int, planes: int) -> Window:
    """The default region: the whole scene if that makes a small page, else a square in the middle."""
    _, _, height, width = scene.shape
    if width * height * factor**2 * planes <= _USUAL and max(width, height) * factor <= _LARGEST_SIDE:
        return Window(0, 0, width, height)
    side = min(max(int(math.sqrt(_USUAL / planes)), _LEAST_SIDE), _LARGEST_SIDE) // factor or 1
    wide, tall = min(side, width), min(side, height)
    return Window((width - wide) // 2, (height - tall) // 2, wide, tall)


def _named_apart(scenes: Sequence[Scene]) -> list[str]:
    names = [scene.name for scene in scenes]
    return [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names, 1)]
