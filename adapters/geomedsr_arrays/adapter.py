"""The adapter for NumPy files."""

from __future__ import annotations

import os
from typing import Any

from geomedsr.errors import GeomedsrError, InputError
from geomedsr.io import Adapter
from geomedsr.scene.scene import Scene
from geomedsr_arrays.reader import open_arrays
from geomedsr_arrays.sink import ArraySink, create_sink

SUFFIXES = (".npy", ".npz")


class ArraysAdapter(Adapter):
    """Reads arrays with 2 to 4 axes, ``(frame, band, y, x)``; writes any scene."""

    title = f"arrays ({', '.join(SUFFIXES)})"

    def can_open(self, path: str) -> bool:
        """Whether it is a file with one of NumPy's suffixes."""
        return path.lower().endswith(SUFFIXES) and os.path.isfile(path)

    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        """The scene in a file; no pixels are read."""
        if series is not None:
            raise InputError(f"--series {series} for the arrays {path}", "a DICOM series", "leave it out")
        return open_arrays(path)

    def explain(self, path: str) -> GeomedsrError | None:
        """Why a path with one of NumPy's suffixes is not a file."""
        if path.lower().endswith(SUFFIXES) and not os.path.lexists(path):
            return InputError(f"{path}, which does not exist", "a file of arrays", "check the path")
        return None

    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether the suffix is one of NumPy's."""
        return path.lower().endswith(SUFFIXES)

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> ArraySink:
        """A sink for the file ``path``."""
        return create_sink(scene, path, overwrite)
