"""Series as they were: what their files hold besides pixels is kept as bytes, and put around the same pixels again."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import UID, ExplicitVRLittleEndian

from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Box
from geomedsr.io import Move, Scratch, Sink
from geomedsr.io.files import atomic_write
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr_dicom.attributes import load, quiet
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.rewriting import read_whole
from geomedsr_dicom.sink import check_target

#: The length of the list that kept bytes begin with.
_LENGTH = struct.Struct("<Q")


def kept(scene: Scene) -> bytes:
    """What the files of a series hold besides pixels, in the order of ``scene.files``.

    A file of plain little-endian pixels is kept byte for byte around them. Others, such as compressed ones, come back
    with plain pixels and the same attributes.

    Raises:
        InputError: some frames of a file are not in the scene, or there is more in its pixels than their values.
    """
    numbered = sorted(enumerate(scene.headers), key=lambda pair: (scene.files.index(pair[1].path), pair[1].index))
    listed: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for number, (path, group) in enumerate(groupby(numbered, key=lambda pair: pair[1].path)):
        own: list[tuple[int, Frame]] = list(group)
        with quiet():
            before, after = _around(path, [scene.source.read(_slice(scene, i)) for i, _ in own], number)
        listed.append(
            {"name": os.path.basename(path), "frames": [i for i, _ in own], "bytes": [len(before), len(after)]}
        )
        parts += [before, after]
    head = json.dumps(listed).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *parts])


def _slice(scene: Scene, number: int) -> Box:
    return Box((number, 0, 0), (number + 1, *scene.shape[2:]))


def _around(path: str, stored: Sequence[Array], number: int) -> tuple[bytes, bytes]:
    """What lies before and behind the pixels of a file."""
    name = f"file {number + 1} of the series"
    header, _ = load(path)
    if int(header.get("NumberOfFrames") or 1) != len(stored):
        raise InputError(
            f"{name}, of whose frames some are left out", "a series of all frames", "send the file as it is"
        )
    pixels = b"".join(np.ascontiguousarray(part, part.dtype.newbyteorder("<")).tobytes() for part in stored)
    syntax = UID(str(header.file_meta.get("TransferSyntaxUID") or ""))
    plain = not (syntax.is_compressed or syntax.is_deflated) and syntax.is_little_endian
    if plain:
        whole = Path(path).read_bytes()
        head = 8 if syntax.is_implicit_VR else 12
        with open(path, "rb") as file:
            pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
            at = file.tell() + head
        if whole[at - head : at - head + 4] == b"\xe0\x7f\x10\x00" and whole[at : at + len(pixels)] == pixels:
            return whole[:at], whole[at + len(pixels) :]
        raise InputError(
            f"{name}, whose pixels hold more than values, such as overlays", "values alone", "send it as it is"
        )
    ds = read_whole(path)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "DataSetTrailingPadding"):
        if keyword in ds:
            del ds[keyword]
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.add_new("PixelData", "OW", b"")
    made = io.BytesIO()
    ds.save_as(made, enforce_file_format=True)
    odd = len(pixels) % 2
    return made.getvalue()[:-4] + struct.pack("<I", len(pixels) + odd), b"\0" * odd


@dataclass(frozen=True)
class RestoredSink(Sink):
    """See :class:`geomedsr.io.Sink`; a region is a slice. ``files`` are names, frames, and what is around them."""

    single: bool
    size: tuple[int, int]
    files: tuple[tuple[str, tuple[int, ...], bytes, bytes], ...]

    @property
    def block(self) -> tuple[int, int]:
        """Regions are whole slices."""
        return self.size

    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store slices, ``(frame, 1, y, x)``."""
        for number, stored in zip(range(box.start[0], box.stop[0]), values[:, 0], strict=True):
            data = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).tobytes()
            atomic_write(self.folder / f"{number}.raw", data)

    def assemble(self) -> list[Move]:
        """The files, each with its slices."""
        folder = self.folder / "series"
        folder.mkdir(exist_ok=True)
        for name, frames, before, after in self.files:
            with open(folder / name, "wb") as file:
                file.write(before)
                for number in frames:
                    file.write((self.folder / f"{number}.raw").read_bytes())
                file.write(after)
        return [self.move(folder / self.files[0][0] if self.single else folder)]

    def check(self) -> None:
        """Raise an OutputError where something is in the way."""
        if not self.target.is_dir() or any(self.target.iterdir()):
            super().check()


def create_restored(scene: Scene, around: bytes, path: str, overwrite: bool) -> RestoredSink:
    """A sink for a series of the pixels of a scene, and what :func:`kept` kept.

    Raises:
        ValueError: it did not keep these bytes.
        OutputError: the path is taken, or cannot be written, or names a file for several.
    """
    files = _files(around, scene.shape[0])
    target = Path(os.path.realpath(path))
    single = target.suffix.lower() == ".dcm" and not target.is_dir()
    if single and len(files) > 1:
        raise OutputError(f"the file {path} for {len(files)} files", "a folder", "leave the suffix out")
    check_target(scene, path, target, single, overwrite)
    if not target.parent.is_dir():
        raise OutputError(f"the output {path}", "a folder that exists", f"make {target.parent} first")
    scratch = Scratch.open(target, scene, {"format": "restored", "single": str(single)})
    return RestoredSink(target, scratch, overwrite, single, (scene.shape[2], scene.shape[3]), files)


def _files(around: bytes, count: int) -> tuple[tuple[str, tuple[int, ...], bytes, bytes], ...]:
    if len(around) < _LENGTH.size:
        raise ValueError("no files")
    (size,) = _LENGTH.unpack_from(around)
    at = _LENGTH.size + size
    listed = json.loads(around[_LENGTH.size : at])
    names = [str(item["name"]) for item in listed]
    safe = all(name == os.path.basename(name) and name.strip(".") and "\0" not in name for name in names)
    if not safe or len({name.casefold() for name in names}) < len(names):
        names = [f"{i + 1:04d}.dcm" for i in range(len(names))]
    files = []
    for name, item in zip(names, listed, strict=True):
        before, after = (int(n) for n in item["bytes"])
        if min(before, after) < 0 or at + before + after > len(around):
            raise ValueError("fewer bytes than are listed")
        files.append(
            (name, tuple(map(int, item["frames"])), around[at : at + before], around[at + before : at + before + after])
        )
        at += before + after
    if sorted(i for _, frames, *_ in files for i in frames) != list(range(count)) or not files:
        raise ValueError("other frames")
    return tuple(files)
