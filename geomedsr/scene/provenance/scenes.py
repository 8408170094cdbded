"""What scenes say of how they were made, and what is said of what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from geomedsr.errors import ModelError
from geomedsr.geometry.grid import Window
from geomedsr.providers import provider
from geomedsr.scene.provenance.record import OF_FRAMES, PREFIX, Chosen, Provenance
from geomedsr.scene.sources import cropping

if TYPE_CHECKING:
    from geomedsr.scene.scene import Scene


def provenance_of(scene: Scene) -> Provenance:
    """What a scene that was opened, or is about to be written, says of it: its file's tags, and what was done since."""
    return scene.provenance.over(Provenance.of(scene.tags.get("", {})))


def foreign(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Tags without ours: a result that is made finer once more is not described by them."""
    return {key: value for key, value in tags.items() if not key.startswith(PREFIX)}


def before(scene: Scene) -> Provenance:
    """What is kept of it when a scene is made finer: the bands, the window, the nodata value, the slice axis and the
    part of a product that were chosen, the models of earlier passes, and the groups of bands that they made.
    """
    provenance, own = provenance_of(scene), scene.provenance
    window = cropping(scene.source)
    return Provenance(
        chosen=Chosen(
            bands=_own_bands(scene),
            nodata=own.chosen.nodata,
            slice_axis=own.chosen.slice_axis,
            aoi=None if own.model.factor else own.chosen.aoi,  # in the pixels of what is made finer now
            window=None if window is None else _exact(window),
            resolution=own.chosen.resolution,
            mask=own.chosen.mask,
            physical=own.chosen.physical,
        ),
        before=provenance.steps,
        groups=provenance.groups,
    )


def _exact(window: Window) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, (window.col, window.row, window.width, window.height)))


def _own_bands(scene: Scene) -> tuple[str | int, ...] | None:
    """The bands that were chosen from the file itself. A result's bands are its source's, by number."""
    picked, table = scene.provenance.chosen.bands, Provenance.of(scene.tags.get("", {})).chosen.bands
    if picked is None or table is None or any(band not in table for band in picked):
        return picked
    return tuple(table.index(band) + 1 for band in picked)


def chosen(scene: Scene, picks: Sequence[int], shown: Sequence[str | None] = ()) -> Provenance:
    """The provenance of some of a scene's bands, by position: which ones of the source they are, by name, or by number
    from 1 where names do not tell.

    ``shown`` is what the user said that bands show which the source takes for alpha: with it, or with nothing before
    the sign, such a band is ``nir=4``.
    """
    provenance = picked(provenance_of(scene), [band.name for band in scene.bands], picks)
    bands = provenance.chosen.bands or ()
    if any(role is not None for role in shown):
        bands = tuple(b if role is None else f"{role}={b}" for b, role in zip(bands, shown, strict=True))
    ranges = provenance.ranges or scene.provenance.ranges
    return replace(scene.provenance.choosing(bands=bands), ranges=ranges, groups=provenance.groups)


def picked(provenance: Provenance, names: Sequence[str], picks: Sequence[int]) -> Provenance:
    """A provenance with what it lists band by band for some of the bands: which of the source they are, and their
    ranges.
    """
    bands: Sequence[str | int] = [n if names.count(n) == 1 else str(number) for number, n in enumerate(names, 1)]
    if provenance.chosen.bands is not None and len(provenance.chosen.bands) == len(names):
        bands = provenance.chosen.bands
    ranges = provenance.ranges
    if ranges is not None and len(ranges) == len(names):
        ranges = tuple(ranges[i] for i in picks)
    left = {names[i] for i in picks}
    groups = tuple(kept for group in provenance.groups or () if (kept := group.of_bands(left)).bands) or None
    return replace(provenance.choosing(bands=tuple(bands[i] for i in picks)), ranges=ranges, groups=groups)


def cropped(scene: Scene, window: Window) -> Provenance:
    """The provenance of a window of a scene: of a result, which part of its source that shows."""
    provenance, own = provenance_of(scene), scene.provenance
    whole = (window.height, window.width) == scene.grid.shape
    unread = provenance.chosen.window is None and f"{PREFIX}WINDOW" in provenance
    if whole or unread or (factor := provenance.model.factor) is None:
        return own
    left, top, *_ = provenance.chosen.window or (Fraction(0),) * 4
    col, row, width, height = (number / factor for number in _exact(window))
    if provenance.agreement.conserved == "yes" and _of_frames(provenance.agreement.operator):
        own = replace(own, agreement=replace(own.agreement, conserved=OF_FRAMES))
    return own.choosing(window=(left + col, top + row, width, height))


def _of_frames(operator: str | None) -> bool:
    """Whether an operator guarantees whole frames only."""
    with suppress(ModelError):
        return operator is not None and bool(provider("operator")(operator).whole_frames)
    return False


def origin_of(scene: Scene) -> tuple[int, int]:
    """Where a scene's first pixel lies in what it is a part of, as (row, column) in its own pixels; of a result that is
    not yet written, in the whole result.
    """
    if (factor := scene.provenance.model.factor) is None:
        window = cropping(scene.source)
        return (0, 0) if window is None else (window.row, window.col)
    col, row, *_ = scene.provenance.chosen.window or (Fraction(0),) * 2
    return round(row * factor), round(col * factor)


def window_of(provenance: Provenance) -> Window | None:
    """The window of its source that a result shows; None of the whole, and where it shows parts of pixels."""
    part = provenance.chosen.window
    if part is None or any(number.denominator != 1 for number in part):
        return None
    return Window(*map(int, part))
