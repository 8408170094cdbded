"""The Scene: values, place, scale, validity and history of a raster or a series, travelling together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Grid, Window
from geomedsr.providers import provider
from geomedsr.scene import padding
from geomedsr.scene.arrays import spread, unmasked, usable
from geomedsr.scene.band import Band as Band
from geomedsr.scene.band import Kind as Kind
from geomedsr.scene.frames import Frames, Lineage
from geomedsr.scene.masking import BESIDE
from geomedsr.scene.nodata import declared
from geomedsr.scene.parts import Parts, cropped_like, part_at, resolutions_of
from geomedsr.scene.picking import as_data, asked, listing, position, with_role
from geomedsr.scene.provenance import Provenance, chosen, cropped
from geomedsr.scene.sampling import sample, sample_frames
from geomedsr.scene.scaling import ValueScale, few, physically_ranged
from geomedsr.scene.sources import Array, ArraySource, CroppedSource, Source
from geomedsr.scene.units import in_units

if TYPE_CHECKING:
    import torch  # slow to import, and of use only to networks, as xarray to those who look at pixels
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Units of CT on the scale of Hounsfield units; the second are modified ones (PS3.3 C.11.1.1.2).
_HOUNSFIELD = {"HU", "HU_MOD"}


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene of axes ``(frame, band, y, x)``: a GeoTIFF has one frame, a DICOM series one per slice.

    Nothing is read until asked for. ``data`` holds stored values in their storage type, ``valid`` says which are data,
    ``values`` is the scale on which the network sees them. ``files`` are those it reads from. ``tags`` are the file's
    own, by namespace; ``provenance`` is what geomedsr adds: a record, or the tags that tell one. ``domain`` is
    ``"satellite"``, ``"CT"``, ``"MR"`` or, where the file does not say, empty. ``rescale`` holds slope and intercept of
    each frame where they differ between frames; they then replace the bands' scale and offset. ``frames`` tells what
    the frames of a stack are, such as times. ``headers`` is the adapter's own record of the frames that were read,
    for its sink, and ``lineage`` tells which of those each frame comes from (:data:`geomedsr.scene.frames.Lineage`).
    ``parts`` are the other resolutions of a product, of which this is one part.
    """

    source: Source
    grid: Grid
    bands: tuple[Band, ...]
    name: str = "array"
    files: tuple[str, ...] = ()
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    scale: ValueScale | None = None
    domain: str = "satellite"
    rescale: tuple[tuple[float, float], ...] = ()
    headers: Any = None
    frames: Frames | None = None
    lineage: Lineage = ()
    parts: Parts | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.provenance, Provenance):
            object.__setattr__(self, "provenance", Provenance.of(self.provenance))

    @classmethod
    def from_array(
        cls,
        array: Any,
        valid: Any = None,
        *,
        grid: Grid | None = None,
        bands: Sequence[Band] | None = None,
        **more: Any,
    ) -> Scene:
        """A scene of an array: numpy, dask or xarray.

        Args:
            array: ``(y, x)``, ``(band, y, x)`` or ``(frame, band, y, x)``. An xarray DataArray may have its axes in any
                order, if its names tell them (:func:`geomedsr.labelled.scene_of`); it keeps CRS, affine, fill value,
                names and the places of its frames. Masked arrays keep their mask.
            valid: True at valid pixels, beside what a mask or fill value says.
            grid: where it lies.
            bands: what the bands are.
            more: as of a :class:`Scene`.

        Raises:
            InputError: another number of axes, an empty array, or values that are not real numbers.
        """
        if hasattr(array, "dims"):  # xarray's
            made: Scene = provider("array.scene")(array, valid=valid, grid=grid, bands=bands, **more)
            return made
        array = usable(array)
        lift = (None,) * (4 - array.ndim)
        array, masks = unmasked(array)
        if valid is not None:
            masks.append(spread(valid, array))
        mask = masks[0] & masks[1] if len(masks) > 1 else masks[0] if masks else None
        values = array[lift]
        names = tuple(bands) if bands else tuple(Band(str(i + 1)) for i in range(values.shape[1]))
        source = ArraySource(values, None if mask is None else mask[lift], tuple(b.nodata for b in names))
        return cls(source, grid or Grid(values.shape[2:]), names, **more)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return self.source.dtype

    @property
    def resolutions(self) -> tuple[float, ...]:
        """Pixel sizes of the parts of a product in units of the CRS, the finest first; of another scene, its own."""
        return resolutions_of(self)

    def at(self, resolution: float) -> Scene:
        """The whole part of a product at a resolution; what was cropped of this one is cropped of that, to its pixels.

        Raises:
            InputError: there is none.
        """
        return part_at(self, resolution)

    @property
    def masked(self) -> bool:
        """Whether some pixels may be no data though their values do not show it: by a mask, or an alpha band."""
        return any(way & BESIDE for way in self.source.masking)

    @cached_property
    def data(self) -> xr.DataArray:
        """Stored values as a lazy DataArray ``(frame, band, y, x)``, coordinates at pixel centres.

        Its attributes hold the CRS as WKT and, where all bands have the same one, the nodata value as ``_FillValue``.
        """
        from geomedsr.scene.dataarrays import lazily, stored

        array = lazily(self, stored, self.dtype)
        values = {b.nodata for b in self.bands}
        if len(values) == 1 and None not in values:
            array.attrs["_FillValue"] = values.pop()
        return array

    @cached_property
    def valid(self) -> xr.DataArray:
        """A lazy boolean DataArray of the same axes: True where a pixel is data."""
        from geomedsr.scene.dataarrays import lazily, validity

        return lazily(self, validity, np.dtype(bool))

    def physical(self) -> xr.DataArray:
        """Values in units (stored × scale + offset), float64, NaN where there is no data; lazy."""
        slope, offset = (table[..., None, None] for table in self.slopes_and_offsets)
        array = (self.data.astype(np.float64) * slope + offset).where(self.valid)
        units = {b.units for b in self.bands}
        array.attrs = self.valid.attrs | ({"units": units.pop()} if len(units) == 1 and None not in units else {})
        return array

    def in_units(self) -> Scene:
        """The scene in physical units, float32: its stored numbers are reflectance or kelvin, NaN where there is no
        data. What is made of it is, too.

        Raises:
            InputError: a series of slices.
        """
        return in_units(self)

    @property
    def slopes_and_offsets(self) -> tuple[Array, Array]:
        """Slope and offset, float64 ``(frame or 1, band)``: physical = stored × slope + offset."""
        if self.rescale:
            slopes, offsets = zip(*self.rescale, strict=True)
            return np.array(slopes)[:, None], np.array(offsets)[:, None]
        return np.array([[b.scale for b in self.bands]]), np.array([[b.offset for b in self.bands]])

    @property
    def values(self) -> ValueScale:
        """The value scale: as given, else robust percentiles of each band's valid pixels.

        Kept without a lock: up to Python 3.11 a ``cached_property`` has one for all scenes, and what is sampled here
        may wait for another scene's values in a thread.
        """
        if self.scale is not None:
            return self.scale
        if "values" not in self.__dict__:
            samples = sample(self.source)
            self.__dict__["_samples_few"] = tuple(map(few, samples))
            self.__dict__["values"] = ValueScale.from_samples(samples)
        found: ValueScale = self.__dict__["values"]
        return found

    @property
    def few(self) -> tuple[int | None, ...]:
        """How many different whole numbers a band seems to hold, if few (:func:`values.few`); known where its scale is
        the scene's own.
        """
        self.values  # noqa: B018 - which takes the sample
        found: tuple[int | None, ...] = self.__dict__.get("_samples_few", ())
        return found or (None,) * len(self.bands)

    def with_range(self, low: float, high: float) -> Scene:
        """The scene with one given value range for all bands, in stored values."""
        return replace(self, scale=ValueScale.from_range(low, high, len(self.bands)))

    @property
    def hounsfield(self) -> bool:
        """Whether a CT's values are Hounsfield units, as they are unless its bands say otherwise."""
        return self.domain == "CT" and {b.units or "HU" for b in self.bands} <= _HOUNSFIELD

    def with_values_per_frame(self) -> Scene:
        """The scene with a value scale for each frame, from its own percentiles: each date of a stack comes out as it
        does alone. A spread of pixels is read now.

        Raises:
            InputError: a series of slices, which are parts of one volume.
        """
        if self.grid.planes:
            raise InputError(
                f"values per frame for {self.name}, a series of slices", "a stack of dates", "leave it out"
            )
        return replace(self, scale=ValueScale.from_frames(sample_frames(self.source)))

    def with_physical_range(self, low: float, high: float) -> Scene:
        """The scene with one value range in physical units, such as HU, unless the user gave one.

        A CT in other units, such as electron densities, keeps its percentiles, and a warning says so.
        """
        return physically_ranged(self, low, high)

    def tensor(self, window: Window | None = None, frames: slice = slice(None)) -> torch.Tensor:
        """The normalised float32 tensor ``(frame, band, y, x)`` of a window, about 0 … 1.

        Past the scene's edge it is continued by reflection; pixels without data are filled from around
        them (:func:`geomedsr.scene.padding.fill`). ``scene.values.invert`` brings it back to stored units.
        """
        first, last, _ = frames.indices(self.shape[0])
        box = Box.of(slice(first, last), window or Window(0, 0, self.shape[3], self.shape[2]))
        radius = padding.FILL_RADIUS
        stored, valid = padding.read_reflected(self.source, box.grown((0, radius, radius)))
        inner = (..., slice(radius, -radius), slice(radius, -radius))
        if valid.all():
            return self.values.normalise(stored[inner], frames)
        safe = np.where(valid, stored, np.zeros((), stored.dtype))
        return padding.fill(self.values.normalise(safe, frames), valid)[inner]

    def crop(self, window: Window) -> Scene:
        """A window of the scene; it keeps the whole scene's value scale, and a result says which part it shows.

        Raises:
            InputError: the window is empty or leaves the scene.
        """
        self.check(window)
        source = CroppedSource(self.source, window)
        grid, provenance = self.grid.cropped(window), cropped(self, window)
        parts = cropped_like(self.parts, grid.bounds)
        return replace(self, source=source, grid=grid, scale=self.values, provenance=provenance, parts=parts)

    def within(self, polygons: Any, crs: str | int | None = None) -> Scene:
        """What of the scene lies in polygons, cropped to the window around them; other pixels there are no data.

        A pixel is inside where its centre is; of a result, where that of the source's pixel is. As with ``crop``, take
        it of the result, and the model sees what lies around: ``upscale(scene).within("lake.geojson")``.

        Args:
            polygons: a GeoJSON object (Polygon, MultiPolygon, Feature, FeatureCollection, GeometryCollection), the name
                of a file of one, or what has ``__geo_interface__``, such as shapely's geometries.
            crs: what they are in; by default what they say, else EPSG:4326, longitude first.

        Raises:
            InputError: no polygon, none that holds the centre of a pixel, or a scene without an affine or a CRS.
        """
        from geomedsr.scene.polygons import area_of, within

        part = within(self, area_of(self, polygons, crs))
        return (
            part if self.parts is None else replace(part, parts=self.parts.then(methodcaller("within", polygons, crs)))
        )

    def check(self, window: Window) -> None:
        """Raise an InputError unless a window lies inside the scene and is not empty."""
        height, width = self.grid.shape
        if not window.inside((height, width)):
            raise InputError(
                f"the window {window}",
                f"one inside the scene of {width} × {height} pixels (columns × rows)",
                "give COL,ROW,W,H in pixels of the input",
            )

    def select(self, bands: Sequence[str | int]) -> Scene:
        """Some of the bands, by name (any case) or number from 1, in the order asked.

        ``"red=3"`` is band 3, and says that it shows red: models of named bands find it by that. ``"=3"`` says that it
        shows nothing in particular, where a file says otherwise. Either goes before what a file says: a band that it
        marks as alpha is then data, and masks nothing.

        Raises:
            InputError: a band that does not exist, none asked for, or one thing shown by two.
        """
        named = [asked(self.bands, b) for b in bands]
        picks = [self.band_index(b) for b, _ in named]
        if not picks:
            raise InputError("no band", f"some of {listing(self.bands)}", "name at least one")
        roles = [role for _, role in named if role]
        if len(set(roles)) < len(roles):
            twice = next(role for role in roles if roles.count(role) > 1)
            raise InputError(f"two bands that show {twice}", "one", "name each thing once, as in red=3,nir=4")
        pairs = zip(picks, named, strict=True)
        shown = [role if self.bands[i].interpretation == "alpha" else None for i, (_, role) in pairs]
        if any(role is not None for role in shown) and (source := self.source.opaque()) is not None:
            free = replace(self, source=source, bands=tuple(map(as_data, self.bands)))
            return replace(free.select(bands), provenance=chosen(self, picks, shown))
        known: ValueScale | None = self.__dict__.get("values", self.scale)
        same = picks == list(range(len(self.bands)))
        return replace(
            self,
            provenance=self.provenance if same else chosen(self, picks),
            source=self.source.select(picks),
            bands=tuple(with_role(self.bands[i], role, roles) for i, (_, role) in zip(picks, named, strict=True)),
            scale=None if known is None else known.select(picks),
        )

    def with_nearest(self, bands: Sequence[str | int]) -> Scene:
        """The scene with some bands declared classes or flags: resampled nearest, never interpolated."""
        picks = {self.band_index(b) for b in bands}
        changed = (replace(b, kind="nearest") if i in picks else b for i, b in enumerate(self.bands))
        return replace(self, bands=tuple(changed))

    def with_nodata(self, value: float | str | None) -> Scene:
        """The scene with a value that means "no data" in all its bands, instead of the file's own; None: no value does.

        Raises:
            InputError: no value of the scene's type, or a series.
        """
        scene = declared(self, value)
        return (
            scene if self.parts is None else replace(scene, parts=self.parts.then(methodcaller("with_nodata", value)))
        )

    def band_index(self, band: str | int) -> int:
        """Position of a band given by name (exact, then in any case) or by number from 1."""
        return position(self.bands, band)

    def plot(
        self,
        bands: str | int | Sequence[str | int] | None = None,
        *,
        frame: int | None = None,
        percentiles: tuple[float, float] | None = None,
        level: str | tuple[float, float] | None = None,
        like: Scene | None = None,
        ax: Axes | None = None,
        title: str | None = None,
    ) -> Figure:
        """The scene as a matplotlib figure, map coordinates or mm on its axes, with a scale bar.

        A large scene is brought down while it is read; of a result that is not computed yet only what is shown is
        computed, or nothing, where its input has pixels enough for the figure.

        Args:
            bands: one band, as grey; three: red, green, blue; ``"true colour"`` or ``"false colour"``. By default true
                colour where names or the file's colour interpretation tell it, else the first band.
            frame: which slice of a series, from 0; by default the middle one.
            percentiles: of each band's valid pixels, which become black and white; by default the 1st and the 99th.
            level: a CT window instead: ``"lung"``, ``"bone"``, ``"brain"``, ``"soft tissue"`` (CT's default), or
                ``(centre, width)`` in physical units.
            like: another scene, whose limits are taken, so that the two can be compared. A scene and what was made of
                it by ``upscale`` have the same anyway.
            ax: axes to draw in, instead of a figure of its own.
            title: instead of the scene's name, band and slice.

        Raises:
            InputError: no such band, frame or window; colours that names do not tell; or the source fails.
            GeomedsrError: matplotlib is not installed (the extra ``notebook``).
        """
        how = {"frame": frame, "percentiles": percentiles, "level": level, "like": like, "ax": ax, "title": title}
        figure: Figure = provider("scene.figure")(self, bands, **how)
        return figure

    def __repr__(self) -> str:
        return str(provider("scene.text")(self))

    def _repr_html_(self) -> str:
        return str(provider("scene.card")(self))
