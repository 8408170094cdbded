"""Previews of series: block means, as derived images that anyone opens and that models take."""

from __future__ import annotations

from geomedsr.geometry import Factors
from geomedsr.scene.scene import Scene
from geomedsr_dicom.derive import DerivedSeries
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.headers import PREVIEW
from geomedsr_dicom.result_slices import result_slices
from geomedsr_dicom.sink import SeriesSink, check_target, described_as, layout_of, new_number, now, opened
from geomedsr_dicom.uids import Uids


def create_preview(scene: Scene, path: str, overwrite: bool) -> SeriesSink:
    """A sink for a coarser scene of a series, with the planes that it has then.

    Raises:
        InputError: its files are gone, or a header cannot be rewritten.
        OutputError: the path is taken, or cannot be written, or names a file for several.
    """
    frames: tuple[Frame, ...] = scene.headers
    slices = result_slices(frames, scene.grid.planes, ())
    target, single, header, multiframe = layout_of(frames, path, len(slices))
    check_target(scene, path, target, single, overwrite)
    series = DerivedSeries(
        uids=Uids("", ""),
        number=new_number(header.number),
        series_description=described_as(frames[0].path, "preview"),
        description=PREVIEW,
        record="",
        model="",
        factors=Factors(),
        along=1.0,
        when=now(),
        contributed="Block means",
    )
    return opened(scene, target, single, multiframe, overwrite, slices, series, None)
