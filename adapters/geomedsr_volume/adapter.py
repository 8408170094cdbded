"""The adapter's face to the registry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.provenance import PREFIX
from geomedsr.scene import Scene
from geomedsr_volume.names import SUFFIXES, suffix_of

if TYPE_CHECKING:  # slow to import, and of no use for other formats
    from geomedsr_volume.sink import VolumeSink


class VolumeAdapter:
    """Reads and writes 2-D and 3-D images of one component per voxel."""

    def can_open(self, path: str) -> bool:
        """Whether it is a file with a volume's suffix."""
        return suffix_of(path) is not None and os.path.isfile(path)

    def open(self, path: str, series: str | None = None, force: bool = False) -> Scene:
        """The scene of a volume: a frame per slice along its third axis.

        Raises:
            InputError: it cannot be read, or geomedsr made it and ``force`` is not set.
        """
        if series is not None:
            raise InputError(f"--series {series} for the volume {path}", "a DICOM series", "leave it out")
        from geomedsr_volume.reader import open_volume

        scene = open_volume(path)
        if not force and f"{PREFIX}MODEL" in scene.provenance:
            raise InputError(
                f"{path}, which geomedsr made", "a volume from a scanner", "add --force to go on all the same"
            )
        return scene

    def explain(self, path: str) -> GeomedsrError | None:
        """What is there in place of a volume."""
        if suffix_of(path) is not None and not os.path.lexists(path):
            return InputError(f"{path}, which does not exist", "a volume", "check the path")
        return None

    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether the suffix is a volume's and the scene lies in space."""
        return suffix_of(path) is not None and bool(scene.grid.planes)

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> VolumeSink:
        """A sink that ends as the file ``path``."""
        if options:
            raise OutputError(f"the option {min(options)} for a volume ({', '.join(SUFFIXES)})", "none", "leave it out")
        from geomedsr_volume.sink import create_sink

        return create_sink(scene, path, overwrite)
