"""Adapters: how files become scenes and scenes files. Found by entry point, so anyone can add one.

The core never imports an adapter: a package that registers a class in the group ``geomedsr.adapters`` is
enough. One that fails to import does not break the others; its failure is told when nothing else fits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.geometry import Box
from geomedsr.outputs import reason, unwritable
from geomedsr.provenance import SLICE_AXIS, provenance_of
from geomedsr.scene import Scene
from geomedsr.sources import Array

GROUP = "geomedsr.adapters"


class Sink(Protocol):
    """Where the regions of one output gather until it is whole.

    Contract: picklable; ``put`` is idempotent and atomic and may come from any thread or process; nothing
    appears under the final name before ``finish``, and nothing is left behind after ``finish`` or
    ``discard``. A sink that is opened for the same job after ``release``, or after the process died, knows from
    ``done`` what is stored already; while it is open, none can be opened for the same destination. One whose regions
    must be of a certain size may have ``block``, ``(height, width)``.
    """

    def put(self, box: Box, values: Array, valid: Array) -> None:
        """Store a box of the output: values ``(frame, band, y, x)`` in the scene's type, and which of them are data."""

    def done(self) -> set[str]:
        """Keys of the regions that are safely stored."""

    def finish(self) -> None:
        """Assemble, validate, and move the result to its final name."""

    def release(self) -> None:
        """Stop here, and leave what is stored for the same job to go on with."""

    def discard(self) -> None:
        """Remove everything that is not the finished output."""


@dataclass(frozen=True)
class Item:
    """One of the scenes that a path holds. ``key`` chooses it; ``folder`` is where it lies, relative to the path.

    ``refusal`` says why it cannot be processed, in one line.
    """

    key: str
    number: int | None
    title: str
    folder: str
    facts: Mapping[str, Any]
    refusal: str | None = None


@dataclass(frozen=True)
class Contents:
    """What a path holds, where an adapter finds several scenes in one; ``notes`` tell of what was skipped."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


class Adapter(Protocol):
    """A file format, or a family of them.

    Contract: ``open`` is called only after ``can_open`` said yes, ``sink`` only after ``can_write`` did;
    both raise a :class:`~geomedsr.errors.GeomedsrError` for what they cannot use. ``explain`` says why a
    path cannot be opened, best as it can.

    One that finds several scenes under a path also has ``contents(path) -> Contents``; one whose files
    promise more than a raster's, ``checks(source, result) -> list[Check]``; one that knows coordinate systems,
    ``same_crs(one, other) -> bool`` for two texts such as WKT; one whose ``open`` takes ``slice_axis``,
    ``options = ("slice_axis",)``; one whose files cannot say which numbers are no data, ``tells_nodata = False``.
    Those of higher ``priority`` are asked
    later (0 if it has none).
    """

    def can_open(self, path: str) -> bool:
        """Whether this adapter can read the path."""

    def open(self, path: str, series: str | None = None, force: bool = False) -> Scene:
        """The scene of a path, or of one series under it; nothing but headers is read.

        ``force`` opens what was made by geomedsr itself.
        """

    def explain(self, path: str) -> GeomedsrError | None:
        """Why ``can_open`` said no, where this adapter is the one to know."""

    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether this adapter writes such a scene to a path of such a name."""

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> Sink:
        """A sink for the scene at a path; raises an OutputError for options it does not know."""


@lru_cache(maxsize=1)
def installed() -> tuple[dict[str, Adapter], dict[str, str]]:
    """The adapters that load, by name, and why the others do not."""
    working: dict[str, Adapter] = {}
    failed: dict[str, str] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            working[entry.name] = entry.load()()
        except Exception as error:
            failed[entry.name] = f"{type(error).__name__}: {error}"
    return dict(sorted(working.items(), key=lambda item: getattr(item[1], "priority", 0))), failed


def open_scene(
    path: str | os.PathLike[str],
    *,
    series: str | None = None,
    force: bool = False,
    nodata: float | str | None = None,
    slice_axis: int | None = None,
) -> Scene:
    """Open a path with the first adapter that can.

    Args:
        path: a raster, a DICOM file, a folder of DICOM files, or a volume.
        series: which series of several, by UID or number; which volume of several in one file, by number from 1.
        force: open what geomedsr made itself, too.
        nodata: the value that means "no data" in all bands of a raster, instead of the file's own; ``"none"``: no value
            does.
        slice_axis: along which axis of a volume its slices lie, from 1; by default as its header or the sizes of its
            voxels tell.

    Raises:
        InputError: none can; the message says why, as far as an adapter knows. Or no such nodata value.
    """
    text = os.fspath(path)
    adapter = adapter_for(text)
    if slice_axis is None:
        scene = adapter.open(text, series, force)
    elif "slice_axis" in _options(adapter):
        scene = cast(Any, adapter).open(text, series, force, slice_axis=slice_axis)
    else:
        raise InputError(f"--slice-axis for {text}", "a volume, such as NIfTI", "leave it out")
    return scene if nodata is None else scene.with_nodata(nodata)


def open_pair(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    series: str | None = None,
    nodata: float | str | None = None,
) -> tuple[Scene, Scene]:
    """A source and what was made of it: slices of a volume along the same axis, as the result tells.

    Raises:
        InputError: as above.
    """
    result = open_scene(dst, force=True)
    axis = provenance_of(result).get(SLICE_AXIS, "")
    known = axis in ("1", "2", "3") and "slice_axis" in _options(adapter_for(os.fspath(src)))
    chosen = int(axis) if known else None
    return open_scene(src, series=series, force=True, nodata=nodata, slice_axis=chosen), result


def _options(adapter: Adapter) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(adapter, "options", ())
    return found


def contents_of(path: str | os.PathLike[str]) -> Contents | None:
    """What a path holds; None where it is a single scene by its nature."""
    text = os.fspath(path)
    adapter = adapter_for(text)
    find: Callable[[str], Contents] | None = getattr(adapter, "contents", None)
    return None if find is None else find(text)


def adapter_for(text: str) -> Adapter:
    """The first adapter that can open a path; the InputError of :func:`open_scene` if none can."""
    working, failed = installed()
    for adapter in working.values():
        if adapter.can_open(text):
            return adapter
    for adapter in working.values():
        if (reason := adapter.explain(text)) is not None:
            raise reason
    raise InputError(f"{text}", f"a file for one of the adapters {_names(working, failed)}", "check the path")


def open_sink(scene: Scene, path: str | os.PathLike[str], overwrite: bool = False, **options: Any) -> Sink:
    """A sink for a scene, from the first adapter that writes files of such a name.

    Raises:
        OutputError: none does, or it cannot write there.
    """
    text = os.fspath(path)
    working, failed = installed()
    for adapter in working.values():
        try:
            if adapter.can_write(scene, text):
                return adapter.sink(scene, text, overwrite, **options)
        except GeomedsrError:
            raise
        except (OSError, ValueError) as error:  # a name that the system does not take
            raise unwritable(text, reason(error)) from error
    raise OutputError(
        f"the output name {text} for {scene.name}",
        f"one that an adapter writes ({_names(working, failed)}): result.tif for a raster, a folder for a DICOM series",
        "give it such a name",
    )


def _names(working: dict[str, Any], failed: dict[str, str]) -> str:
    broken = [f"{name} (not loading: {why})" for name, why in failed.items()]
    return ", ".join([*working, *broken]) or "none installed"
