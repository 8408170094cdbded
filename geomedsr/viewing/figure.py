"""A scene as a matplotlib figure."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from geomedsr.errors import GeomedsrError, InputError
from geomedsr.geometry.crs import unit_of
from geomedsr.scene.reformat import reformatted
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.viewing import facts
from geomedsr.viewing.colours import View, view_of
from geomedsr.viewing.reduced import Small, thumbnail
from geomedsr.viewing.stretch import Level, Stretch, shades, stretch

if TYPE_CHECKING:
    from affine import Affine
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The maximum side of an image in a figure, in pixels.
_SIDE = 1000

#: The longer side of a figure in inches, and its resolution.
_INCHES, _DPI = 6.5, 110

#: The size of labels in points.
_SMALL = 8

#: How much means of equal values may differ by rounding, as a share of the range shown.
_ROUNDING = 1e-9

#: A scale bar takes about this share of the width.
_BAR = 0.2


def figure_class() -> type[Figure]:
    """A class of matplotlib figures that notebooks display without pyplot, and only once."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GeomedsrError("no matplotlib", "it for figures", "pip install 'geomedsr[notebook]'") from error

    class SceneFigure(Figure):  # type: ignore[misc, unused-ignore]  # where matplotlib is missing
        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=_DPI, bbox_inches="tight")
            return file.getvalue()

    return SceneFigure


def plot(
    scene: Scene,
    bands: str | int | Sequence[str | int] | None = None,
    *,
    frame: int | None = None,
    plane: str | None = None,
    percentiles: tuple[float, float] | None = None,
    level: Level | None = None,
    like: Scene | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """See :meth:`geomedsr.Scene.plot`."""
    view = view_of(scene, bands)
    found = common_stretch(like if like is not None else scene, scene, percentiles, level)
    if plane is not None:
        scene = reformatted(scene, plane)
    number = pick_frame(scene, frame)
    shown = [found.ends[b] for b in view.bands]
    small = thumbnail(scene, view.bands, number, _SIDE)
    assert small is not None
    extent, units = extent_of(scene, number, small)
    figure, axis = _axes(scene, _shape(scene, small), ax)
    image: Any = shades(small.values, small.valid, shown)
    if len(view.bands) == 1:
        image = np.ma.masked_where(~small.valid[0], small.values[0])
    low, high = shown[0]
    palette = None if len(view.bands) == 3 else {"cmap": "gray", "vmin": low, "vmax": high}
    drawn = axis.imshow(image, extent=extent, interpolation="nearest", aspect="auto", **(palette or {}))
    if _along_axes(scene) is not None:  # north is up, whatever the order of rows
        axis.set(xlim=sorted(extent[:2]), ylim=sorted(extent[2:]))
    axis.set_aspect(_aspect(scene, extent))
    axis.set_xlabel(units[0], fontsize=_SMALL, labelpad=2, parse_math=False)
    axis.set_ylabel(units[1], fontsize=_SMALL, labelpad=2, parse_math=False)
    _ticks(axis, turned=scene.grid.affine is not None)
    axis.set_facecolor("0.85")
    own = title is None  # made of names, in which a $ does not start mathematics
    axis.set_title(_title(scene, view, number, plane or "slice") if own else title, fontsize=10, parse_math=not own)
    if palette is not None:
        values = small.values[small.valid] if found.apart[view.bands[0]] else None
        _colour_bar(figure, axis, drawn, values, scene.bands[view.bands[0]].units or "value")
    _scale_bar(axis, scene, extent)
    return figure


def pick_frame(scene: Scene, frame: int | None) -> int:
    """The position of a frame, by default the middle one.

    Raises:
        InputError: no such frame.
    """
    count = scene.shape[0]
    if frame is None:
        return count // 2
    if not -count <= frame < count:
        raise InputError(f"frame {frame}", f"one of 0 … {count - 1}", "count from 0")
    return frame % count


def common_stretch(like: Scene, scene: Scene, percentiles: tuple[float, float] | None, level: Level | None) -> Stretch:
    """The stretch of the scene ``like``, for another scene with the same bands.

    Raises:
        InputError: as in :func:`stretch`, or the numbers of bands differ.
    """
    if len(like.bands) != len(scene.bands):
        raise InputError(
            f"a scene of {len(scene.bands)} bands to show like one of {len(like.bands)}", "equal bands", "select them"
        )
    return stretch(like, percentiles, level)


def _shape(scene: Scene, small: Small) -> float:
    """Height by width of what is drawn."""
    shape = small.window.height / small.window.width
    if not scene.grid.planes:
        return shape
    rows, columns = scene.grid.planes[0].spacing
    return shape * rows / columns


def _axes(scene: Scene, shape: float, ax: Axes | None) -> tuple[Figure, Any]:
    if ax is not None:
        return cast("Figure", ax.get_figure()), ax
    wide = _INCHES if shape <= 1 else _INCHES / shape
    size = (max(wide, 2.5) + 0.8, max(wide * shape, 2.0) + 0.6)
    figure = figure_class()(figsize=size, dpi=_DPI, layout="constrained")
    return figure, figure.add_subplot()


def _colour_bar(figure: Figure, axis: Any, drawn: Any, values: Array | None, label: str) -> None:
    """A colour bar beside an image.

    ``values`` are the values shown, given only if the limits had to be set apart. For a single value the bar shows it
    alone; without any, the image says so instead.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    low, high = drawn.get_clim()
    if values is not None and values.size == 0:
        axis.text(0.5, 0.5, "no data", transform=axis.transAxes, ha="center", va="center", fontsize=_SMALL)
        return
    alone = values is not None and np.ptp(values) <= _ROUNDING * (high - low)
    if values is not None and alone:
        value, half = float(values[0]), (high - low) / 2
        drawn = ScalarMappable(Normalize(value - half, value + half), ListedColormap([drawn.to_rgba(value)]))
    bar = figure.colorbar(drawn, ax=axis, shrink=0.75, pad=0.02)
    if alone:
        bar.set_ticks([value], labels=[f"{value:.4g}"])
    bar.set_label(label, fontsize=_SMALL, parse_math=False)
    bar.ax.tick_params(labelsize=_SMALL)


def _ticks(axis: Any, *, turned: bool) -> None:
    """Ticks labelled with full numbers; ``turned`` writes labels of y along the axis, since northings are long."""
    from geomedsr.viewing.ticks import RoomyLocator

    axis.ticklabel_format(useOffset=False, style="plain")
    axis.tick_params(labelsize=_SMALL)
    axis.tick_params(axis="y", labelrotation=90 if turned else 0)
    axis.xaxis.set_major_locator(RoomyLocator(lengthwise=True, size=_SMALL))
    axis.yaxis.set_major_locator(RoomyLocator(lengthwise=turned, size=_SMALL))


def extent_of(scene: Scene, frame: int, small: Any) -> tuple[tuple[float, float, float, float], tuple[str, str]]:
    """The coordinates of an image's outer edges, ``(left, right, bottom, top)``, and the labels of the axes."""
    window, grid = small.window, scene.grid
    end_row, end_col = window.stop
    if grid.planes:
        plane = grid.planes[frame]
        x0 = float(np.dot(plane.position, plane.along_row)) - plane.spacing[1] / 2
        y0 = float(np.dot(plane.position, plane.along_column)) - plane.spacing[0] / 2
        right, bottom = x0 + end_col * plane.spacing[1], y0 + end_row * plane.spacing[0]
        names = (f"mm, towards {_towards(plane.along_row)}", f"mm, towards {_towards(plane.along_column)}")
        return (x0 + window.col * plane.spacing[1], right, bottom, y0 + window.row * plane.spacing[0]), names
    affine = _along_axes(scene)
    if affine is None:
        return (window.col, end_col, end_row, window.row), ("column", "row")
    (left, top), (right, bottom) = affine @ (window.col, window.row), affine @ (end_col, end_row)
    unit = unit_of(grid.crs)
    names = ("longitude, °", "latitude, °") if unit == "°" else (f"x, {unit}".rstrip(", "), f"y, {unit}".rstrip(", "))
    return (left, right, bottom, top), names


def _along_axes(scene: Scene) -> Affine | None:
    """The affine, if rows and columns are parallel to the axes of the CRS; None if axes are in pixels."""
    affine = scene.grid.affine
    return affine if affine is not None and affine.b == affine.d == 0 else None


def _towards(direction: Sequence[float]) -> str:
    """The side of the patient to which a direction points (DICOM's axes: left, posterior, superior)."""
    axis = int(np.abs(direction).argmax())
    return (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))[axis][direction[axis] > 0]


