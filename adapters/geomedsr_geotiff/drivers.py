"""GDAL's drivers for results: selection by name or suffix, and what their files can hold."""

from __future__ import annotations

import math
from pathlib import Path

from geomedsr.errors import OutputError
from geomedsr.scene.masking import BESIDE, Masking
from geomedsr.scene.scene import Scene
from geomedsr_geotiff.handles import EXACT

#: Default drivers by suffix; ``COG`` and ``GTiff`` both write ``.tif``.
FORMATS = {".tif": "COG", ".tiff": "COG", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}

#: Drivers by their names on the command line.
NAMES = {"cog": "COG", "gtiff": "GTiff", "png": "PNG", "jpeg": "JPEG"}

#: Types and numbers of bands that image formats can hold.
IMAGES = {"PNG": ({"uint8", "uint16"}, {1, 2, 3, 4}), "JPEG": ({"uint8"}, {1, 3})}

_JPEG_SIDE = 65_535

#: The longest axis of any raster.
_SIDE = 2**31 - 1


def driver_for(target: Path, format: str | None) -> str:
    """GDAL's driver for a suffix and a format's name."""
    by_suffix = FORMATS[target.suffix.lower()]
    if format is None:
        return by_suffix
    driver = NAMES.get(format.lower())
    suffixes = [suffix for suffix, name in FORMATS.items() if name == ("COG" if driver == "GTiff" else driver)]
    if not suffixes:
        raise OutputError(f"the format {format!r}", f"one of {', '.join(NAMES)}, or zarr", "choose one of these")
    if target.suffix.lower() not in suffixes:
        raise OutputError(
            f"the format {format} for the name {target.name}", f"a name in {' or '.join(suffixes)}", "rename it"
        )
    assert driver is not None
    return driver


def check_format(scene: Scene, driver: str) -> None:
    """Raise an OutputError for a scene that a driver's files cannot hold."""
    frames, count, _, _ = scene.shape
    if frames > 1 and not scene.grid.planes:
        raise OutputError(
            f"a stack of {frames} frames for a raster",
            "one of them",
            "name a Zarr store, result.zarr, which holds them all",
        )
    if scene.grid.planes:
        raise OutputError(
            f"a series of {frames} slice{'s' * (frames != 1)} for a raster",
            "a scene that lies on a map",
            "name a folder for a DICOM series, or a volume such as result.nii.gz",
        )
    if len({_comparable(b.nodata) for b in scene.bands}) > 1:
        raise OutputError("bands of different nodata values", "one for all, as GeoTIFF has it", "select bands")
    nodata = scene.bands[0].nodata
    if nodata is not None and scene.dtype.kind in "iu" and abs(nodata) >= EXACT:
        raise OutputError(
            f"the nodata value {nodata} for a raster", "one that a float holds exactly, below 2^53", "write a .zarr"
        )
    if driver in IMAGES and needs_mask(scene):
        raise OutputError(f"a masked scene for {driver}", "a format with masks", "write a .tif")
    if max(scene.shape[2:]) > _SIDE:
        raise OutputError(
            f"{max(scene.shape[2:])} pixels along an axis",
            f"at most {_SIDE}, which GDAL counts to",
            "choose a --window",
        )
    if driver == "JPEG" and max(scene.shape[2:]) > _JPEG_SIDE:
        raise OutputError(f"{max(scene.shape[2:])} pixels for JPEG", f"at most {_JPEG_SIDE}", "write a .tif")
    if driver in IMAGES:
        types, counts = IMAGES[driver]
        if str(scene.dtype) not in types or count not in counts:
            raise OutputError(
                f"{count} band{'s' * (count != 1)} of {scene.dtype} for {driver}",
                f"{' or '.join(sorted(types))} and {', '.join(map(str, sorted(counts)))} bands",
                "write a .tif",
            )


def needs_mask(scene: Scene) -> bool:
    """Whether a mask is needed to mark pixels without data: no nodata value and no alpha band does."""
    alpha = any(b.interpretation == "alpha" for b in scene.bands)
    beside = BESIDE & ~Masking.ALPHA if alpha else BESIDE
    return scene.bands[0].nodata is None and any(way & beside for way in scene.source.masking)


def _comparable(nodata: float | int | None) -> float | int | str | None:
    return "nan" if isinstance(nodata, float) and math.isnan(nodata) else nodata
