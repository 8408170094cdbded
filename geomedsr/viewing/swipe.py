"""The viewer of ``compare``: a self-contained HTML fragment for before and after, with a still picture where scripts do
not run. The viewer's code is in ``swipe.js`` and ``swipe.css``.

It contains the values, coded by :mod:`geomedsr.viewing.packing`, so that bands, windows and levels can be chosen in the
page. Only the region shown is read or computed.
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

from geomedsr.geometry import Box
from geomedsr.geometry.crs import unit_of
from geomedsr.geometry.grid import Grid, Window
from geomedsr.io.files import page_target, write_page
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.viewing import facts
from geomedsr.viewing.colours import View, views
from geomedsr.viewing.images import data_uri, png
from geomedsr.viewing.packing import Codes, pack
from geomedsr.viewing.reduced import narrowed
from geomedsr.viewing.stretch import CT_WINDOWS, shades

#: The side of each half of the static picture, in pixels.
_PICTURE = 420


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of :func:`geomedsr.compare`.

    ``window`` is in pixels of the coarsest scene; ``factors`` tell how much finer each scene is. ``bands`` are the
    bands in the viewer, ``view`` is the initial view, and ``limits`` are the physical values of black and white for
    each band; scenes of half-widths or invented pixels have ``own`` ones.
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
    own: tuple[tuple[tuple[float, float], ...] | None, ...] = ()

    def html(self) -> str:
        """The viewer as an HTML fragment: a picture, which a script replaces by the viewer."""
        mark = f"geomedsr-{uuid.uuid4().hex[:12]}"
        style = resources.files("geomedsr.viewing").joinpath("swipe.css").read_text(encoding="utf-8")
        script = resources.files("geomedsr.viewing").joinpath("swipe.js").read_text(encoding="utf-8")
        data = json.dumps(self._data | {"style": style}, ensure_ascii=False, allow_nan=False)
        data = data.replace("<", "\\u003c")  # a name such as <!--<script> would break the script
        about = html.escape(f"{' | '.join(self.names)}; {self._about}")
        still = f'<img alt="{about}" style="max-width:100%" src="{data_uri(self.png())}">'
        return (
            f'<div id="{mark}" class="geomedsr-swipe" data-lm-suppress-shortcuts="true">{still}</div>\n'
            f'<script>\n(function () {{\n"use strict";\n{script}\nbegin("{mark}", {data});\n}})();\n</script>'
        )

    def page(self, title: str | None = None) -> str:
        """A complete page with the viewer."""
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
            OutputError: an unknown suffix, or the file cannot be written.
        """
        target = page_target(path, (".html", ".png"), overwrite=True)
        write_page(target, self.png() if target.suffix.lower() == ".png" else self.page().encode())

    def png(self) -> bytes:
        """The first two scenes side by side, in the initial view."""
        return self._picture

    @cached_property
    def _picture(self) -> bytes:
        wide, high = self._ground()[0] if self._coarsest.grid.planes else (self.window.width, self.window.height)
        tall = round(_PICTURE * high / wide) or 1
        side = (_PICTURE, min(max(tall, 60), 2 * _PICTURE))
        parts = []
        for layer, own in list(zip(self._layers, self._own, strict=True))[:2]:
            values, valid = layer.frames[0]
            picks = [self.bands.index(b) for b in self.view.bands]
            image = shades(values[picks], valid[picks], [(own or self.limits)[b] for b in self.view.bands])
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

    @property
    def _own(self) -> tuple[tuple[tuple[float, float], ...] | None, ...]:
        """For each scene, black and white of its own; None for those of all."""
        return self.own or (None,) * len(self.scenes)

    @cached_property
    def _layers(self) -> list[_Layer]:
        return [
            _Layer.of(scene, self.window.scaled(factor), self.bands, self.frames, facts.upright(self._coarsest.grid))
            for scene, factor in zip(self.scenes, self.factors, strict=True)
        ]

    @cached_property
    def _data(self) -> dict[str, Any]:
        """The data for the script."""
        first, grid = self.scenes[0], self._coarsest.grid
        codes = [Codes.of(self._seen(i), first, b, self.limits[b]) for i, b in enumerate(self.bands)]
        layers = []
        for name, layer, own in zip(self.names, self._layers, self._own, strict=True):
            height, width = layer.frames[0][0].shape[1:]
            planes = [
                [pack(code.encode(values[i], valid[i])) for i, code in enumerate(codes)]
                for values, valid in layer.frames
            ]
            limits = None if own is None else [own[b] for b in self.bands]
            layers.append({"name": name, "width": width, "height": height, "frames": planes, "limits": limits})
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
            "levels": levels if first.hounsfield else [],
            "slices": [f + 1 for f in self.frames],
            "slices_in_all": first.shape[0],
            "place": self._place(),
            "digits": _digits(grid),
            "ground": ground,
            "ground_unit": ground_unit,
        }

    def _ground(self) -> tuple[tuple[float, float], str]:
        """Width and height of the region as drawn, in mm, m, or units of the CRS."""
        w, grid = self.window, self._coarsest.grid
        if grid.planes:
            rows, columns = grid.planes[self.frames[0]].spacing
            return (w.width * columns, w.height * rows), "mm"
        x, y = facts.pixel_size(grid)
        unit = unit_of(grid.crs) if grid.affine is not None else ""
        if unit == "°" and grid.affine is not None:
            latitude = (grid.affine @ (w.col + w.width / 2, w.row + w.height / 2))[1]
            x, y, unit = x * facts.parallel(latitude), y * facts.METRES_PER_DEGREE, "m"
        return (w.width * x, w.height * y), unit

    def _seen(self, position: int) -> Iterator[Array]:
        for layer in self._layers:
            for values, valid in layer.frames:
                yield values[position][valid[position]]

    def _place(self) -> list[list[float]]:
        """For each slice, the world positions of the region's origin, and of its sides as vectors."""
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
    """Physical values and validity ``(band, y, x)`` of a region as drawn, slice by slice."""

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
        slope, offset = seen.slopes_and_offsets
        parts = []
        for frame in frames:
            box = Box.of(frame, window)
            line = frame if len(slope) > 1 else 0
            stored = seen.source.read(box)[0].astype(np.float64)
            physical = stored * slope[line][:, None, None] + offset[line][:, None, None]
            valid = seen.source.valid(box)[0] & np.isfinite(physical)
            parts.append((physical[places][:, *way], valid[places][:, *way]))
        return cls(tuple(parts))


def _digits(grid: Grid) -> int:
    """The number of decimals that distinguish neighbouring pixels."""
    finest = min(grid.planes[0].spacing) if grid.planes else min(facts.pixel_size(grid)) if grid.affine else 1.0
    return max(0, math.ceil(-math.log10(finest)) + 1)


def _resized(image: Array, size: tuple[int, int]) -> Array:
    """An image resized: enlarged by repeating pixels, reduced by averaging them."""
    from PIL import Image

    larger = size[0] >= image.shape[1]
    method = Image.Resampling.NEAREST if larger else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize(size, method))
