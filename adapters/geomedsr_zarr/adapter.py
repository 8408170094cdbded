"""The adapter for Zarr stores."""

from __future__ import annotations

import importlib.util
from typing import Any

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.io import Adapter, Sink
from geomedsr.scene.scene import Scene
from geomedsr_zarr.groups import marker

SUFFIX = ".zarr"

#: Format names and their Zarr versions. GDAL 3.10 reads version 2, but none of the codecs of version 3.
_VERSIONS = {"zarr": 3, "zarr2": 2}


class ZarrAdapter(Adapter):
    """Reads and writes rasters as Zarr stores on a local disk."""

    sink_options = ("format",)
    title = "a Zarr store"

    def can_open(self, path: str) -> bool:
        """Whether it is a Zarr store, or a group or array in one, version 2 or 3, and zarr is installed."""
        return marker(path) is not None and _installed()

    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        """The scene in a store."""
        from geomedsr_zarr.reader import open_store

        if series is not None:
            raise InputError(f"--series {series} for the raster {path}", "a DICOM series", "leave it out")
        return open_store(path)

    def explain(self, path: str) -> GeomedsrError | None:
        """Why a store cannot be opened: zarr is not installed."""
        if marker(path) is not None:
            return _missing(InputError, path)
        return None

    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether the suffix is ``.zarr``."""
        return path.rstrip("/").lower().endswith(SUFFIX)

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> Sink:
        """A sink for the folder ``path``."""
        format = options.get("format")
        if format not in (None, *_VERSIONS):
            raise OutputError(
                f"the format {format} for the name {path}", " or ".join(_VERSIONS), "choose another name, or format"
            )
        if not _installed():
            raise _missing(OutputError, path)
        from geomedsr_zarr.sink import create_sink

        return create_sink(scene, path, overwrite, _VERSIONS[format or "zarr"])


def _installed() -> bool:
    return importlib.util.find_spec("zarr") is not None


def _missing(kind: type[GeomedsrError], path: str) -> GeomedsrError:
    return kind(f"{path}, but no package zarr", "it", "pip install 'geomedsr[zarr]'")
