"""The adapter's face to the registry."""

from __future__ import annotations

import os
import re
import warnings
from typing import TYPE_CHECKING, Any

from geomedsr.errors import GeomedsrError, InputError, SceneWarning
from geomedsr.io import Adapter, Contents
from geomedsr.scene.scene import Scene
from geomedsr_dicom.files import is_directory, looks_like_dicom, walk

if TYPE_CHECKING:  # slow to import, and of no use for other formats
    from geomedsr.checks import Check
    from geomedsr_dicom.index import Series
    from geomedsr_dicom.parametric import MapSink
    from geomedsr_dicom.restored import RestoredSink
    from geomedsr_dicom.sink import SeriesSink

#: The output of a model that becomes Parametric Maps.
HALF_WIDTHS = "halfwidth"

#: Series that a message names, at most.
_NAMED = 3


class DicomAdapter(Adapter):
    """Reads CT and MR series, classic and enhanced; writes derived series."""

    sink_options = ("uid_seed",)
    title = "DICOM"

    def can_open(self, path: str) -> bool:
        """Whether the path is a DICOM image, a DICOMDIR, or a folder with a DICOM file in it."""
        if os.path.isdir(path):
            return any(looks_like_dicom(file) for file in walk(path))
        if not (os.path.isfile(path) and looks_like_dicom(path)):
            return False
        from geomedsr_dicom.headers import read_header

        return is_directory(path) or read_header(path) is not None

    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        """The scene of the one usable series under a path, or of the one chosen by UID or number."""
        from geomedsr_dicom.index import index
        from geomedsr_dicom.series import open_series

        found = index(path)
        if found.damaged:
            files = f"{found.damaged} file{'s' * (found.damaged != 1)}"
            warnings.warn(f"{path} holds {files} that cannot be read, left out", SceneWarning, stacklevel=3)
        if found.missing:
            files = f"{found.missing} file{'s' * (found.missing != 1)}"
            warnings.warn(f"{path} names {files} that are not there", SceneWarning, stacklevel=3)
        chosen = choose(path, found.series, series, force)
        if series is None and chosen.refusal is None and (more := passed_over(found.series)):
            warnings.warn(f"{path} holds {more}, left out", SceneWarning, stacklevel=3)
        return open_series(chosen, force)

    def explain(self, path: str) -> GeomedsrError | None:
        """Why a DICOM file, or a folder, is no image."""
        if os.path.isfile(path) and looks_like_dicom(path):
            return InputError(f"{path}, a DICOM file without an image", "CT or MR images", "name another file")
        if os.path.isdir(path):
            return InputError(
                f"the directory {path}, without a DICOM file in it",
                "a raster file or a folder of DICOM files",
                "name one",
            )
        return None

    def contents(self, path: str) -> Contents:
        """The series under a path."""
        from geomedsr_dicom.contents import contents

        return contents(path)

    def checks(self, source: Scene, result: Scene) -> list[Check]:
        """Promises about a derived series' headers."""
        from geomedsr_dicom.checks import checks

        return checks(source, result)

    def can_write(self, scene: Scene, path: str) -> bool:
        """A series goes into a folder; one that is a single file may go into a ``.dcm``."""
        if not (isinstance(scene.headers, tuple) and scene.headers):
            return False
        from geomedsr_dicom.frames import Frame

        ours = isinstance(scene.headers[0], Frame)
        suffix = os.path.splitext(path)[1].lower()
        return ours and (os.path.isdir(path) or suffix == ".dcm" or not re.fullmatch(r"\.[a-z]{1,5}", suffix))

    def preview_sink(self, scene: Scene, path: str, overwrite: bool) -> SeriesSink:
        """A sink for block means of a series, as a derived one."""
        from geomedsr_dicom.previews import create_preview

        return create_preview(scene, path, overwrite)

    def kept(self, scene: Scene) -> bytes:
        """What the files hold besides pixels."""
        from geomedsr_dicom.restored import kept

        return kept(scene)

    def restored_sink(self, scene: Scene, kept: bytes, path: str, overwrite: bool) -> RestoredSink:
        """A sink for the files as they were."""
        from geomedsr_dicom.restored import create_restored

        return create_restored(scene, kept, path, overwrite)

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> SeriesSink | MapSink:
        """A sink that ends as the folder, or the file, ``path``; ``uid_seed`` makes the same UIDs again.

        Half-widths become Parametric Maps.
        """
        from geomedsr_dicom.sink import create_sink

        told = scene.provenance
        if told.model.output == HALF_WIDTHS and told.interval.nominal is not None:
            from geomedsr_dicom.parametric import create_map

            return create_map(scene, path, overwrite, **options)
        return create_sink(scene, path, overwrite, **options)


def passed_over(found: tuple[Series, ...]) -> str:
    """The series that cannot be used, in words; "" where there are none."""
    from geomedsr_dicom.series import title

    left = [(s, s.refusal) for s in found if s.refusal is not None]
    named = "; ".join(f"{title(s)}, {why[0]}" for s, why in left[:_NAMED]) + "; …" * (len(left) > _NAMED)
    return f"{len(left)} series that cannot be used ({named})" if left else ""


def choose(path: str, found: tuple[Series, ...], wanted: str | None, force: bool = False) -> Series:
    """One series of those found.

    Raises:
        InputError: none, or several and no choice, or a choice that fits none or several.
    """
    from geomedsr_dicom.series import title

    if wanted is not None:
        chosen = [s for s in found if wanted == s.uid or (wanted.isdecimal() and s.number == int(wanted))]
    else:
        chosen = [s for s in found if s.refusal is None and (force or not any(h.derived for h in s.headers))] or list(
            found
        )
    if len(chosen) == 1:
        return chosen[0]
    if not found:
        raise InputError(f"{path} with no image series", "CT or MR images", "check the folder")
    names = "; ".join(f"{title(s)} ({len(s.headers)} files, UID {s.uid})" for s in (chosen or found)[:12])
    more = f"; … {len(chosen or found)} in all" if len(chosen or found) > 12 else ""
    what = f"{len(chosen)} series in {path}" if chosen else f"no series {wanted!r} in {path}"
    raise InputError(f"{what}: {names}{more}", "one", "choose with --series UID or NUMBER, or take --all")
