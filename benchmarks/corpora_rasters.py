"""Rasters of other projects' test suites: how they are run, and what rasterio and PROJ see of the result."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

#: Larger rasters are upscaled in a window of this side in their middle.
SIDE, WINDOW = 512, 128


def raster_options(path: Path) -> list[str]:
    """A window of a large raster; the model is band by band, whatever there is."""
    with _opened(path) as source:
        if source.count == 0:
            raise ValueError("no bands")
        height, width = source.shape
    if max(height, width) <= SIDE:
        return []
    window = (max(0, (width - WINDOW) // 2), max(0, (height - WINDOW) // 2), min(WINDOW, width), min(WINDOW, height))
    return ["--window", ",".join(map(str, window))]


def raster_check(source: Path, result: Path, window: Any) -> list[str]:
    """What rasterio and PROJ see that is not as it was."""
    from rasterio.enums import ColorInterp
    from rasterio.windows import Window

    wrong = []
    with _opened(source) as old, _opened(result) as new:
        col, row, width, height = window or (0, 0, old.width, old.height)
        factor = new.width // width
        if (new.width, new.height, new.count) != (width * factor, height * factor, old.count) or factor < 2:
            return [f"size {new.width} × {new.height} × {new.count} of {width} × {height} × {old.count}"]
        place = Window(col, row, width, height)
        wrong += [] if set(new.dtypes) == set(old.dtypes) else [f"type {new.dtypes[0]} of {old.dtypes[0]}"]
        wrong += _placed(old, new, (col, row), factor)
        wrong += [] if new.descriptions == old.descriptions else ["names"]
        wrong += [] if new.scales == old.scales and new.offsets == old.offsets else ["scales"]
        wrong += [] if all(a is None or a == b for a, b in zip(old.units, new.units, strict=True)) else ["units"]
        together = "NODATA_VALUES" in old.tags()  # no data is what has its value in all bands, which a mask says
        values = () if together else old.nodatavals
        declared = [v for v in values if v is not None and _fits(v, old.dtypes[0])]
        if declared and not _same_value(declared[0], new.nodatavals[0], old.dtypes[0]):
            wrong.append(f"no-data value {new.nodatavals[0]} of {declared[0]}")
        before, after = old.read(window=place), new.read()
        seen, shown = old.read_masks(window=place) != 0, new.read_masks() != 0
        for i, value in enumerate(values):  # counts beside a mask, which GDAL would ask alone
            seen[i] &= True if value is None else before[i] != np.array(value).astype(before.dtype)
        for i, interpretation in enumerate(old.colorinterp):
            if interpretation == ColorInterp.alpha:
                seen[i] = shown[i] = True
        if before.dtype.kind == "f":
            seen, shown = seen & np.isfinite(before), shown & np.isfinite(after)
        if not (shown == seen.repeat(factor, 1).repeat(factor, 2)).all():
            wrong.append(f"masks of {int((shown != seen.repeat(factor, 1).repeat(factor, 2)).sum())} pixels")
        elif not conserved(before, after, factor)[seen].all():
            wrong.append(f"block means of {int((~conserved(before, after, factor) & seen).sum())} pixels")
    return wrong


def _opened(path: Path) -> Any:
    import rasterio

    # Without GDAL's shortcut for whole pictures of PNG, which gives anything where a file's end is missing.
    os.environ["GDAL_PNG_WHOLE_IMAGE_OPTIM"] = "NO"
    return rasterio.open(path)


def _placed(old: Any, new: Any, first: tuple[int, int], factor: int) -> list[str]:
    """Whether corners and control points are where they were, in the same CRS."""
    wrong = []
    if not (_unplaced(old) and (old.crs is None or old.gcps[0])):
        size = max(abs(v) for v in tuple(old.transform)[:2] + tuple(old.transform)[3:5])
        for corner in ((0, 0), (new.width, 0), (0, new.height), (new.width, new.height)):
            was = old.transform @ (first[0] + corner[0] / factor, first[1] + corner[1] / factor)
            if max(abs(a - b) for a, b in zip(was, new.transform @ corner, strict=True)) > size * 1e-6:
                return ["place"]
        if not _same_crs(old.crs, new.crs):
            wrong.append("CRS")
    elif old.gcps[0]:
        expected = [((p.row - first[1]) * factor, (p.col - first[0]) * factor, p.x, p.y) for p in old.gcps[0]]
        found = [(p.row, p.col, p.x, p.y) for p in new.gcps[0]]
        if len(found) != len(expected) or not np.allclose(found, expected, rtol=1e-9, atol=1e-6):
            wrong.append("control points")
        if not _same_crs(old.gcps[1], new.gcps[1]):
            wrong.append("CRS of control points")
    if (old.rpcs is None) != (new.rpcs is None):
        wrong.append("RPCs")
    return wrong


def _unplaced(dataset: Any) -> bool:
    """Whether there is no affine: rasterio warns then, and gives what the memory held."""
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        affine = dataset.read_transform()
    return affine == [0, 1, 0, 0, 0, 1] or any(w.category is NotGeoreferencedWarning for w in told)


def _same_crs(one: Any, other: Any) -> bool:
    """What rasterio and pyproj say; axis order does not count for either."""
    if one is None or other is None or one == other:
        return bool(one == other) if one is not None and other is not None else not one and not other
    from pyproj import CRS

    return bool(CRS.from_wkt(one.to_wkt()).equals(CRS.from_wkt(other.to_wkt()), ignore_axis_order=True))


def _fits(value: float, dtype: str) -> bool:
    """Whether a pixel can have a no-data value."""
    if np.dtype(dtype).kind == "f":
        return not np.isfinite(value) or abs(value) <= np.finfo(dtype).max
    return bool(value == value and value == int(value) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def _same_value(one: float, other: float | None, dtype: str) -> bool:
    return other is not None and bool(
        np.array_equal(
            np.array(one).astype(dtype), np.array(other).astype(dtype), equal_nan=np.dtype(dtype).kind == "f"
        )
    )


def conserved(before: np.ndarray, after: np.ndarray, factor: int) -> np.ndarray:
    """Where the sum of a block is the source's pixel as many times; of floats within an ulp of the largest."""
    bands, height, width = before.shape
    blocks = after.reshape(bands, height, factor, width, factor)
    if before.dtype.kind != "f":
        sums = blocks.astype(object).sum((2, 4)) if before.dtype.itemsize == 8 else blocks.astype(np.int64).sum((2, 4))
        return np.asarray(sums == before.astype(sums.dtype) * factor**2, bool)
    wide = np.longdouble
    with np.errstate(all="ignore"):
        error = np.abs(blocks.astype(wide).sum((2, 4)) / factor**2 - before.astype(wide))
        return np.asarray(error <= np.spacing(np.abs(blocks).max((2, 4))).astype(wide))
