"""A scene sent in two parts: a preview that anyone can open, and the detail that makes it the original again."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.inference.engine import write_to
from geomedsr.io import Adapter, open_scene
from geomedsr.io.registry import installed
from geomedsr.io.sink import Sink
from geomedsr.scene.scene import Scene
from geomedsr.transfer.coarser import coarser_grid
from geomedsr.transfer.coding import Damaged
from geomedsr.transfer.detail import Detail, checksum, damaged
from geomedsr.transfer.facts import described
from geomedsr.transfer.sink import create_sink
from geomedsr.transfer.sources import JoinedSource, PreviewSource, other_preview

#: How many times coarser previews are where nobody says, and at most.
FACTOR, MOST = 4, 64

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Parts:
    """What a split made: the two paths, how many bytes each has, and the size of the preview, ``(height, width)``."""

    preview: str
    detail: str
    preview_bytes: int
    detail_bytes: int
    size: tuple[int, int]
    factor: int


def split(
    scene: Scene | Path,
    preview: Path,
    detail: Path,
    *,
    factor: int = FACTOR,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Parts:
    """Split a scene into a preview and a detail file; :func:`join` makes it whole again, bit for bit.

    The preview holds the mean of each ``factor × factor`` block of pixels, rounded to the scene's type; of floats it is
    as near as the type allows. Both files appear together, or neither; a call that was stopped goes on.

    Args:
        scene: a scene as it was opened, or its path: a raster or a DICOM series.
        preview: where the preview goes: ``.tif``, or a folder for a series.
        detail: where the detail goes, ``.gdsr``.
        factor: how many times coarser the preview is, from 2 to 64.
        overwrite: replace files that are there.
        workers: how many tiles are coded at once; by default the machine's cores.
        progress: show a bar, as :func:`geomedsr.write` does.

    Returns:
        What was made.

    Raises:
        InputError: the factor, or the scene, is not of such a kind; or the source fails somewhere.
        OutputError: a path cannot be written, or is taken.
    """
    if not isinstance(scene, Scene):
        scene = open_scene(scene, force=True)
    if isinstance(factor, bool) or not isinstance(factor, int) or not 2 <= factor <= MOST:
        raise InputError(f"the factor {factor}", f"a whole number from 2 to {MOST}", "take 4")
    fine = scene
    source = PreviewSource(fine.source, factor, fine.bands)
    small = replace(fine, source=source, grid=coarser_grid(fine.grid, factor), scale=None)

    name, adapter = _writer(small, os.fspath(preview))

    def opened(each: Scene, path: Any) -> Sink:
        if each is small:
            return adapter.preview_sink(small, os.fspath(path), overwrite)
        return create_sink(fine, path, overwrite, factor, name, adapter.kept(fine))

    write_to({preview: small, detail: fine}, opened, workers, progress)
    sizes = (_bytes(preview), _bytes(detail))
    return Parts(os.fspath(preview), os.fspath(detail), *sizes, source.shape[2:], factor)


def join(
    preview: Path,
    detail: Path,
    path: Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Scene:
    """Make the original of a preview and its detail: its pixels bit for bit, its place, bands, masks and tags.

    Both are checked as a whole before anything is written, and each tile when it is made.

    Args:
        preview: what :func:`split` made, as it was; a copy in another format does as well if its pixels are the same.
        detail: the detail file of the same split.
        path: where the original goes: ``.tif``, or a folder for a series.
        overwrite: replace what is there.
        workers: how many tiles are made at once; by default the machine's cores.
        progress: show a bar, as :func:`geomedsr.write` does.

    Returns:
        The original, which reads the two files.

    Raises:
        InputError: the two do not belong together, or one was changed or cut off.
        OutputError: the path cannot be written, or is taken.
    """
    scene, found = _joined(preview, detail)
    adapter = installed()[0].get(found.format)
    if adapter is None:
        raise InputError(f"the detail file {found.path} of format {found.format!r}", "its adapter", "install it")

    def opened(each: Scene, to: Any) -> Sink:
        try:
            return adapter.restored_sink(each, found.kept, os.fspath(to), overwrite)
        except GeomedsrError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise damaged(found.path) from error

    write_to({path: scene}, opened, workers, progress)
    return scene


def _writer(scene: Scene, path: str) -> tuple[str, Adapter]:
    """The adapter for a preview, and its name."""
    for name, adapter in installed()[0].items():
        if adapter.can_write(scene, path):
            return name, adapter
    raise OutputError(
        f"the preview {path} of {scene.name}", "one in .tif; a folder for a series", "give it such a name"
    )


def _joined(preview: Path, detail: Path) -> tuple[Scene, Detail]:
    """The original as a lazy scene, and the detail file, checked."""
    found = Detail.open(detail)
    small = open_scene(preview, force=True)
    layout = found.layout
    if (small.shape, small.dtype) != (layout.small, layout.dtype):
        raise InputError(
            f"a preview of {_size(small.shape)} {small.dtype} for {found.path}",
            f"{_size(layout.small)} {layout.dtype}",
            "take the preview of the same split",
        )
    for entry, tile in zip(found.index, layout.tiles(), strict=True):
        if checksum(small.source.read(layout.coarse(tile))[0]) != entry["preview"]:
            raise other_preview(found)
    source = JoinedSource(small.source, found, tuple(range(layout.shape[1])))
    try:
        scene = described(found.facts, source=source, files=(*small.files, found.path))
        if scene.grid.shape != scene.shape[2:] or len(scene.bands) != scene.shape[1]:
            raise Damaged
        return scene, found
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise damaged(found.path) from error


def _size(shape: tuple[int, ...]) -> str:
    frames, bands, height, width = shape
    slices = f"{frames} slices of " if frames > 1 else ""
    return f"{slices}{width} × {height} pixels, {bands} ×"


def _bytes(path: Path) -> int:
    if os.path.isdir(path):
        return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
    return os.path.getsize(path)
