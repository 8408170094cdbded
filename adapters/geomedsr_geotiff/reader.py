"""GDAL rasters as scenes: reading headers, and the source that reads windows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import rasterio.windows
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioIOError

from geomedsr.addresses import file_name
from geomedsr.errors import InputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.scene import classes
from geomedsr.scene.masking import Masking
from geomedsr.scene.provenance import ROLE
from geomedsr.scene.scene import Band, Kind, Scene
from geomedsr.scene.sources import Array, Cache, Source, by_value, data_by_value
from geomedsr_geotiff.complaints import listening
from geomedsr_geotiff.handles import (
    BLOCKS,
    EXACT,
    TOO_LARGE,
    block_bytes,
    cache_beyond,
    cause,
    gdal,
    handle,
    one_line,
    read_error,
    stamp,
)
from geomedsr_geotiff.metadata import tags_of
from geomedsr_geotiff.namespaces import UNKEPT
from geomedsr_geotiff.native import Limited, Native, opened
from geomedsr_geotiff.placing import grid_of
from geomedsr_geotiff.streams import RasterStreams, streams_of

#: The types that a scene may have; complex types of GDAL are not images.
_TYPES = frozenset(["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"])


@dataclass(frozen=True)
class RasterSource(Source):
    """Windows of a GDAL raster.

    ``picks`` are GDAL band numbers, ``nodata`` the bands' nodata values or None. ``masks`` tells that GDAL has separate
    masks for them; ``alpha`` is the number of the band that masks the others, picked or not. All of these are combined,
    whereas GDAL uses only the first that exists (``GDALRasterBand::GetMaskFlags``): pixels that one of them marks as no
    data, such as a black collar under alpha, must not affect neighbouring pixels.
    """

    path: str = field(repr=False)  # it may hold a signature
    version: tuple[int, int]
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    block: tuple[int, int]
    picks: tuple[int, ...]
    nodata: tuple[float | int | None, ...]
    masks: bool
    alpha: int | None

    def read(self, box: Box) -> Array:
        """Stored values, ``(1, band, height, width)``."""
        window = box.window
        return self._read("read", self.picks, **_place(window))[None]

    def valid(self, box: Box) -> Array:
        """True where a pixel is not masked, not fully transparent, finite, and not the nodata value."""
        window = box.window
        if not self.masks and self.alpha is None and not self._judged_by_value:
            shape = (1, len(self.picks), window.height, window.width)
            return np.broadcast_to(np.True_, shape)
        values = self._read("read", self.picks, **_place(window)) if self._judged_by_value else None
        return self._valid(values, **_place(window))[None]

    def select(self, bands: Sequence[int]) -> RasterSource:
        """Some of the bands."""
        shape = (1, len(bands), *self.shape[2:])
        picks = tuple(self.picks[b] for b in bands)
        return replace(self, shape=shape, picks=picks, nodata=tuple(self.nodata[b] for b in bands))

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> RasterSource:
        """The same source with other nodata values."""
        return replace(self, nodata=nodata)

    def veil(self) -> tuple[int, RasterSource] | None:
        """The alpha band that masks the others: its number, and the band as a source."""
        if self.alpha is None:
            return None
        shape = (1, 1, *self.shape[2:])
        return self.alpha, replace(self, shape=shape, picks=(self.alpha,), nodata=(None,), masks=False, alpha=None)

    def opaque(self) -> RasterSource | None:
        """The same source without the mask by an alpha band."""
        return None if self.alpha is None else replace(self, alpha=None)

    def overview(self, pixels: int) -> tuple[Array, Array] | None:
        """Values and validity of the finest overview with at most ``pixels`` pixels, or of every other pixel of a
        larger one; None if there is no suitable one.
        """
        _, _, height, width = self.shape
        if height * width <= pixels:
            return None
        with gdal():
            factors = handle(self.path, self.version).overviews(self.picks[0])
        factors = [f if height * width / f**2 <= pixels else 2 * f for f in factors]
        factors = [f for f in factors if height * width / f**2 <= pixels]
        if not factors or height * width / min(factors) ** 2 < pixels / 64:
            return None
        size: dict[str, Any] = {"size": (-(-height // min(factors)), -(-width // min(factors)))}
        try:
            values = self._read("read", self.picks, **size)
            return values[None], self._valid(values, **size)[None]
        except InputError:  # for example a truncated thumbnail of a camera; the image may be intact
            return None

    def cached(self, workers: int) -> Mapping[Cache, int]:
        """Bytes by which GDAL's cache is enlarged while ``workers`` threads read."""
        with gdal():
            return {BLOCKS: cache_beyond(handle(self.path, self.version), workers)}

    @property
    def masking(self) -> tuple[Masking, ...]:
        """By value, by the file's mask or masks, and by an alpha band."""
        beside = Masking.NONE
        if self.masks:
            with gdal():
                flags = handle(self.path, self.version).mask_flag_enums
            beside = Masking.OWN if any(not flag for flag in flags) else Masking.MASK
        under = [Masking.NONE if self.alpha in (None, pick) else Masking.ALPHA for pick in self.picks]
        return tuple(way | beside | veil for way, veil in zip(by_value(self.dtype, self.nodata), under, strict=True))

    def streams(self) -> RasterStreams | None:
        """The JPEG streams of the file, if it is JPEG, or a TIFF with JPEG inside."""
        return streams_of(self.path, self.version, self.picks)

    @property
    def _judged_by_value(self) -> bool:
        return self.dtype.kind == "f" or any(v is not None for v in self.nodata)

    def _valid(self, values: Array | None, **place: Any) -> Array:
        valid = np.True_ if values is None else data_by_value(values, self.nodata)
        if self.masks:
            valid = valid & (self._read("read_masks", self.picks, **place) != 0)
        if self.alpha is not None:
            opaque = self._read("read", (self.alpha,), **place) != 0
            itself = np.array([pick == self.alpha for pick in self.picks])
            valid = valid & (opaque | itself[:, None, None])
        return np.asarray(valid)

    def _read(self, method: str, picks: Sequence[int], where: str = "its overviews", **place: Any) -> Array:
        if "size" in place:
            place = {"out_shape": (len(picks), *place["size"])}
        with gdal(), listening() as heard:
            try:
                dataset = handle(self.path, self.version)
                heard.clear()  # messages about metadata; pixels are read next
                array: Array = getattr(dataset, method)(list(picks), **place)
            except RasterioIOError as error:
                raise read_error(self.path, where, one_line(error)) from cause(error)
        if heard:
            raise read_error(self.path, where, heard[0])
        return array


