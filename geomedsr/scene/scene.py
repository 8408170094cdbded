"""The Scene: values, grid, value scale, validity and provenance of a raster or a series, in one object."""

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
from geomedsr.geometry.profile import Profile
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
    import torch  # slow to import, as is xarray; many callers need neither
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Hounsfield units, and the modified Hounsfield units of PS3.3 C.11.1.1.2.
_HOUNSFIELD = {"HU", "HU_MOD"}


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene of axes ``(frame, band, y, x)``: a GeoTIFF has one frame, a DICOM series one per slice.

    Pixels are read only when asked for. ``data`` holds stored values in their storage type, ``valid`` tells which are
    data, and ``values`` is the scale on which the network sees them. ``files`` are the files it reads from. ``tags``
    are the file's own, by namespace. ``provenance`` is what geomedsr adds: a record, or the tags that hold one.
    ``domain`` is ``"satellite"``, ``"CT"``, ``"MR"``, or empty if the file does not say. ``rescale`` holds slope and
    intercept of each frame if they differ between frames; they then replace the bands' scale and offset. ``frames``
    describes the axis of a stack, such as times. ``headers`` is the adapter's own record of the frames that were read,
    for its sink. ``lineage`` tells which of these frames each frame of the scene comes from
    (:data:`geomedsr.scene.frames.Lineage`). ``parts`` are the other resolutions of a product, of which this is one
    part. ``profile`` is how its slices weigh what lies along their normal, if that is known.
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
    profile: Profile | None = None

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
        """A scene from an array: numpy, dask or xarray.

        Args:
            array: ``(y, x)``, ``(band, y, x)`` or ``(frame, band, y, x)``. An xarray DataArray may have its axes in any
                order, if their names identify them (:func:`geomedsr.labelled.scene_of`). It keeps its CRS, affine, fill
                value, band names and frame coordinates. Masked arrays keep their mask.
            valid: True at valid pixels; combined with the array's own mask or fill value.
            grid: the pixel grid and its position.
            bands: the bands' descriptions.
            more: other fields of a :class:`Scene`.

        Raises:
            InputError: another number of axes, an empty array, or values that are not real numbers.
        """
        if hasattr(array, "dims"):  # xarray
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
    def limits(self) -> tuple[int, int] | None:
        """The lowest and highest stored value that the first band, or else the type, allows; None for floats."""
        if self.dtype.kind == "f":
            return None
        info = np.iinfo(self.dtype)
        return self.bands[0].limits or (int(info.min), int(info.max))

    @property
    def resolutions(self) -> tuple[float, ...]:
        """Pixel sizes of a product's parts, in units of the CRS, the finest first; for other scenes, their own."""
        return resolutions_of(self)

    def at(self, resolution: float) -> Scene:
        """The part of a product at another resolution. If this one is cropped, so is that one, to its own pixels.

        Raises:
            InputError: there is no such part.
        """
        return part_at(self, resolution)

    @property
    def masked(self) -> bool:
        """Whether a mask or an alpha band may mark pixels as no data, which their values do not show."""
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
        """A lazy boolean DataArray with the same axes: True where a pixel is data."""
        from geomedsr.scene.dataarrays import lazily, validity

        return lazily(self, validity, np.dtype(bool))

    def physical(self) -> xr.DataArray:
        """Physical values (stored × scale + offset) as a lazy float64 DataArray; NaN where there is no data."""
        slope, offset = (table[..., None, None] for table in self.slopes_and_offsets)
        array = (self.data.astype(np.float64) * slope + offset).where(self.valid)
        units = {b.units for b in self.bands}
        array.attrs = self.valid.attrs | ({"units": units.pop()} if len(units) == 1 and None not in units else {})
        return array

    def in_units(self) -> Scene:
        """The scene in physical units: float32 values of reflectance or kelvin, NaN where there is no data.

        Results from it are in physical units, too.

        Raises:
            InputError: the scene is a series of slices.
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

        Cached without a lock. Up to Python 3.11 a ``cached_property`` has one lock for all scenes, and sampling may
        wait for another scene's values in another thread: a deadlock.
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
        """For each band, the number of different integers in a sample, if few (:func:`geomedsr.scene.scaling.few`).

        None if many, or if the value scale was not sampled from this scene.
        """
        self.values  # noqa: B018 - takes the sample
        found: tuple[int | None, ...] = self.__dict__.get("_samples_few", ())
        return found or (None,) * len(self.bands)

    def with_range(self, low: float, high: float) -> Scene:
        """The scene with one given value range for all bands, in stored values."""
        return replace(self, scale=ValueScale.from_range(low, high, len(self.bands)))

    @property
    def hounsfield(self) -> bool:
        """Whether the values are Hounsfield units: the case for CT, unless its bands name other units."""
        return self.domain == "CT" and {b.units or "HU" for b in self.bands} <= _HOUNSFIELD

    def with_values_per_frame(self) -> Scene:
        """The scene with a value scale for each frame, from that frame's own percentiles.

        Each date of a stack then gives the same result as it does alone. A sample of pixels is read now.

        Raises:
            InputError: the scene is a series of slices, which are parts of one volume.
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

    def tensor(self, window: Window | None = None, frames: slice = slice(None), block: int = 1) -> torch.Tensor:
        """The normalised float32 tensor ``(frame, band, y, x)`` of a window, about 0 … 1.

        Past its edges the scene is continued by reflection; where each ``block`` × ``block`` of its pixels is one of
        another scene, as that one is. Pixels without data are filled from their surroundings
        (:func:`geomedsr.scene.padding.fill`). ``scene.values.invert`` returns to stored units.
        """
        first, last, _ = frames.indices(self.shape[0])
        box = Box.of(slice(first, last), window or Window(0, 0, self.shape[3], self.shape[2]))
        radius = padding.FILL_RADIUS
        stored, valid = padding.read_reflected(self.source, box.grown((0, radius, radius)), block)
        inner = (..., slice(radius, -radius), slice(radius, -radius))
        if valid.all():
            return self.values.normalise(stored[inner], frames)
        safe = np.where(valid, stored, np.zeros((), stored.dtype))
        return padding.fill(self.values.normalise(safe, frames), valid)[inner]

    def crop(self, window: Window) -> Scene:
        """A window of the scene. It keeps the whole scene's value scale, and a result records which part it shows.

        Raises:
            InputError: the window is empty or leaves the scene.
        """
        self.check(window)
        source = CroppedSource(self.source, window)
        grid, provenance = self.grid.cropped(window), cropped(self, window)
        parts = cropped_like(self.parts, grid.bounds)
        return replace(self, source=source, grid=grid, scale=self.values, provenance=provenance, parts=parts)

    def within(self, polygons: Any, crs: str | int | None = None) -> Scene:
        """The scene cropped to the window around polygons; pixels outside the polygons are no data.

        A pixel is inside if its centre is. For a result, the centre of the source's pixel counts. As with ``crop``,
        apply it to the result, so that the model sees the surroundings: ``upscale(scene).within("lake.geojson")``.

        Args:
            polygons: a GeoJSON object (Polygon, MultiPolygon, Feature, FeatureCollection, GeometryCollection), the name
                of a GeoJSON file, or an object with ``__geo_interface__``, such as shapely's geometries.
            crs: their CRS; by default the one they name, else EPSG:4326, longitude first.

        Raises:
            InputError: no polygon, no pixel centre inside one, or a scene without an affine or a CRS.
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
        """Some of the bands, by name (any case) or number from 1, in the order given.

        ``"red=3"`` selects band 3 and says that it shows red: models of named bands find it by this role. ``"=3"`` says
        that it shows nothing in particular. Either overrides the file: a band that the file marks as alpha is then
        data, and masks nothing.

        Raises:
            InputError: a band does not exist, no band is given, or two bands get the same role.
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
        """The scene with some bands declared as classes or flags: resampled as nearest, never interpolated."""
        picks = {self.band_index(b) for b in bands}
        changed = (replace(b, kind="nearest") if i in picks else b for i, b in enumerate(self.bands))
        return replace(self, bands=tuple(changed))

    def with_nodata(self, value: float | str | None) -> Scene:
        """The scene with one nodata value for all bands instead of the file's; None: no value means "no data".

        Raises:
            InputError: the scene's type cannot hold the value, or the scene is a series.
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
        plane: str | None = None,
        percentiles: tuple[float, float] | None = None,
        level: str | tuple[float, float] | None = None,
        like: Scene | None = None,
        ax: Axes | None = None,
        title: str | None = None,
    ) -> Figure:
        """The scene as a matplotlib figure, map coordinates or mm on its axes, with a scale bar.

        A large scene is reduced while it is read. Of a result that is not computed yet, only what is shown is computed;
        nothing is computed where its input already has enough pixels for the figure.

        Args:
            bands: one band, shown in grey; three, shown as red, green, blue; ``"true colour"`` or ``"false colour"``.
                By default true colour if names or the file's colour interpretation identify the bands, else the first.
            frame: the frame of a series, from 0; by default the middle one.
            plane: cut a volume along ``"axial"``, ``"coronal"`` or ``"sagittal"`` planes, those nearest to the
                patient's, in true proportions; ``frame`` then counts these.
            percentiles: of each band's valid pixels, shown as black and white; by default the 1st and the 99th.
            level: a CT window instead: ``"lung"``, ``"bone"``, ``"brain"``, ``"soft tissue"`` (CT's default), or
                ``(centre, width)`` in physical units.
            like: another scene whose limits are used, so that the two can be compared. A scene and its result from
                ``upscale`` have the same limits anyway.
            ax: axes to draw in, instead of a new figure.
            title: a title instead of the scene's name, band and slice.

        Raises:
            InputError: no such band, frame or window; no bands identified for the colours; or the source fails.
            GeomedsrError: matplotlib is not installed (the extra ``notebook``).
        """
        how = {
            "frame": frame,
            "plane": plane,
            "percentiles": percentiles,
            "level": level,
            "like": like,
            "ax": ax,
            "title": title,
        }
        figure: Figure = provider("scene.figure")(self, bands, **how)
        return figure

    def __repr__(self) -> str:
        return str(provider("scene.text")(self))

    def _repr_html_(self) -> str:
        return str(provider("scene.card")(self))
