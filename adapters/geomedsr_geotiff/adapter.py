"""The adapter for rasters that GDAL reads."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from typing import Any

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.io import Adapter
from geomedsr.scene.scene import Scene
from geomedsr_geotiff.drivers import FORMATS
from geomedsr_geotiff.handles import can_open, gdal_error
from geomedsr_geotiff.reader import open_raster
from geomedsr_geotiff.sink import RasterSink, create_sink

#: Tags that TIFF stores as ratios in its own fields.
_RATIOS = ("TIFFTAG_XRESOLUTION", "TIFFTAG_YRESOLUTION")


class GeoTiffAdapter(Adapter):
    """Reads all that GDAL reads, including ``/vsi…`` paths and URLs; writes GeoTIFF, PNG and JPEG."""

    #: GDAL tries to read nearly anything, so this adapter is asked last.
    priority = 100

    sink_options = ("format",)
    title = "a raster"

    def can_open(self, path: str) -> bool:
        """Whether GDAL opens it."""
        return can_open(path)

    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        """The scene of a raster."""
        if series is not None:
            raise InputError(f"--series {series} for the raster {path}", "a DICOM series", "leave it out")
        return open_raster(path)

    def same_tag(self, key: str, one: str, other: str) -> bool:
        """Whether two texts of a tag mean the same; TIFF stores resolutions as ratios, which may change their text."""
        if super().same_tag(key, one, other):
            return True
        with suppress(ValueError):
            return key in _RATIOS and math.isclose(float(one), float(other), rel_tol=1e-6)
        return False

    def explain(self, path: str) -> GeomedsrError:
        """Why GDAL does not open it."""
        if os.path.isdir(path):
            return InputError(f"the directory {path}", "a raster file", "name a file in it")
        if os.path.exists(path):
            if os.path.getsize(path) == 0:
                return InputError(f"the empty file {path}", "a raster", "copy or download it again")
            return InputError(
                f"{path}, which GDAL cannot read ({gdal_error(path)})",
                "a raster such as GeoTIFF",
                "check that the file is whole and of a format in `rio env --formats`",
            )
        if os.path.lexists(path):
            return InputError(f"{path}, a link to nothing", "a raster file", "check where the link points")
        if "://" in path or path.startswith("/vsi") or ":" in path[2:]:
            return InputError(f"{path} ({gdal_error(path)})", "a path or address GDAL can read", "check it")
        return InputError(f"{path}, which does not exist", "a raster file", "check the path")

    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether this adapter writes files with this suffix."""
        return os.path.splitext(path)[1].lower() in FORMATS

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> RasterSink:
        """A sink for the file ``path``; ``format`` is ``cog``, ``gtiff``, ``png`` or ``jpeg``."""
        return create_sink(scene, path, overwrite, **options)

    def preview_sink(self, scene: Scene, path: str, overwrite: bool) -> RasterSink:
        """A sink for a GeoTIFF without overviews."""
        return create_sink(scene, _lossless(path), overwrite, format="gtiff")

    def restored_sink(self, scene: Scene, kept: bytes, path: str, overwrite: bool) -> RasterSink:
        """A sink for a Cloud-Optimized GeoTIFF."""
        return create_sink(scene, _lossless(path), overwrite)


def _lossless(path: str) -> str:
    """A path, if files of its name hold all types of pixels as they are."""
    if not path.lower().endswith((".tif", ".tiff")):
        raise OutputError(f"the name {path}", "one in .tif", "rename it")
    return path
