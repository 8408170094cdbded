"""The adapter's face to the registry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.io import Adapter
from geomedsr.scene.scene import Scene
from geomedsr_volume.files import is_pair
from geomedsr_volume.names import ITK, PAIRS, WRITTEN, suffix_of

if TYPE_CHECKING:  # slow to import, and of no use for other formats
    from geomedsr_volume.sink import VolumeSink


class VolumeAdapter(Adapter):
    """Reads and writes 2-D and 3-D images of one component per voxel."""

    tells_nodata = False

    #: What ``open`` takes besides.
    options = ("slice_axis",)

    title = f"a volume ({', '.join(WRITTEN)})"

    def can_open(self, path: str) -> bool:
        """Whether it is a file with a volume's suffix; with that of a pair, which others have too, and its header."""
        suffix = suffix_of(path)
        if suffix is None or not os.path.isfile(path):
            return False
        return suffix not in PAIRS or is_pair(path)

    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        """The scene of a volume: a frame per slice, along the axis that its header or its voxels' sizes tell, or along
        ``slice_axis``, from 1. Of several volumes in one file ``series`` takes one, by number.

        Raises:
            InputError: it cannot be read, or geomedsr made it and ``force`` is not set.
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
        """What is there in place of a volume."""
        if suffix_of(path) not in (None, *PAIRS) and not os.path.lexists(path):
            return InputError(f"{path}, which does not exist", "a volume", "check the path")
        return None

    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether the suffix is a volume's and the scene lies in space."""
        return suffix_of(path) is not None and bool(scene.grid.planes)

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> VolumeSink:
        """A sink that ends as the file ``path``."""
        if (suffix := suffix_of(path)) not in WRITTEN:
            raise OutputError(f"the output {path}: {suffix} is read, not written", f"{', '.join(WRITTEN)}", "rename it")
        from geomedsr_volume.sink import create_sink

        return create_sink(scene, path, overwrite)