def _place(window: Window) -> dict[str, Any]:
    return {
        "window": rasterio.windows.Window(window.col, window.row, window.width, window.height),
        "where": f"columns {window.col}–{window.stop[1]}, rows {window.row}–{window.stop[0]}",
    }


def open_raster(path: str) -> Scene:
    """The scene of a raster; only headers are read.

    Raises:
        InputError: no bands, complex or mixed types, or a palette image.
    """
    version, name = stamp(path), file_name(path)
    with gdal():
        try:
            dataset = handle(path, version)
        except RasterioIOError as error:  # for example a pipe, which can only be opened once
            raise read_error(path, "a second look", one_line(error)) from cause(error)
        _check(path, dataset)
        flags, dtype, values = dataset.mask_flag_enums, dataset.dtypes[0], dataset.nodatavals
        own_masks = any(not f for f in flags)  # GeoTIFF has no masks per band, only values
        together = all({MaskFlags.per_dataset, MaskFlags.nodata} <= set(f) for f in flags)
        if together:  # only pixels with the value in all bands are no data, as a colour in PNG
            values = (None,) * dataset.count
        for value, flag in () if together else zip(values, flags, strict=True):
            _check_nodata(path, value, flag, dtype)
        nodata = tuple(_nodata(value, dtype) for value in values)
        if own_masks and nodata[0] is None and np.dtype(dtype).kind == "f":
            nodata = (math.nan,) * dataset.count
        colours = _interpretations(dataset)
        source = RasterSource(
            path=path,
            version=version,
            shape=(1, dataset.count, dataset.height, dataset.width),
            dtype=np.dtype(dtype),
            block=_block(dataset),
            picks=tuple(dataset.indexes),
            nodata=nodata,
            masks=own_masks or together or any(f == [MaskFlags.per_dataset] for f in flags),
            alpha=colours.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in colours else None,
        )
        with opened(path, dataset) as native:
            grid = grid_of(dataset, native, path)
            bands = _bands(dataset, native, name, nodata)
            tags = tags_of(native)
            lost = [domain for domain in native.domains() if domain.startswith(UNKEPT)]
        if lost:
            warnings.warn(f"{name}: {', '.join(lost)} will not be in results", SceneWarning, stacklevel=4)
        if together:
            tags[""] = {key: text for key, text in tags.get("", {}).items() if key != "NODATA_VALUES"}
        return Scene(
            source=source,
            grid=grid,
            bands=bands,
            name=name,
            files=_files(path, dataset),
            tags=tags,
        )


def _interpretations(dataset: Any) -> tuple[ColorInterp, ...]:
    """The bands' colour interpretation. rasterio may raise an earlier error of GDAL here, but only once."""
    try:
        found: tuple[ColorInterp, ...] = dataset.colorinterp
    except CPLE_BaseError:
        found = dataset.colorinterp
    return found


def _check(path: str, dataset: Any) -> None:
    if dataset.count == 0:
        inside = list(dataset.subdatasets)
        remedy = f"open one of its subdatasets, such as {inside[0]}" if inside else "open another file"
        raise InputError(f"{path} with no bands", "a raster of at least one band", remedy)
    if 0 in dataset.shape:
        height, width = dataset.shape
        raise InputError(f"{path} of {width} × {height} pixels", "at least one", "check how it was made")
    if (size := block_bytes(dataset)) >= TOO_LARGE:  # the header is damaged; reading any band would fail
        raise InputError(
            f"{path}, whose blocks of {dataset.count} bands take {size / 2**30:.0f} GiB",
            "less than 2 GiB, which GDAL reads at once",
            "check how it was made, or write it in tiles",
        )
    types = sorted(set(dataset.dtypes))
    if any(t not in _TYPES for t in types):
        raise InputError(
            f"{path} of type {', '.join(types)}",
            "real integers or floats",
            "convert it, for example to intensity with `gdal_calc.py`",
        )
    if len(types) > 1:
        raise InputError(
            f"{path} with bands of types {', '.join(types)}",
            "one type for all bands",
            "convert it with `gdal_translate -ot TYPE`",
        )


