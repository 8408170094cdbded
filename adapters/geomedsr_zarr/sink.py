"""The sink: regions are written to the store itself, under a hidden name, in whole chunks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from geomedsr.errors import OutputError
from geomedsr.geometry import Box
from geomedsr.io import Move, Scratch, Sink
from geomedsr.io.blocks import chunk_side, region_side
from geomedsr.io.files import exists
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr_zarr.groups import marker
from geomedsr_zarr.layout import MASK, Layout


@dataclass(frozen=True)
class ZarrSink(Sink):
    """See :class:`geomedsr.io.Sink`."""

    layout: Layout
    side: int

    @property
    def block(self) -> tuple[int, int]:
        """Regions are whole chunks."""
        return self.side, self.side

    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store a region (one frame)."""
        inside = box.index[2:]
        place = (box.start[0], *inside) if self.layout.frames else inside
        store = os.fspath(self.made)
        version = os.stat(marker(store) or store)
        stamp = version.st_ino, version.st_mtime_ns  # an earlier job's store may have had the same path
        if self.layout.mask:
            mask = valid[0] if self.layout.each else valid[0].any(0)
            seen = (*place[:-2], *[slice(None)] * self.layout.each, *inside)
            _array(store, MASK, stamp)[seen] = mask.astype(np.uint8)
        if self.layout.apart:
            for name, band in zip(self.layout.names, values[0], strict=True):
                _array(store, name, stamp)[place] = band
        else:
            lead = place[:-2]
            _array(store, self.layout.names[0], stamp)[(*lead, slice(None), *inside)] = values[0]

    def assemble(self) -> list[Move]:
        """Publish the store; there is nothing left to do."""
        return [self.move(self.made)]

    def check(self) -> None:
        """Raise an OutputError if the path exists and is not a store, or must not be replaced."""
        super().check()
        if self.target.exists():
            _check_replaceable(self.target)

    @property
    def made(self) -> Path:
        """The store in progress."""
        return self.folder / "result.zarr"


@lru_cache(maxsize=64)
def _array(store: str, name: str, stamp: tuple[int, int]) -> Any:
    return zarr.open_array(store, path=name, mode="r+")


def create_sink(scene: Scene, path: str, overwrite: bool, version: int = 3) -> ZarrSink:
    """Make all checks that are possible before the computation, and make the store without its chunks.

    ``version`` is the version of the format, 3 or 2.

    Raises:
        OutputError: the path exists, is the source itself, or cannot be written; or the scene is not a raster.
    """
    if "://" in path or path.startswith("/vsi"):
        raise OutputError(f"the output {path}", "a path on a local disk", "write there, then copy it")
    target = Path(os.path.realpath(path))
    frames = scene.shape[0]
    if scene.grid.planes:
        raise OutputError(
            f"a series of {frames} slice{'s' * (frames != 1)} for a Zarr store",
            "a scene that lies on a map",
            "name a folder for a DICOM series, or a volume such as result.nii.gz",
        )
    if any(os.path.exists(f) and os.path.realpath(f) == str(target) for f in scene.files):
        raise OutputError(f"the output {path}, which is the input itself", "another one", "choose another name")
    if target.exists():
        if not overwrite:
            raise exists(target)
        _check_replaceable(target)
    if not target.parent.is_dir():
        raise OutputError(f"the output {path}", "a folder that exists", f"make {target.parent} first")
    chunk = chunk_side(scene.shape[1], scene.dtype.itemsize)
    side = region_side(max(scene.source.block), chunk, chunk)
    job = {"format": "zarr" if version == 3 else "zarr2", "region": str(side)}
    if Layout.of(scene).each:
        job["mask"] = "bands"
    scratch = Scratch.open(target, scene, job)
    sink = ZarrSink(target, scratch, overwrite, Layout.of(scene, scratch.folder / "result.zarr"), side)
    try:
        with sink.io():
            if not sink.made.exists():
                sink.forget()  # the store has been published
                made = scratch.folder / "new.zarr"
                sink.layout.make(scene, made, version)
                os.replace(made, sink.made)
    except BaseException:
        scratch.discard()
        raise
    return sink


def _check_replaceable(target: Path) -> None:
    if marker(os.fspath(target)) is None:
        raise OutputError(
            f"the output {target}, which is no Zarr store", "a store to replace, or a new name", "choose another name"
        )
