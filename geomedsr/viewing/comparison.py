"""``compare``: a before/after viewer as one piece of HTML that needs nothing else; a picture where scripts do not run.

The values themselves travel in it, as :mod:`geomedsr.viewing.packing` writes them, so that bands, windows and levels
are chosen in the page. Only the region that is shown is read, or computed.
"""

from __future__ import annotations

import html
import json
import math
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import numpy as np

from geomedsr.crs import crs_code
from geomedsr.errors import InputError
from geomedsr.grid import Grid, Window
from geomedsr.outputs import page_target, write_page
from geomedsr.scene import Scene
from geomedsr.sources import Array
from geomedsr.viewing import facts
from geomedsr.viewing.colours import View, view_of, views
from geomedsr.viewing.figure import common_limits, pick_frame
from geomedsr.viewing.images import data_uri, png
from geomedsr.viewing.packing import Codes, pack
from geomedsr.viewing.reduced import narrowed
from geomedsr.viewing.stretch import CT_WINDOWS, Level, shades

#: The finest scene's values that a viewer holds by default, all bands and slices together, and at most.
_USUAL, _MOST = 2_400_000, 40_000_000

#: The largest side of a region, in pixels of the finest scene: Safari's largest canvas.
_LONGEST = 16_384

#: The least and the largest side of a default region, in pixels of the finest scene.
_LEAST_SIDE, _LARGEST_SIDE = 256, 1536

#: Bands that are offered one by one.
_BANDS = 12

#: How far corners may lie apart, in pixels of the coarsest scene.
_APART = 0.01

#: The side of each half of the static picture, in pixels.
_PICTURE = 420


