"""The adapter's face to the registry: can it, open it, sink for it."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.scene import Scene

SUFFIX = ".zarr"


class ZarrAdapter:
    """Reads and writes rasters as Zarr stores on a local disk."""

    def can_open(self, path: str) -> bool:
        """Whether it is the folder of a Zarr store, version 3, and zarr is installed."""
        return os.path.isfile(os.path.join(path, "zarr.json")) and _installed()

    def open(self, path: str, series: str | None = None, force: bool = False) -> Scene:
        """The scene of a store."""
        from geomedsr_zarr.reader import open_store

        if series is not None:
            raise InputError(f"--series {series} for the raster {path}", "a DICOM series", "leave it out")
        return open_store(path)

    def explain(self, path: str) -> GeomedsrError | None:
        """Why a store is not opened: zarr is missing."""
        if os.path.isfile(os.path.join(path, "zarr.json")):
            return _missing(InputError, path)
        return None

    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether the suffix is a store's."""
        return path.rstrip("/").lower().endswith(SUFFIX)

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> Any:
        """A sink that ends as the folder ``path``."""
        format = options.pop("format", None)
        if options:
            raise OutputError(f"the option {min(options)} for a Zarr store", "none", "leave it out")
        if format not in (None, "zarr"):
            raise OutputError(f"the format {format} for the name {path}", "zarr", "choose another name, or format")
        if not _installed():
            raise _missing(OutputError, path)
        from geomedsr_zarr.sink import create_sink

        return create_sink(scene, path, overwrite)


def _installed() -> bool:
    return importlib.util.find_spec("zarr") is not None


def _missing(kind: type[GeomedsrError], path: str) -> GeomedsrError:
    return kind(f"{path}, but no package zarr", "it", "pip install 'geomedsr[zarr]'")
