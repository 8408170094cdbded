"""``repair``: a scene whose defects are filled, and nothing else changed; lazily."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError, ModelError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.crs import same_crs
from geomedsr.geometry.grid import Grid
from geomedsr.inference.process import process
from geomedsr.models import Model, load_model
from geomedsr.models.filling import MASK, MISSING, Filling
from geomedsr.models.filling_guided import covered, guided, told
from geomedsr.models.ports import IMAGE
from geomedsr.repairing.guides import Covered, Guide, Told
from geomedsr.repairing.marks import Marks, Missing, Without
from geomedsr.scene.digest import digest
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Source

#: The model that fills, for scenes of every kind.
DEFAULT = "repair-gaps"

#: The name of another date among a result's inputs.
FROM = "from"

#: How far a corner of a mask may lie off, in pixels.
_NEAR = 0.1

#: Rows and columns of a piece in which marks are counted.
_PIECE = 1024


@dataclass(frozen=True)
class Repaired:
    """A repaired scene, what was filled of it, and how much that is.

    ``marks`` has a band for each band that was repaired: 1 where a pixel is filled, else 0. Of ``pixels`` pixels of
    all these bands ``marked`` are defects, of which ``filled`` are filled and ``left`` are not, since nothing is known
    near enough.
    """

    scene: Scene
    marks: Scene
    pixels: int
    marked: int
    filled: int

    @property
    def left(self) -> int:
        """See the class docstring."""
        return self.marked - self.filled

    @property
    def words(self) -> str:
        """In words."""
        left = f", {self.left} left: nothing is known near enough" if self.left else ""
        return f"{self.filled} of {self.pixels} pixels filled{left}"


def repair(
    scene: Scene,
    mask: Scene,
    model: str | os.PathLike[str] | Model | None = None,
    *,
    other: Scene | None = None,
    tile: int | None = None,
    memory: int | str | None = None,
    device: str = "auto",
    precision: str | None = None,
) -> Scene:
    """The scene with its defects filled, lazily; every other pixel is the scene's, bit for bit.

    Args:
        scene: any scene. Bands of classes and flags stay as they are.
        mask: a scene on the same grid, of one band or of as many as are repaired: pixels that are data and not 0 are
            defects, whether the scene is data there or not.
        model: a shipped model's name, a model file, or a loaded model of the architecture ``filling``; by default
            ``repair-gaps``.
        other: another date on the same grid, of any bands. What it tells of the bands that are repaired, by a
            regression on it in windows of up to 20 pixels around each pixel, is what the model starts from where it is
            data.
        tile: see :func:`geomedsr.upscale`, as for ``memory``, ``device`` and ``precision``.
        memory: what writing the result may take.
        device: where the network runs.
        precision: what it computes in.

    Returns:
        A scene on the same grid. Defects that are farther from every known pixel than the model's passes reach are no
        data where the scene can mark that, and stay what they were otherwise.

    Raises:
        InputError: a mask of another size or place, with fractions, or that marks every pixel; another date of another
            size or place.
        ModelError: no such model, or one that does not fill.
        DeviceError: no such device, or precision.
    """
    return repaired(scene, mask, model, other=other, tile=tile, memory=memory, device=device, precision=precision).scene


def repaired(
    scene: Scene,
    mask: Scene,
    model: str | os.PathLike[str] | Model | None = None,
    *,
    other: Scene | None = None,
    tile: int | None = None,
    memory: int | str | None = None,
    device: str = "auto",
    precision: str | None = None,
) -> Repaired:
    """:func:`repair`, with what is filled and how much. The whole mask is read for that."""
    own = model if isinstance(model, Model) else load_model(model or DEFAULT)
    if not isinstance(own.module, Filling):
        raise ModelError(f"the model {own.descriptor.name} for repair", "one that fills gaps", f"use {DEFAULT}")
    places = tuple(i for i, band in enumerate(scene.bands) if band.kind == "continuous")
    _check(scene, mask, len(places))
    if other is not None:
        other = _checked_date(scene, other)
    image = scene.source.select(places) if len(places) < len(scene.bands) else scene.source
    marks = Marks(image, mask.source)
    reached = replace(marks, within=own.module.depth)
    marked, filled = _counted(scene, mask, reached)
    shown = _marks(scene, places, reached, mask.name)
    broken = replace(scene, source=Without(scene.source, marks, places), scale=scene.scale)
    guides = _guides(broken, places, marks, other, own.radius)
    inputs: dict[str, Any] = {MASK: shown, MISSING: replace(shown, source=Missing(marks))}
    inputs |= _as_inputs(guides, shown)
    made = process(
        guided(own, len(guides)) if guides else own,
        image=broken,
        tile=tile,
        memory=memory,
        device=device,
        precision=precision,
        **inputs,
    )[IMAGE]
    pixels = int(np.prod(image.shape))
    result = Repaired(made, shown, pixels, marked, filled)
    facts = made.provenance
    named = {MASK: mask.name} if other is None else {MASK: mask.name, FROM: f"{other.name} {digest(other)}"}
    provenance = replace(
        facts, model=replace(facts.model, sha256=own.sha256, inputs=named), filled=filled, left=marked - filled
    )
    files = (*made.files, *mask.files, *(other.files if other is not None else ()))
    made = replace(made, name=f"{scene.name} repaired", provenance=provenance, files=files)
    return replace(result, scene=made, marks=replace(shown, provenance=_of_marks(made)))


def _guides(broken: Scene, places: tuple[int, ...], marks: Marks, other: Scene | None, far: int) -> tuple[Guide, ...]:
    """What tells of missing pixels, in the order in which it is asked: where a mask has several bands, the bands that
    are not missing there; then another date.
    """
    scale, found = broken.values.select(places), []
    if marks.mask.shape[1] > 1:
        found.append(Guide(marks.image, marks, scale, None, scale, far))
    if other is not None:
        found.append(Guide(marks.image, marks, scale, other.source, other.values, far))
    return tuple(found)


def _as_inputs(guides: tuple[Guide, ...], shown: Scene) -> dict[str, Scene]:
    """Guides as inputs of a model, by name; ``shown`` is a mask on its grid, with its bands."""
    bands, found = tuple(range(shown.shape[1])), {}
    for number, guide in enumerate(guides):
        scale = ValueScale.from_range(0, 1, len(bands))  # predictions are on the image's scale already
        found[told(number)] = replace(shown, source=Told(guide, bands), scale=scale)
        found[covered(number)] = replace(shown, source=Covered(guide, bands))
    return found


def _marks(scene: Scene, places: tuple[int, ...], source: Source, name: str) -> Scene:
    """Marks as a scene of a band for each band that is repaired."""
    bands = tuple(Band(f"{scene.bands[i].name}_filled", "nearest") for i in places)
    return Scene(source, scene.grid, bands, name, scene.files, domain=scene.domain, frames=scene.frames)


def _of_marks(made: Scene) -> Provenance:
    """What marks say of themselves: they are an output beside the image."""
    facts = made.provenance
    return replace(
        facts,
        model=replace(facts.model, output=MASK),
        agreement=replace(facts.agreement, conserved="no"),
        ranges=None,
        filled=None,
        left=None,
    )


def _check(scene: Scene, mask: Scene, bands: int) -> None:
    """Raise an InputError for a mask that does not fit, of which nothing but headers is read."""
    if not bands:
        raise InputError(f"{scene.name}, whose bands are classes or flags", "a band to repair", "choose others")
    _check_size(scene, mask, "the mask", "make it on the same grid")
    if mask.shape[1] not in (1, bands):
        raise InputError(
            f"the mask {mask.name} of {mask.shape[1]} bands",
            "one band" + (f", or {bands}, one for each of {scene.name}" if bands > 1 else ""),
            "choose bands of it",
        )
    _check_place(scene, mask, "the mask", "warp it onto that, by nearest neighbour")


def _checked_date(scene: Scene, other: Scene) -> Scene:
    """The bands of another date that can tell something, without classes and flags.

    Raises:
        InputError: it has none, or lies elsewhere.
    """
    _check_size(scene, other, "another date", "warp it onto that grid")
    _check_place(scene, other, "another date", "warp it onto that grid")
    picks = [i for i, band in enumerate(other.bands, 1) if band.kind == "continuous"]
    if not picks:
        raise InputError(f"another date {other.name}, whose bands are classes or flags", "measured bands", "add some")
    return other.select(picks)


def _check_size(scene: Scene, other: Scene, what: str, remedy: str) -> None:
    """Raise an InputError for another number of frames, rows or columns."""
    (frames, _, height, width), its = scene.shape, other.shape
    if (its[0], *its[2:]) != (frames, height, width):
        raise InputError(
            f"{what} {other.name} of {its[0]} × {its[2]} × {its[3]}",
            f"{frames} × {height} × {width} frames, rows and columns, as {scene.name}",
            remedy,
        )


def _check_place(scene: Scene, other: Scene, what: str, remedy: str) -> None:
    """Raise an InputError for another place, as far as both tell where they lie."""
    if (apart := _apart(scene.grid, other.grid)) is not None:
        raise InputError(f"{what} {other.name}, {apart} of {scene.name}", "the same grid", remedy)


def _apart(one: Grid, other: Grid) -> str | None:
    """How two grids of one shape differ, as far as both tell where they lie; None where they do not."""
    off = one.apart(other)
    if off is not None and one.crs is not None and other.crs is not None and not same_crs(one.crs, other.crs):
        return "in another CRS than that"
    return None if off is None or off <= _NEAR else f"whose corners lie up to {off:.3g} pixels from those"


def _counted(scene: Scene, mask: Scene, marks: Marks) -> tuple[int, int]:
    """How many pixels of all bands are defects, and how many of them are filled.

    Raises:
        InputError: fractions in the mask, or nothing is known.
    """
    marked, filled, total = 0, 0, 0
    for box in Box.whole(marks.shape).tiles((1, _PIECE, _PIECE)):
        if mask.dtype.kind == "f":
            _check_whole(mask, box)
        found, reached = marks.counted(box)
        marked, filled, total = marked + found, filled + reached, total + box.pixels * marks.shape[1]
    if marked == total:
        raise InputError(
            f"the mask {mask.name}, which marks every pixel of {scene.name}",
            "some that are not 0, as defects",
            "GDAL's masks mean the opposite: invert it",
        )
    if 2 * marked > total:
        warnings.warn(
            f"the mask {mask.name} marks {marked / total:.0%} of {scene.name} as defects: GDAL's masks mean the "
            "opposite, 255 where data is valid",
            SceneWarning,
            stacklevel=4,
        )
    return marked, filled


def _check_whole(mask: Scene, box: Box) -> None:
    """Raise an InputError for a mask whose numbers have fractions."""
    values = mask.source.read(box)[mask.source.valid(box)]
    odd = values[values != np.rint(values)]
    if odd.size:
        raise InputError(
            f"the mask {mask.name}, which holds {odd[0]:g}",
            "whole numbers: 0 where a pixel is right, any other where it is a defect",
            "choose a threshold, and make it 0 and 1",
        )