def _check_nodata(path: str, value: float | None, flag: list[MaskFlags], dtype: str) -> None:
    """Check a 64-bit nodata value: it is read as a float, exact only up to 2⁵³; larger values cannot be kept."""
    lost = MaskFlags.nodata in flag if value is None else abs(value) >= EXACT
    if np.dtype(dtype).itemsize == 8 and np.dtype(dtype).kind in "iu" and lost:
        raise InputError(
            f"{path} of type {dtype} with a nodata value beyond 2^53",
            "one that a float holds exactly",
            "give it another, for example with `gdal_calc.py` and `gdal_translate -a_nodata`",
        )


def _files(path: str, dataset: Any) -> tuple[str, ...]:
    """All local files of a data set, including files behind a prefix or a `file://` address."""
    hidden = path.removeprefix("file://"), path.rsplit(":", 1)[-1], path.split("://", 1)[-1].split("?", 1)[0]
    return tuple(dict.fromkeys((path, *hidden, *dataset.files)))


def _nodata(value: float | None, dtype: str) -> float | int | None:
    """The nodata value in the band's type; None if there is none, or no pixel can have it."""
    if value is None:
        return None
    if np.dtype(dtype).kind == "f":
        fits = not math.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
        return float(value) if fits else None
    info = np.iinfo(dtype)
    if value != value or value != int(value) or not info.min <= int(value) <= info.max:
        return None
    return int(value)


def _block(dataset: Any) -> tuple[int, int]:
    """The preferred size of a read: about 512 × 512 in whole blocks, or whole rows if the file is in strips."""
    height, width = dataset.block_shapes[0]
    rows, cols = (max(side, side * (512 // max(side, 1))) for side in (height, width))
    return min(max(rows, 1), dataset.height, 4096), min(max(cols, 1), dataset.width, 4096)


def _bands(dataset: Any, native: Native | Limited, file: str, nodata: Sequence[float | int | None]) -> tuple[Band, ...]:
    """All bands. Each list is requested only once, because rasterio goes through all bands for it."""
    lists = zip(dataset.indexes, _interpretations(dataset), dataset.scales, dataset.offsets, nodata, strict=True)
    dtype, alone = np.dtype(dataset.dtypes[0]), dataset.count == 1
    return tuple(_band(dataset, native, dtype, file if alone else "", *facts) for facts in lists)


def _band(
    dataset: Any,
    native: Native | Limited,
    dtype: np.dtype[Any],
    file: str,
    index: int,
    interpretation: ColorInterp,
    scale: float,
    offset: float,
    nodata: float | int | None,
) -> Band:
    description = native.description(index)
    tags = tags_of(native, index)
    tags[""] = {k: v for k, v in tags.get("", {}).items() if not k.startswith("STATISTICS_")}
    role = tags[""].pop(ROLE, None)
    structure = native.tags(index, "IMAGE_STRUCTURE")
    kind = _kind(interpretation, description, tags[""], structure)
    palette = _palette(dataset, index) if interpretation == ColorInterp.palette else None
    whole = dtype.kind != "f"
    named = file != "" and not description and classes.by_file(file)
    if whole and interpretation != ColorInterp.palette and (named or native.classes(index)):
        kind = "nearest"
    return Band(
        name=description or str(index),
        kind=kind,
        nodata=nodata,
        scale=scale,
        offset=offset,
        units=native.unit(index),
        description=description,
        interpretation=interpretation.name,
        palette=palette,
        limits=_limits(structure, dtype),
        tags={ns: values for ns, values in tags.items() if values},
        role=role,
    )


def _limits(structure: Mapping[str, str], dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """The lowest and highest value of samples with fewer bits than their type."""
    bits = int(structure["NBITS"]) if structure.get("NBITS", "").isdigit() else 0
    return (0, 2**bits - 1) if dtype.kind == "u" and 1 <= bits < 8 * dtype.itemsize else None


def _palette(dataset: Any, index: int) -> dict[int, tuple[int, ...]] | None:
    """The colours of a band's values; None for a palette band without a colour table."""
    try:
        return dict(dataset.colormap(index))
    except ValueError:
        return None


def _kind(
    interpretation: ColorInterp,
    description: str | None,
    tags: Mapping[str, str],
    structure: Mapping[str, str],
) -> Kind:
    """``"nearest"`` if the file says that the band holds classes or flags; else continuous.

    A palette may colour classes or a photograph: only the user knows, so `upscale` asks.
    """
    if interpretation == ColorInterp.alpha or structure.get("NBITS") == "1":
        return "nearest"
    return "nearest" if classes.by_band(description, tags) else "continuous"
