"""The adapter for volumes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.io import Adapter
from geomedsr.scene.scene import Scene
from geomedsr_volume.files import is_pair
from geomedsr_volume.names import ITK, PAIRS, WRITTEN, suffix_of

if TYPE_CHECKING:  # slow to import, and not needed for other formats
    from geomedsr_volume.sink import VolumeSink


class VolumeAdapter(Adapter):
    """Reads and writes 2-D and 3-D images with one component per voxel."""

    tells_nodata = False

    #: What ``open`` takes besides.
    options = ("slice_axis",)

    title = f"a volume ({', '.join(WRITTEN)})"

    def can_open(self, path: str) -> bool:
        """Whether it is a file with a volume's suffix; files with a pair's suffix must also have its header."""
        suffix = suffix_of(path)
        if suffix is None or not os.path.isfile(path):
            return False
        return suffix not in PAIRS or is_pair(path)

    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        """The scene of a volume, with one frame per slice.

        Slices are stacked along ``slice_axis``, from 1; by default along the axis that its header or the sizes of its
        voxels suggest. ``series`` selects one of several volumes in a file, by number.

        Raises:
            InputError: the file cannot be read, or is a result of geomedsr and ``force`` is not set.
        """
        if suffix_of(path) in ITK:
            if series is not None:
                raise InputError(f"--series {series} for the volume {path}", "one volume in it", "leave it out")
            from geomedsr_volume.itk import open_image

            scene = open_image(path, options.get("slice_axis"))
        else:
            from geomedsr_volume.nifti import open_nifti

            scene = open_nifti(path, series, options.get("slice_axis"))
        if not force and scene.provenance.made:
            raise InputError(
                f"{path}, which geomedsr made", "a volume from a scanner", "add --force to go on all the same"
            )
        return scene

    def explain(self, path: str) -> GeomedsrError | None:
        """Why a path with a volume's suffix cannot be opened."""
        if suffix_of(path) not in (None, *PAIRS) and not os.path.lexists(path):
            return InputError(f"{path}, which does not exist", "a volume", "check the path")
        return None

    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether the suffix is a volume's, and the scene has planes in space."""
        return suffix_of(path) is not None and bool(scene.grid.planes)

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> VolumeSink:
        """A sink for the file ``path``."""
        if (suffix := suffix_of(path)) not in WRITTEN:
            raise OutputError(f"the output {path}: {suffix} is read, not written", f"{', '.join(WRITTEN)}", "rename it")
        from geomedsr_volume.sink import create_sink

        return create_sink(scene, path, overwrite)
