"""Previews of series: block means, as derived images that anyone opens and that models take."""

from __future__ import annotations

import os
from pathlib import Path

from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Factors
from geomedsr.scene.scene import Scene
from geomedsr_dicom.derive import DerivedSeries
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.headers import CLASSIC, PREVIEW, read_header
from geomedsr_dicom.result_slices import result_slices
from geomedsr_dicom.sink import SeriesSink, check_target, described_as, new_number, now, opened
from geomedsr_dicom.uids import Uids


def create_preview(scene: Scene, path: str, overwrite: bool) -> SeriesSink:
    """A sink for a coarser scene of a series, with the planes that it has then.

    Raises:
        InputError: its files are gone, or a header cannot be rewritten.
        OutputError: the path is taken, or cannot be written, or names a file for several.
    """
    frames: tuple[Frame, ...] = scene.headers
    slices = result_slices(frames, scene.grid.planes, ())
    target = Path(os.path.realpath(path))
    single = target.suffix.lower() == ".dcm" and not target.is_dir()
    header = read_header(frames[0].path)
    if header is None:
        raise InputError("a series whose files are gone", "the files it was opened from", "put them back")
    multiframe = header.sop_class not in CLASSIC or any(f.index for f in frames)
    if single and (len({f.path for f in frames}) > 1 or (not multiframe and len(slices) > 1)):
        raise OutputError(f"the file {path} for {len(slices)} slices", "a folder", "leave the suffix out")
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
