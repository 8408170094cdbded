"""The sink: regions are collected in a memory-mapped array beside the destination."""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geomedsr.geometry import Box
from geomedsr.io import Move, Scratch, Sink
from geomedsr.io.files import file_target
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr_arrays.facts import FACTS, VALID, VALUES, facts_of


@dataclass(frozen=True)
class ArraySink(Sink):
    """See :class:`geomedsr.io.Sink`."""

    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store a region. The array is mapped only meanwhile, because mapped pages count as this process's memory."""
        for name, array in ((VALUES, values), (VALID, valid)):
            path = self.part(name)
            if path.exists():
                np.lib.format.open_memmap(path, "r+")[box.index] = array

    def assemble(self) -> list[Move]:
        """Join the arrays into one file."""
        parts = [path for path in map(self.part, (VALUES, VALID, FACTS)) if path.exists()]
        result = parts[0]
        if self.target.suffix.lower() == ".npz":
            result = self.folder / "result.npz"
            with zipfile.ZipFile(result, "w") as archive:
                for part in parts:
                    archive.write(part, part.name)
        else:
            _append(parts[0], parts[1:])
        return [self.move(result)]

    def part(self, name: str) -> Path:
        """The file in which an array is collected."""
        return self.folder / f"{name}.npy"


def create_sink(scene: Scene, path: str, overwrite: bool) -> ArraySink:
    """Check the destination, and allocate the arrays.

    Raises:
        OutputError: the path exists, is the source itself, or cannot be written.
    """
    target = file_target(scene, path, overwrite)
    scratch = Scratch.open(target, scene, {"format": target.suffix.lower()})
    sink = ArraySink(target, scratch, overwrite)
    try:
        with sink.io():
            if not sink.part(VALUES).exists():
                sink.forget()  # the values have been published
                if scene.masked or scene.dtype.kind == "f" or any(band.nodata is not None for band in scene.bands):
                    _lay_out(sink.part(VALID), np.dtype(bool), scene.shape)
                np.save(sink.part(FACTS), facts_of(scene), allow_pickle=False)
                made = scratch.folder / "new.npy"
                _lay_out(made, scene.dtype, scene.shape)
                os.replace(made, sink.part(VALUES))
    except BaseException:
        scratch.discard()
        raise
    return sink


def _lay_out(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """A file of zeros with its disk space allocated now: on a full disk, writing a mapped page kills the process."""
    array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
    size = array.offset + array.nbytes
    del array
    if hasattr(os, "posix_fallocate"):
        with open(path, "rb+") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _append(first: Path, rest: list[Path]) -> None:
    """Append the bytes of some files after the array in the first; leftovers of an earlier attempt are overwritten."""
    array = np.load(first, "r")
    end = array.offset + array.nbytes
    del array
    with open(first, "rb+") as file:
        file.truncate(end)
        file.seek(end)
        for part in rest:
            with open(part, "rb") as other:
                shutil.copyfileobj(other, file, 2**22)
