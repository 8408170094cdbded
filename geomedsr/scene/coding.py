"""The JPEG file that a scene was decoded from."""

from __future__ import annotations

from geomedsr.errors import InputError
from geomedsr.geometry import Window
from geomedsr.jpeg.coded import Coded
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import CroppedSource


def coded_of(scene: Scene) -> Coded:
    """The coefficients that a scene's values were decoded from, of a window of it too.

    Raises:
        InputError: it was not decoded from JPEG, or its values have been changed since, or bands left out.
    """
    source, (height, width) = scene.source, scene.shape[2:]
    window = Window(0, 0, width, height)
    while isinstance(source, CroppedSource):
        window = window.shifted(source.window.col, source.window.row)
        source = source.whole
    streams = source.streams()
    if streams is None:
        raise InputError(
            f"{scene.name}, which holds no JPEG that its values were decoded from",
            "a JPEG file, or TIFF or DICOM with JPEG inside, with all its bands",
            "give the file as it came",
        )
    return Coded(streams, window)
