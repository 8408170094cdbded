"""A series as a scene."""

from __future__ import annotations

import warnings

from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Grid, Window
from geomedsr.scene.scene import Band, Scene
from geomedsr_dicom.frames import UNSPECIFIED, Frame
from geomedsr_dicom.index import Series
from geomedsr_dicom.prose import stated
from geomedsr_dicom.record import read_record
from geomedsr_dicom.source import SeriesSource

#: The lowest HU that scanners reconstruct: air is -1000, and 12 bits begin at -1024.
LEAST_HU = -1024


def open_series(series: Series, force: bool = False) -> Scene:
    """The scene of a series: one frame per slice, one band.

    Raises:
        InputError: the series cannot be used, or is a result of geomedsr and ``force`` is not set.
    """
    refuse(series, force)
    for fault in series.faults:
        warnings.warn(f"{title(series)} has {fault}; each slice is upscaled by itself", SceneWarning, stacklevel=2)
    for note in series.notes:
        warnings.warn(f"{title(series)} has {note}", SceneWarning, stacklevel=2)
    frames, header = series.frames, series.first
    lines = [(f.slope, f.intercept) for f in frames]
    paddings = {f.padding for f in frames}
    padding = next(iter(paddings)) if len(paddings) == 1 else None
    one_line, one_value = len(set(lines)) == 1, padding is not None and padding[0] == padding[1]
    source = SeriesSource(frames, header.size, header.dtype)
    unit, (low, high) = units(series, frames), header.limits
    least = _undeclared(source) if unit == "HU" and paddings == {None} else None
    band = Band(
        name=series.modality,
        nodata=padding[0] if padding and one_value else None,
        scale=lines[0][0] if one_line else 1.0,
        offset=lines[0][1] if one_line else 0.0,
        units=unit,
        interpretation="gray",
        limits=(low if least is None else max(low, least), high),
    )
    return Scene(
        source=source,
        grid=Grid(header.size, planes=tuple(f.plane for f in frames)),
        bands=(band,),
        name=title(series),
        files=tuple(dict.fromkeys(f.path for f in frames)),
        domain=series.modality,
        rescale=() if one_line else tuple(lines),
        headers=frames,
        provenance=read_record(header.record) or stated(header.derivation),
    )


def _undeclared(source: SeriesSource) -> int | None:
    """The stored value in all corners of a CT's first slice, if it is lower than that of any tissue or air.

    It is padding that the header does not state. It becomes the lowest value that a result may have, so that padding
    stays unchanged pixel by pixel, and nothing overshoots below it.
    """
    first, (height, width) = source.frames[0], source.size
    try:
        edges = [source.read(Box.of(0, Window(col, row, 1, 1))) for row in (0, height - 1) for col in (0, width - 1)]
    except InputError:  # the error is reported when the slice is read
        return None
    found = {int(edge.item()) for edge in edges}
    value = found.pop()
    return value if not found and value * first.slope + first.intercept < LEAST_HU else None


def refuse(series: Series, force: bool) -> None:
    """Raise an InputError if a series cannot be used."""
    if series.refusal is not None:
        got, expected, remedy = series.refusal
        raise InputError(f"{title(series)}: {got}", expected, remedy)
    if not force and any(h.derived for h in series.headers):
        raise InputError(
            f"{title(series)}, which geomedsr made", "a series from a scanner", "add --force to go on all the same"
        )


def title(series: Series) -> str:
    """The name of a series in messages, without patient data."""
    return f"{series.modality} series" + (f" {series.number}" if series.number is not None else "")


def units(series: Series, frames: tuple[Frame, ...]) -> str | None:
    """The unit of rescaled values: HU for CT unless the file says otherwise (PS3.3 C.11.1.1.2).

    ``"unspecified"`` for a CT whose values are not Hounsfield units; None for other images without a stated unit.
    """
    kinds = {f.units.upper() for f in frames}
    if series.modality == "CT" and kinds <= {"", "HU"}:
        return "HU"
    kind = next(iter(kinds)) if len(kinds) == 1 else ""
    if kind not in ("", UNSPECIFIED):
        return kind
    return "unspecified" if series.modality == "CT" else None
