"""Facts about a scene, in a few words each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from geomedsr.errors import GeomedsrError
from geomedsr.geometry.crs import crs_name, unit_of
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.scene.provenance import provenance_of
from geomedsr.scene.ranges import measured_range
from geomedsr.scene.scene import Scene
from geomedsr.viewing.beside import beside

#: Metres in a degree of latitude, and of longitude at the equator.
METRES_PER_DEGREE = 111_320.0

#: The most bands whose names are listed.
_NAMED = 12


def size(scene: Scene) -> str:
    """Pixels, and slices."""
    frames, _, height, width = scene.shape
    slices = f", {frames} slice{'s' * (frames != 1)}" if scene.grid.planes else f", {frames} frames" * (frames > 1)
    return f"{width} × {height} pixels{slices}"


def bands(scene: Scene) -> str:
    """The number of bands, their names, and their roles as the user states them."""
    names = [b.name if b.role is None else f"{b.name} ({b.role})" for b in scene.bands]
    if names == ["1"]:
        return "1"
    more = ", …" if len(names) > _NAMED else ""
    return f"{len(names)}: {', '.join(names[:_NAMED])}{more}"


def spacing(scene: Scene) -> str | None:
    """The side of a pixel in units of the CRS, or in mm; None if unknown."""
    grid = scene.grid
    if grid.planes:
        rows, columns = grid.planes[0].spacing
        step = slice_step(grid.planes)
        apart = f", slices {step:.4g} mm apart" if step else ""
        return f"{columns:.4g} × {rows:.4g} mm{apart}"
    if grid.affine is None:
        return None
    x, y = pixel_size(grid)
    unit = unit_of(grid.crs)
    return f"{x:.6g} {unit}".strip() if math.isclose(x, y) else f"{x:.6g} × {y:.6g} {unit}".strip()


def pixel_size(grid: Grid) -> tuple[float, float]:
    """Width and height of a pixel in units of the CRS; 1 without an affine."""
    a = grid.affine
    return (1.0, 1.0) if a is None else (math.hypot(a.a, a.d), math.hypot(a.b, a.e))


def upright(grid: Grid) -> tuple[slice, slice]:
    """The slices of rows and columns that put north up and east to the right, if the grid is aligned with them."""
    affine = grid.affine
    if affine is None or affine.b != 0 or affine.d != 0:
        return slice(None), slice(None)
    return slice(None, None, -1 if affine.e > 0 else 1), slice(None, None, -1 if affine.a < 0 else 1)


def slice_step(planes: Sequence[Plane]) -> float:
    """The median distance of neighbouring slices in mm; 0 for a single slice."""
    if len(planes) < 2:
        return 0.0
    return float(np.median(np.abs(np.diff([p.depth for p in planes]))))


def place(scene: Scene) -> str:
    """The CRS, or the orientation of slices in the patient."""
    grid = scene.grid
    if grid.planes:
        return orientation(grid.planes[0])
    if grid.affine is None and not grid.gcps and grid.rpcs is None:
        return "not georeferenced"
    by = [f"{len(grid.gcps)} GCPs"] * bool(grid.gcps) + ["RPCs"] * (grid.rpcs is not None)
    name = crs_name(grid.crs or grid.gcp_crs) or "no CRS"
    return name if grid.affine is not None else f"{name}, by {' and '.join(by)}"


def orientation(plane: Plane) -> str:
    """Axial, coronal or sagittal, whichever is nearest (DICOM's axes point left, posterior, superior)."""
    normal = np.abs(plane.normal)
    name = ("sagittal", "coronal", "axial")[int(normal.argmax())]
    return name if normal.max() > 0.999 else f"oblique, nearest {name}"


def parallel(latitude: float) -> float:
    """Approximate metres in a degree of longitude."""
    return METRES_PER_DEGREE * max(math.cos(math.radians(latitude)), 0.01)


def unit(scene: Scene) -> str:
    """The unit of physical values, if it is the same for all bands."""
    units = {b.units for b in scene.bands}
    return (units.pop() or "") if len(units) == 1 else ""


def memory(scene: Scene) -> str:
    """The memory that all pixels would take."""
    count = float(math.prod(scene.shape) * scene.dtype.itemsize)
    for name in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or name == "GiB":
            break
        count /= 1024
    return f"{count:.3g} {name}" if count < 1000 else f"{count:.0f} {name}"


def value_range(scene: Scene) -> str | None:
    """The range of 98 % of the valid pixels in physical units, or a note that there are none; None if unavailable."""
    from geomedsr.inference.output import predicted
    from geomedsr.viewing.reduced import unread

    inner = predicted(scene.source)
    if inner is not None and all(beside(scene)):
        return None  # its input tells nothing of it
    seen = inner.scene if inner is not None else scene
    known = seen.__dict__.get("values", seen.scale)  # the value scale, if it is already known
    if unread(seen.source) and (seen.rescale or known is None or known.origin != "percentiles"):
        return None
    try:
        ends = measured_range(seen)
    except GeomedsrError:
        return None
    if ends is None:
        return "no data"
    text = " … ".join(dict.fromkeys(f"{end:.4g}" for end in ends))  # a single number if both are equal
    of = " of its input" if inner is not None else ""
    return f"{text} {unit(scene)}".strip() + f" (1–99 %{of})"


def made_by(scene: Scene) -> str | None:
    """The model that made the scene; None if it is not a result."""
    provenance = provenance_of(scene)
    model = provenance.model
    if model.name is None:
        return None
    words = f"{model.name} {model.version or ''}, {'×?' if model.factors is None else model.factors.words}"
    if model.realism:
        words += f", realism {model.realism:g}"
    return f"{words}, {provenance.run.approximate}" if provenance.run.approximate else words


def interval(scene: Scene) -> str | None:
    """What a result's half-widths promise, and what was invented; None if it has none."""
    told = provenance_of(scene).interval
    if told.nominal is None:
        return None
    words = f"for {told.nominal:g} of the pixels, around realism 0, by the {told.rule or 'score of units'}"
    return words if told.invented is None else f"{words}; {100 * told.invented:.1f} % of the pixels are invented"


def plain(scene: Scene) -> str:
    """The scene in two or three lines of text; nothing is read."""
    where = [place(scene), *([f"pixel {spacing(scene)}"] if spacing(scene) else [])]
    lines = [
        f"<geomedsr.Scene {scene.name}: {size(scene)}, {scene.dtype}, {memory(scene)}; bands {bands(scene)}>",
        "  " + "; ".join(where),
    ]
    if maker := made_by(scene):
        lines.append(f"  made by {maker}: {predicted_part(scene)}")
    return "\n".join(lines)


def predicted_part(scene: Scene) -> str:
    """What of a result a model predicted, in words."""
    factors = provenance_of(scene).model.factors
    if factors is not None and factors.volume == 1:
        return "what differs from its source is the model's prediction"
    return "detail finer than its source's pixels is the model's prediction"
