"""The registry of adapters: which one opens or writes a path. Adapters are found by entry point.

The core never imports an adapter: any package can register a class in the group ``geomedsr.adapters``. An adapter
that fails to import does not affect the others; its failure is reported when no other one fits.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.io.adapter import Adapter, Contents
from geomedsr.io.files import reason, unwritable
from geomedsr.io.sink import Sink
from geomedsr.plugins import loaded
from geomedsr.scene.provenance import provenance_of
from geomedsr.scene.scene import Scene
from geomedsr.scene.stacked import stacked

GROUP = "geomedsr.adapters"

#: One path, or several.
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

#: Options that only some adapters have, and what they apply to.
_OPTIONS = {
    "slice_axis": "a volume, such as NIfTI",
    "mask": "a satellite product, which has masks",
    "alternate": "a STAC item, whose assets have some",
}


@lru_cache(maxsize=1)
def installed() -> tuple[dict[str, Adapter], dict[str, str]]:
    """The adapters that load, by name, and why the others do not."""
    working: dict[str, Adapter] = {}
    found, failed = loaded(GROUP)
    for name, kind in found.items():
        try:
            adapter = kind()
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
            continue
        if isinstance(adapter, Adapter):
            working[name] = adapter
        else:
            failed[name] = "it is no geomedsr.io.Adapter"
    return dict(sorted(working.items(), key=lambda item: item[1].priority)), failed


def open_scene(
    path: Paths,
    *,
    series: str | None = None,
    force: bool = False,
    nodata: float | str | None = None,
    slice_axis: int | None = None,
    resolution: float | None = None,
    bands: Sequence[str | int] | None = None,
    mask: str | None = None,
    alternate: str | None = None,
) -> Scene:
    """Open a path with the first adapter that can.

    Args:
        path: a raster, a DICOM file, a folder of DICOM files, a volume, or a satellite product. A list of paths,
            or a pattern such as ``"2024/*.tif"``, opens images of one grid as the frames of one scene, ordered by time.
        series: one series of several, by UID or number; one volume of several in a file, by number from 1; one tile of
            a product.
        force: also open results of geomedsr.
        nodata: the nodata value of all bands of a raster, instead of the file's own; ``"none"`` for no nodata value.
        slice_axis: the axis of a volume along which its slices are stacked, from 1; by default taken from its header
            or the sizes of its voxels.
        resolution: the part of a product, by its pixel size in units of its CRS; by default the finest, or the finest
            that holds all ``bands``.
        bands: some of the bands, as for :meth:`geomedsr.Scene.select`.
        mask: the pixels of a product to mask: ``"clouds"``; by default none.
        alternate: the alternate address by which the assets of a STAC item are read, such as ``"s3"``.

    Raises:
        InputError: no adapter can open the path; the message tells why, as far as an adapter knows. Or the nodata
            value or the resolution is not possible, or the bands do not exist at one resolution; or several
            scenes do not fit together.
    """
    named = {"slice_axis": slice_axis, "mask": mask, "alternate": alternate}
    scene = open_part(path, bands or (), series=series, force=force, nodata=nodata, resolution=resolution, **named)
    return scene if bands is None else scene.select(bands)


def open_part(
    path: Paths,
    bands: Sequence[str | int],
    *,
    series: str | None = None,
    force: bool = False,
    nodata: float | str | None = None,
    resolution: float | None = None,
    **named: Any,
) -> Scene:
    """The part of a path that holds some bands, with its other bands, too; see :func:`open_scene`."""
    if (several := _several(path)) is not None:
        more = {"series": series, "force": force, "nodata": nodata, "resolution": resolution, **named}
        return stacked([open_part(each, bands, **more) for each in several])
    text = os.fspath(path)  # type: ignore[arg-type]
    adapter = adapter_for(text)
    given = {name: value for name, value in named.items() if value is not None}
    for name in given.keys() - set(adapter.options):
        raise InputError(f"--{name.replace('_', '-')} for {text}", _OPTIONS[name], "leave it out")
    if "part" in adapter.options:
        given["part"] = (resolution, tuple(bands))
    scene = adapter.open(text, series, force, **given)
    if nodata is not None:
        scene = scene.with_nodata(nodata)
    return scene if "part" in adapter.options or resolution is None else scene.at(resolution)


def open_pair(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    series: str | None = None,
    nodata: float | str | None = None,
) -> tuple[Scene, Scene]:
    """A source and its result; a volume's slices are stacked along the axis that the result states.

    Raises:
        InputError: as in :func:`open_scene`.
    """
    result = open_scene(dst, force=True)
    made_of, known = provenance_of(result).chosen, adapter_for(os.fspath(src)).options
    named: dict[str, Any] = {name: getattr(made_of, name) for name in ("slice_axis", "mask") if name in known}
    if "part" in known:
        with suppress(InputError):  # the result may be from another source, with other parts
            part, named["resolution"] = made_of.bands or (), made_of.resolution
            return open_part(src, part, series=series, force=True, nodata=nodata, **named), result
        named.clear()
    return open_part(src, (), series=series, force=True, nodata=nodata, **named), result


def _several(path: Paths) -> list[str | os.PathLike[str]] | None:
    """The paths of a list or a pattern; None of one path, and of a pattern that no file has."""
    if not isinstance(path, (str, os.PathLike)):
        return list(path)
    text = os.fspath(path)
    if not glob.has_magic(text) or "://" in text or os.path.lexists(text):
        return None
    return [*sorted(glob.glob(text))] or None


def contents_of(path: str | os.PathLike[str]) -> Contents | None:
    """The scenes under a path; None where the path can only be a single scene, or is a pattern of several."""
    if _several(path) is not None:
        return None
    text = os.fspath(path)
    return adapter_for(text).contents(text)


def adapter_for(text: str) -> Adapter:
    """The first adapter that can open a path; raises the InputError of :func:`open_scene` if none can."""
    working, failed = installed()
    for adapter in working.values():
        if adapter.can_open(text):
            return adapter
    for adapter in working.values():
        if (why := adapter.explain(text)) is not None:
            raise why
    raise InputError(f"{text}", f"a file for one of the adapters {_names(working, failed)}", "check the path")


def open_sink(scene: Scene, path: str | os.PathLike[str], overwrite: bool = False, **options: Any) -> Sink:
    """A sink for a scene, from the first adapter that writes files with such a name.

    Raises:
        OutputError: no adapter does, the path cannot be written, or an option is unknown.
    """
    text = os.fspath(path)
    working, failed = installed()
    for adapter in working.values():
        try:
            if adapter.can_write(scene, text):
                _check_options(adapter, options)
                return adapter.sink(scene, text, overwrite, **options)
        except GeomedsrError:
            raise
        except (OSError, ValueError) as error:  # a name that the system does not accept
            raise unwritable(text, reason(error)) from error
    raise OutputError(
        f"the output name {text} for {scene.name}",
        f"one that an adapter writes ({_names(working, failed)}): result.tif for a raster, a folder for a DICOM series",
        "give it such a name",
    )


def _check_options(adapter: Adapter, options: dict[str, Any]) -> None:
    if unknown := sorted(options.keys() - set(adapter.sink_options)):
        known = " or ".join(adapter.sink_options) or "none"
        raise OutputError(f"the option {unknown[0]} for {adapter.title}", known, "leave it out")


def _names(working: dict[str, Any], failed: dict[str, str]) -> str:
    broken = [f"{name} (not loading: {why})" for name, why in failed.items()]
    return ", ".join([*working, *broken]) or "none installed"
