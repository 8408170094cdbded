"""JPEG streams (ITU-T T.81): their headers, and the coefficients of baseline and extended sequential ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.jpeg.huffman import Codes, Job, decode
from geomedsr.jpeg.tables import ZIGZAG

Array = np.ndarray[Any, Any]

#: What starts a frame of a kind that is not read, in words; ITU-T T.81, table B.1.
_REFUSED = {
    0xC2: "progressive JPEG",
    0xC3: "lossless JPEG",
    0xC5: "hierarchical JPEG",
    0xC6: "hierarchical JPEG",
    0xC7: "hierarchical JPEG",
    0xC9: "JPEG with arithmetic coding",
    0xCA: "JPEG with arithmetic coding",
    0xCB: "JPEG with arithmetic coding",
    0xF7: "JPEG-LS",
}

_SOI, _EOI, _SOS, _DQT, _DHT, _DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
_APP0, _APP14 = 0xE0, 0xEE

#: Blocks of a sampling that are decoded together have at most this many rows or columns.
_MOST = 4


@dataclass(frozen=True, eq=False)
class Component:
    """A component: coefficients of its blocks, row by row, and the table of steps that they are multiples of.

    ``blocks`` are int16 ``(row, column, 8, 8)``. ``down`` are how many times fewer rows and columns it has than the
    image.
    """

    blocks: Array
    table: Array
    down: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Coefficients:
    """A stream's coefficients: of an image of ``size`` rows and columns, of ``precision`` bits.

    ``luma`` tells that three components are a luma and two chromas of red, green and blue; others are the bands.
    """

    size: tuple[int, int]
    precision: int
    components: tuple[Component, ...]
    luma: bool


@dataclass
class _Frame:
    """What a stream's headers tell."""

    size: tuple[int, int] = (0, 0)
    precision: int = 8
    ids: list[int] = field(default_factory=list)
    sampling: list[tuple[int, int]] = field(default_factory=list)  # rows, columns
    chosen: list[int] = field(default_factory=list)
    tables: dict[int, Array] = field(default_factory=dict)
    codes: dict[tuple[int, int], Codes] = field(default_factory=dict)
    scanned: set[int] = field(default_factory=set)
    restart: int = 0
    jfif: bool = False
    adobe: int | None = None

    @property
    def most(self) -> tuple[int, int]:
        """The finest sampling."""
        rows, columns = zip(*self.sampling, strict=True)
        return max(rows), max(columns)

    def own(self, i: int) -> tuple[int, int]:
        """Rows and columns of blocks of a component that hold pixels of the image."""
        (height, width), most, own = self.size, self.most, self.sampling[i]
        samples = [-(-n * part // whole) for n, part, whole in zip((height, width), own, most, strict=True)]
        return -(-samples[0] // 8), -(-samples[1] // 8)

    def padded(self, i: int) -> tuple[int, int]:
        """The same in whole groups of blocks that are coded together."""
        (height, width), most, own = self.size, self.most, self.sampling[i]
        return -(-height // (8 * most[0])) * own[0], -(-width // (8 * most[1])) * own[1]


def coefficients(stream: bytes, name: str, tables: bytes = b"", luma: bool | None = None) -> Coefficients:
    """The coefficients of a stream.

    Args:
        stream: from the start marker to the end marker.
        name: what to call it in messages.
        tables: an abbreviated stream of tables that it refers to, as TIFF has it.
        luma: whether three components are luma and chroma; by default the stream tells it.

    Raises:
        InputError: it is damaged, or of a kind that is not read.
    """
    if (other := kind_of(stream)) is not None:
        raise InputError(
            f"{name}, which is {other}", "baseline JPEG, whose coefficients are read", "recode it without loss"
        )
    frame = _Frame()
    found: list[Array] = []
    try:
        for _ in _read(tables, frame, found, name) if tables else ():
            pass
        for marker in _read(stream, frame, found, name):
            if marker in (0xC0, 0xC1):
                _check(frame, name)
                found.extend(np.zeros((*frame.padded(i), 64), np.int16) for i in range(len(frame.ids)))
        if len(frame.scanned) < max(len(found), 1):
            raise ValueError("scans are missing")
    except (IndexError, struct.error, KeyError, ValueError) as error:
        raise InputError(
            f"the JPEG stream of {name}, which is damaged", "a whole one", "copy the file again"
        ) from error
    components = []
    for i, blocks in enumerate(found):
        rows, columns = frame.own(i)
        down = frame.most[0] // frame.sampling[i][0], frame.most[1] // frame.sampling[i][1]
        own = blocks[:rows, :columns].reshape(rows, columns, 8, 8)
        components.append(Component(own, frame.tables[frame.chosen[i]], down))
    if luma is None:
        luma = _luma(frame)
    return Coefficients(frame.size, frame.precision, tuple(components), luma and len(components) == 3)


def kind_of(stream: bytes) -> str | None:
    """What keeps a stream's coefficients from being read, in words; None if nothing does."""
    if stream[:4] == b"\xff\x4f\xff\x51" or stream[4:8] == b"jP  ":
        return "JPEG 2000"
    if stream[:2] != b"\xff\xd8":
        return "no JPEG inside"
    for marker, _, _ in _markers(stream):
        if marker in _REFUSED:
            return _REFUSED[marker]
        if marker in (0xC0, 0xC1):
            return None
    return "JPEG without an image"


def _check(frame: _Frame, name: str) -> None:
    """Raise an InputError for sizes, precisions and samplings that are not read."""
    if frame.precision not in (8, 12) or 0 in frame.size or not frame.ids:
        raise ValueError(frame.precision)
    most = frame.most
    if any(most[0] % rows or most[1] % columns for rows, columns in frame.sampling) or max(most) > _MOST:
        raise InputError(
            f"{name}, whose components are sampled {frame.sampling}", "samplings that divide each other", "recode it"
        )


def _luma(frame: _Frame) -> bool:
    """Whether three components are luma and chroma, as libjpeg decides it."""
    if frame.jfif:
        return True
    if frame.adobe is not None:
        return frame.adobe == 1
    return bytes(frame.ids) != b"RGB"


def _markers(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker segments up to the first scan: marker, and where its content begins and ends."""
    at = 2
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            return
        marker = stream[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        if marker == _EOI:
            return
        end = at + 2 + struct.unpack_from(">H", stream, at + 2)[0]
        yield marker, at + 4, end
        at = end


def _read(stream: bytes, frame: _Frame, found: list[Array], name: str) -> Iterator[int]:
    """Read all segments of a stream into ``frame``, and scans into ``found``; yields each marker once it is read."""
    if stream[:2] != b"\xff\xd8":
        raise ValueError("no start")
    at = 2
    while at < len(stream) - 1:
        if stream[at] != 0xFF:
            raise ValueError("no marker")
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _EOI:
            return
        end = at + 2 + struct.unpack_from(">H", stream, at + 2)[0]
        content = stream[at + 4 : end]
        if marker in (0xC0, 0xC1):
            _start(content, frame)
        elif marker == _DQT:
            _tables(content, frame)
        elif marker == _DHT:
            _codes(content, frame)
        elif marker == _DRI:
            frame.restart = struct.unpack(">H", content[:2])[0]
        elif marker == _APP0 and content[:5] == b"JFIF\0":
            frame.jfif = True
        elif marker == _APP14 and content[:5] == b"Adobe":
            frame.adobe = content[11]
        elif marker == _SOS:
            at = _scan(stream, end, content, frame, found)
            yield marker
            continue
        yield marker
        at = end


def _start(content: bytes, frame: _Frame) -> None:
    precision, height, width, count = struct.unpack_from(">BHHB", content)
    frame.precision, frame.size = precision, (height, width)
    for i in range(count):
        own, sampling, table = content[6 + 3 * i : 9 + 3 * i]
        frame.ids.append(own)
        frame.sampling.append((sampling & 15, sampling >> 4))
        frame.chosen.append(table)
    if count == 1:  # a sampling of its own means nothing
        frame.sampling = [(1, 1)]


def _tables(content: bytes, frame: _Frame) -> None:
    at = 0
    while at < len(content):
        wide, which = content[at] >> 4, content[at] & 15
        kind = np.dtype(">u2") if wide else np.dtype("u1")
        table = np.zeros(64, np.int32)
        table[ZIGZAG] = np.frombuffer(content, kind, 64, at + 1)
        frame.tables[which] = table.reshape(8, 8)
        at += 1 + 64 * kind.itemsize


def _codes(content: bytes, frame: _Frame) -> None:
    at = 0
    while at < len(content):
        counts = content[at + 1 : at + 17]
        symbols = content[at + 17 : at + 17 + sum(counts)]
        frame.codes[content[at] >> 4, content[at] & 15] = Codes.of(counts, symbols)
        at += 17 + sum(counts)


def _scan(stream: bytes, at: int, content: bytes, frame: _Frame, found: list[Array]) -> int:
    """Decode a scan, whose data begins at ``at``; where it ends."""
    parts = []
    for i in range(content[0]):
        own, codes = content[1 + 2 * i], content[2 + 2 * i]
        place = frame.ids.index(own)
        parts.append((place, frame.codes[0, codes >> 4], frame.codes[1, codes & 15]))
    pieces, end = _pieces(stream, at)
    jobs = []
    if len(parts) == 1:
        place, dc, ac = parts[0]
        rows, columns = frame.own(place)
        across = found[place].shape[1]
        groups = [[(0, row * across + column)] for row in range(rows) for column in range(columns)]
        jobs = [Job(found[place], dc, ac)]
    else:
        high, wide = (-(-n // (8 * most)) for n, most in zip(frame.size, frame.most, strict=True))
        jobs = [Job(found[place], dc, ac) for place, dc, ac in parts]
        groups = []
        for row in range(high):
            for column in range(wide):
                group = []
                for which, (place, _, _) in enumerate(parts):
                    rows, columns = frame.sampling[place]
                    across = found[place].shape[1]
                    group += [
                        (which, (row * rows + y) * across + column * columns + x)
                        for y in range(rows)
                        for x in range(columns)
                    ]
                groups.append(group)
    decode(pieces, jobs, groups, frame.restart)
    frame.scanned.update(place for place, _, _ in parts)
    return end


def _pieces(stream: bytes, at: int) -> tuple[list[bytes], int]:
    """The data of a scan between restart markers, without stuffing; and where the next marker is."""
    pieces, begin, look = [], at, at
    while True:
        look = stream.find(b"\xff", look)
        if look < 0 or look + 1 >= len(stream):  # cut short
            raise ValueError("no end")
        after = stream[look + 1]
        if after == 0:
            look += 2
        elif after == 0xFF:
            look += 1
        else:
            pieces.append(stream[begin:look].replace(b"\xff\x00", b"\xff"))
            if not 0xD0 <= after <= 0xD7:
                return pieces, look
            begin = look = look + 2