def compare(
    *scenes: Scene,
    names: Sequence[str] | None = None,
    window: Window | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    bands: str | int | Sequence[str | int] | None = None,
    frames: int | Sequence[int] | None = None,
    percentiles: tuple[float, float] | None = None,
    level: Level | None = None,
    height: int = 480,
) -> Comparison:
    """The same place in two or more scenes, one over the other, with a handle to swipe between them.

    In a notebook the result shows itself; ``save`` writes it as a page or a picture. Only the region shown is read; of
    a result that is not computed yet, only the tiles it needs are computed.

    Args:
        scenes: two or more of the same ground and bands, such as a scene and its result; the first two are shown first.
        names: what they are called; by default their own names.
        window: the region, in pixels of the coarsest; by default the middle, as much of it as makes a small page.
        bbox: the region as ``(west, south, east, north)`` in units of the CRS, instead.
        bands: what is shown first: a band, three (red, green, blue), or ``"true colour"`` or ``"false colour"``.
        frames: slices of a series, by position from 0; by default the middle one.
        percentiles: of the first scene's pixels, which become black and white in all; by default the 1st and 99th.
        level: for CT, a window to begin with: ``"lung"``, ``"bone"``, ``"brain"``, ``"soft tissue"``, or
            ``(centre, width)`` in HU.
        height: of the viewer in the page, in CSS pixels.

    Raises:
        InputError: fewer than two scenes, scenes of different ground, bands or slices, a region outside, or so large
            that no page holds it.
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
    coarsest = min(scenes, key=lambda s: s.shape[2] * s.shape[3])
    factors = tuple(_factor(coarsest, scene) for scene in scenes)
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
        window = coarsest.grid.window_of(*bbox)
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
        limits=common_limits(scenes[0], scenes[0], percentiles, level),
        height=height,
    )


@dataclass(frozen=True, eq=False)
class Comparison:
    """What :func:`compare` gives. ``window`` is in pixels of the coarsest scene, ``factors`` how much finer each is;
    ``bands`` are those held, ``view`` what is shown first, ``limits`` the physical values of black and white by band.
    """

    scenes: tuple[Scene, ...]
    names: tuple[str, ...]
    factors: tuple[int, ...]
    window: Window
    frames: tuple[int, ...]
    view: View
    bands: tuple[int, ...]
    limits: tuple[tuple[float, float], ...]
    height: int = 480

    def html(self) -> str:
        """The viewer as a fragment of a page: a picture, which a script replaces by the viewer."""
        mark = f"geomedsr-{uuid.uuid4().hex[:12]}"
        style = resources.files("geomedsr.viewing").joinpath("swipe.css").read_text(encoding="utf-8")
        script = resources.files("geomedsr.viewing").joinpath("swipe.js").read_text(encoding="utf-8")
        data = json.dumps(self._data | {"style": style}, ensure_ascii=False, allow_nan=False)
        data = data.replace("<", "\\u003c")  # a name such as <!--<script> would end the script, or never let it end
        about = html.escape(f"{' | '.join(self.names)}; {self._about}")
        still = f'<img alt="{about}" style="max-width:100%" src="{data_uri(self.png())}">'
        return (
            f'<div id="{mark}" class="geomedsr-swipe" data-lm-suppress-shortcuts="true">{still}</div>\n'
            f'<script>\n(function () {{\n"use strict";\n{script}\nbegin("{mark}", {data});\n}})();\n</script>'
        )

    def page(self, title: str | None = None) -> str:
        """A whole page with the viewer."""
        title = html.escape(title or " | ".join(self.names))
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width">'
            "<style>body{margin:16px;font:14px/1.4 system-ui,sans-serif;color:#222;background:#fff}</style></head>"
            f"<body>\n{self.html()}\n</body></html>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the viewer as a page (``.html``), or the picture (``.png``).

        Raises:
            OutputError: another suffix, or it cannot be written.
        """
        target = page_target(path, (".html", ".png"), overwrite=True)
        write_page(target, self.png() if target.suffix.lower() == ".png" else self.page().encode())

    def png(self) -> bytes:
        """The first two scenes side by side, as they are first shown."""
        return self._picture

    @cached_property
    def _picture(self) -> bytes:
        tall = round(_PICTURE * self.window.height / self.window.width) or 1
        side = (_PICTURE, min(max(tall, 60), 2 * _PICTURE))
        parts = []
        for layer in self._layers[:2]:
            values, valid = layer.frames[0]
            picks = [self.bands.index(b) for b in self.view.bands]
            image = shades(values[picks], valid[picks], [self.limits[b] for b in self.view.bands])
            parts.append(_resized(image, side))
        gap = np.full((parts[0].shape[0], 4, 4), 255, np.uint8)
        return png(np.concatenate([parts[0], gap, parts[1]], axis=1))

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": self.html(), "image/png": self.png(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<geomedsr.Comparison {' | '.join(self.names)}: {self._about}>"

    @property
    def _about(self) -> str:
        w = self.window
        end_row, end_col = w.stop
        whole = self._coarsest.shape[2:] == (w.height, w.width)
        where = "the whole" if whole else f"columns {w.col}–{end_col - 1}, rows {w.row}–{end_row - 1}"
        return f"{where} of {self._coarsest.name}, {self.view.name}"

    @property
    def _coarsest(self) -> Scene:
        return self.scenes[self.factors.index(min(self.factors))]

    @cached_property
    def _layers(self) -> list[_Layer]:
        return [
            _Layer.of(scene, self.window.scaled(factor), self.bands, self.frames, facts.upright(self._coarsest.grid))
            for scene, factor in zip(self.scenes, self.factors, strict=True)
        ]

    @cached_property
    def _data(self) -> dict[str, Any]:
        """What the script is given."""
        first, grid = self.scenes[0], self._coarsest.grid
        codes = [Codes.of(self._seen(i), first, b, self.limits[b]) for i, b in enumerate(self.bands)]
        layers = []
        for name, layer in zip(self.names, self._layers, strict=True):
            height, width = layer.frames[0][0].shape[1:]
            planes = [
                [pack(code.encode(values[i], valid[i])) for i, code in enumerate(codes)]
                for values, valid in layer.frames
            ]
            layers.append({"name": name, "width": width, "height": height, "frames": planes})
        offered = [v for v in views(first) if set(v.bands) <= set(self.bands)]
        offered = [self.view, *(v for v in offered if v.bands != self.view.bands)]
        levels = [{"name": n, "centre": c, "width": w} for n, (c, w) in CT_WINDOWS.items()]
        ground, ground_unit = self._ground()
        return {
            "height": self.height,
            "about": self._about,
            "layers": layers,
            "codes": [{"low": c.low, "step": c.step, "exact": c.exact} for c in codes],
            "views": [{"name": v.name, "planes": [self.bands.index(b) for b in v.bands]} for v in offered],
            "limits": [self.limits[b] for b in self.bands],
            "bands": [first.bands[b].name for b in self.bands],
            "unit": facts.unit(first.select([b + 1 for b in self.bands])),
            "medical": bool(grid.planes),
            "levels": levels if first.domain == "CT" else [],
            "slices": [f + 1 for f in self.frames],
            "slices_in_all": first.shape[0],
            "place": self._place(),
            "digits": _digits(grid),
            "ground": ground,
            "ground_unit": ground_unit,
        }

    def _ground(self) -> tuple[tuple[float, float], str]:
        """Width and height of the region as they are drawn, in mm, m, or the CRS's units."""
        w, grid = self.window, self._coarsest.grid
        if grid.planes:
            rows, columns = grid.planes[self.frames[0]].spacing
            return (w.width * columns, w.height * rows), "mm"
        x, y = facts.pixel_size(grid)
        unit = facts.unit_of(grid.crs) if grid.affine is not None else ""
        if unit == "°" and grid.affine is not None:
            latitude = (grid.affine @ (w.col + w.width / 2, w.row + w.height / 2))[1]
            x, y, unit = x * facts.parallel(latitude), y * facts.METRES_PER_DEGREE, "m"
        return (w.width * x, w.height * y), unit

    def _seen(self, position: int) -> Iterator[Array]:
        for layer in self._layers:
            for values, valid in layer.frames:
                yield values[position][valid[position]]

    def _place(self) -> list[list[float]]:
        """For each slice, what turns parts of the region's width and height into world positions: origin, two sides."""
        w, grid = self.window, self._coarsest.grid
        if grid.planes:
            planes = [grid.planes[f] for f in self.frames]
            corners = [
                [p.at(w.row + r - 0.5, w.col + c - 0.5) for r, c in ((0, 0), (0, w.width), (w.height, 0))]
                for p in planes
            ]
            return [[*o, *np.subtract(x, o).tolist(), *np.subtract(y, o).tolist()] for o, x, y in corners]
        affine = grid.affine
        if affine is None:
            return [[w.col, w.row, w.width, 0, 0, w.height]] * len(self.frames)
        down, right = facts.upright(grid)
        top, bottom = [0, w.height][down]
        left, end = [0, w.width][right]
        outer = ((left, top), (end, top), (left, bottom))
        (ox, oy), (xx, xy), (yx, yy) = (affine @ (w.col + c, w.row + r) for c, r in outer)
        return [[ox, oy, xx - ox, xy - oy, yx - ox, yy - oy]] * len(self.frames)