def _aspect(scene: Scene, extent: Sequence[float]) -> float:
    """The aspect ratio, vertical to horizontal units, that keeps the area's true shape."""
    affine = scene.grid.affine
    if affine is None:
        return 1.0
    along = _along_axes(scene)
    width, height = (1.0, 1.0) if along is not None else facts.pixel_size(scene.grid)
    if unit_of(scene.grid.crs) == "°":
        middle = (extent[0] + extent[1]) / 2, (extent[2] + extent[3]) / 2
        latitude = middle[1] if along is not None else (affine @ middle)[1]
        height *= facts.METRES_PER_DEGREE / facts.parallel(latitude)
    return height / width


def _title(scene: Scene, view: View, frame: int, kind: str) -> str:
    words = [scene.name, *([view.name] if view.name != "1" else [])]
    return ", ".join(words + ([f"{kind} {frame + 1} of {scene.shape[0]}"] if scene.shape[0] > 1 else []))


def _scale_bar(axis: Any, scene: Scene, extent: Sequence[float]) -> None:
    """A scale bar of a round length in m or mm, if the axes have such units."""
    per_unit, unit = 1.0, ""
    if scene.grid.planes:
        unit = "mm"
    elif _along_axes(scene) is not None:
        unit = unit_of(scene.grid.crs)
    if unit == "°":  # convert to metres along the parallel
        per_unit, unit = facts.parallel((extent[2] + extent[3]) / 2), "m"
    if unit not in ("m", "mm"):
        return
    length, words = round_length(abs(extent[1] - extent[0]) * per_unit, unit)
    from matplotlib.patheffects import withStroke
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    bar = AnchoredSizeBar(
        axis.transData, length / per_unit, words, "lower left", pad=0.5, frameon=False, color="white", size_vertical=0
    )
    edge = [withStroke(linewidth=3, foreground="black")]
    bar.size_bar.get_children()[0].set(linewidth=2, path_effects=edge)
    bar.txt_label.get_children()[0].set_path_effects(edge)
    axis.add_artist(bar)


def round_length(width: float, unit: str) -> tuple[float, str]:
    """A length of 1, 2 or 5 times a power of ten, about a fifth of a width, and its label."""
    exponent = math.floor(math.log10(width * _BAR))
    length = max(n * 10.0**exponent for n in (1, 2, 5) if n * 10.0**exponent <= width * _BAR * 1.0001)
    if unit == "m" and length >= 1000:
        return length, f"{length / 1000:g} km"
    return (length, f"{length / 10:g} cm") if unit == "mm" and length >= 10 else (length, f"{length:g} {unit}")
