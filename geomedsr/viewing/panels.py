"""The same place from each method, side by side, with its error against the reference."""

from __future__ import annotations

import html
from collections.abc import Iterator

import numpy as np

from geomedsr.geometry import Box, Factors
from geomedsr.geometry.grid import Window
from geomedsr.metrics.case import Case
from geomedsr.metrics.regions import physical
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.viewing.colours import View, view_of
from geomedsr.viewing.images import data_uri, png
from geomedsr.viewing.stretch import limits, shades

#: The approximate side of a picture in CSS pixels.
_SIDE = 192

#: The error that is drawn darkest, as a share of the range shown.
DARKEST = 0.25

#: The colour map of errors: white, yellow, red, black.
_RAMP = np.array([[255, 255, 255], [255, 222, 110], [222, 70, 30], [60, 0, 20]], float)


def panels(case: Case, frame: int, window: Window, skip: tuple[str, ...] = ("Lanczos",)) -> str:
    """A row of pictures: input, methods, reference; below each method its error.

    Errors are mean absolute differences over the bands shown, from white to black at :data:`DARKEST` of the range.
    """
    view, ends = view_of(case.fine), limits(case.fine)
    shown = [ends[b] for b in view.bands]
    box = Box.of(frame, window)
    valid = case.fine.source.valid(box)[0][list(view.bands)]
    truth = _values(case.fine, box, view)
    small = _values(case.coarse, box.coarsened(Factors.in_plane(case.scale)), view)
    small = small.repeat(case.scale, 1).repeat(case.scale, 2)
    columns = [_figure("input", _picture(small, valid, shown), "")]
    for method, values in _made(case, view, box, skip):
        errors = _errors(values, truth, valid, shown)
        columns.append(_figure(method, _picture(values, valid, shown), _image(errors, f"error of {method}")))
    columns.append(_figure("reference", _picture(truth, valid, shown), ""))
    return f'<div class="panels">{"".join(columns)}</div>'


def _made(case: Case, view: View, box: Box, skip: tuple[str, ...]) -> Iterator[tuple[str, Array]]:
    """The methods that make all shown bands, with their physical values ``(band, y, x)``."""
    for method in case.methods:
        bands = tuple(range(len(case.fine.bands))) if method.bands is None else method.bands
        if method.name not in skip and set(view.bands) <= set(bands):
            yield method.name, method.physical(box)[0][[bands.index(b) for b in view.bands]]


def _values(scene: Scene, box: Box, view: View) -> Array:
    shown: Array = physical(scene, box.frames, scene.source.read(box))[0][list(view.bands)]
    return shown


def _errors(values: Array, truth: Array, valid: Array, shown: list[tuple[float, float]]) -> Array:
    """Errors as colours, uint8 ``(y, x, 4)``."""
    span = np.array([high - low if high > low else 1.0 for low, high in shown])[:, None, None]
    share = np.clip((np.abs(values - truth) / span).mean(0) / DARKEST, 0, 1) * (len(_RAMP) - 1)
    steps = np.arange(len(_RAMP))
    colours = np.stack([np.interp(share, steps, channel) for channel in _RAMP.T], -1)
    opacity = np.where(valid.all(0), 255, 0)[..., None]
    return np.ascontiguousarray(np.concatenate([np.rint(colours), opacity], -1).astype(np.uint8))


def _picture(values: Array, valid: Array, shown: list[tuple[float, float]]) -> str:
    return _image(shades(values, valid, shown), "")


def _image(colours: Array, alt: str) -> str:
    zoom = max(round(_SIDE / colours.shape[1]), 1)
    return (
        f'<img alt="{html.escape(alt)}" width="{colours.shape[1] * zoom}" height="{colours.shape[0] * zoom}" '
        f'src="{data_uri(png(colours))}">'
    )


def _figure(name: str, picture: str, error: str) -> str:
    return f"<figure><figcaption>{html.escape(name)}</figcaption>{picture}{error}</figure>"