@dataclass(frozen=True)
class _Layer:
    """Physical values and validity ``(band, y, x)`` of a region, slice by slice, as they are drawn."""

    frames: tuple[tuple[Array, Array], ...]

    @classmethod
    def of(
        cls,
        scene: Scene,
        window: Window,
        bands: Sequence[int],
        frames: Sequence[int],
        way: tuple[slice, slice],
    ) -> _Layer:
        seen, places = narrowed(scene, bands)
        slope, offset = seen.lines
        parts = []
        for frame in frames:
            one = slice(frame, frame + 1)
            line = frame if len(slope) > 1 else 0
            stored = seen.source.read(one, window)[0].astype(np.float64)
            physical = stored * slope[line][:, None, None] + offset[line][:, None, None]
            valid = seen.source.valid(one, window)[0] & np.isfinite(physical)
            parts.append((physical[places][:, *way], valid[places][:, *way]))
        return cls(tuple(parts))


def _digits(grid: Grid) -> int:
    """Digits behind the point that tell one pixel from the next."""
    finest = min(grid.planes[0].spacing) if grid.planes else min(facts.pixel_size(grid)) if grid.affine else 1.0
    return max(0, math.ceil(-math.log10(finest)) + 1)


def _factor(coarse: Scene, fine: Scene) -> int:
    """How many times finer one scene is than another of the same ground."""
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
    if not _same_ground(coarse, fine, factor):
        raise InputError(f"{coarse.name} and {fine.name}, which lie elsewhere", "the same ground", "crop them to it")
    return factor


def _same_ground(coarse: Scene, fine: Scene, factor: int) -> bool:
    one, other = coarse.grid, fine.grid
    if one.planes and other.planes:
        pairs = zip(one.planes, other.planes, strict=True)
        return all(
            math.dist(a, b) <= _APART * min(p.spacing)
            for p, q in pairs
            for a, b in zip(p.corners(one.shape), q.corners(other.shape), strict=True)
        )
    if one.affine is None or other.affine is None:
        return True  # nothing says otherwise
    height, width = other.shape
    moved = ~one.affine @ other.affine
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    return all(math.dist(moved @ c, (c[0] / factor, c[1] / factor)) <= _APART for c in corners)


def _held(scene: Scene, view: View) -> tuple[int, ...]:
    """The bands that a viewer of a scene holds: those of the views it offers."""
    offered = {b for v in views(scene)[: _BANDS + 2] for b in v.bands} if len(scene.bands) <= _BANDS else set()
    composites = {b for v in views(scene) if len(v.bands) == 3 for b in v.bands}
    return tuple(sorted(offered | composites | set(view.bands)))


def _middle(scene: Scene, factor: int, planes: int) -> Window:
    """A region in the middle: the whole of it where that makes a small page, else a square."""
    _, _, height, width = scene.shape
    if width * height * factor**2 * planes <= _USUAL and max(width, height) * factor <= _LARGEST_SIDE:
        return Window(0, 0, width, height)
    side = min(max(int(math.sqrt(_USUAL / planes)), _LEAST_SIDE), _LARGEST_SIDE) // factor or 1
    wide, tall = min(side, width), min(side, height)
    return Window((width - wide) // 2, (height - tall) // 2, wide, tall)


def _named_apart(scenes: Sequence[Scene]) -> list[str]:
    names = [scene.name for scene in scenes]
    return [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names, 1)]


def _resized(image: Array, size: tuple[int, int]) -> Array:
    """An image in another size: larger by repeating pixels, smaller by averaging them."""
    from PIL import Image

    larger = size[0] >= image.shape[1]
    method = Image.Resampling.NEAREST if larger else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize(size, method))
