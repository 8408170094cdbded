"""Where the tiles of a detail file gather."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geomedsr.errors import OutputError
from geomedsr.geometry import Box
from geomedsr.io import Move, Scratch, Sink
from geomedsr.io.files import atomic_write, file_target
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Array
from geomedsr.transfer.coding import joined
from geomedsr.transfer.detail import SUFFIX, Layout, check_held, checksum, described, settled, tile_side, write_detail
from geomedsr.transfer.facts import facts_of
from geomedsr.transfer.sources import coarse, mask_bytes
from geomedsr.transfer.tiles import encode

_CHECKS = struct.Struct("<II")


@dataclass(frozen=True)
class DetailSink(Sink):
    """See :class:`geomedsr.io.Sink`; a region is a tile. What it holds follows from the tile alone."""

    layout: Layout
    bands: tuple[Band, ...]
    facts: Mapping[str, Any]
    adapter: str
    kept: bytes

    @property
    def block(self) -> tuple[int, int]:
        """Regions are tiles."""
        return self.layout.side, self.layout.side

    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store a tile (one frame)."""
        mean = settled(coarse(values, valid, self.layout.factor, self.bands)[0][0])
        body = encode(values[0], mean, self.layout.factor, self.layout.nodata)
        tile = joined([mask_bytes(valid[0], self.layout.masking), body])
        atomic_write(self._place(box), _CHECKS.pack(checksum(mean), checksum(values[0])) + tile)

    def mark(self, box: Box) -> None:
        """A tile's own file tells that it is stored."""

    def done(self) -> set[str]:
        """Keys of the tiles that are stored."""
        return {path.stem for path in self.folder.glob("f*.tile")}

    def assemble(self) -> list[Move]:
        """One file of the tiles."""
        result = self.folder / f"result{SUFFIX}"
        write_detail(result, self._tiles(), self.layout, self.adapter, self.facts, self.kept)
        return [self.move(result)]

    def _tiles(self) -> Iterator[tuple[int, int, bytes]]:
        for box in self.layout.tiles():
            whole = self._place(box).read_bytes()
            yield *_CHECKS.unpack_from(whole), whole[_CHECKS.size :]

    def _place(self, box: Box) -> Any:
        return self.folder / f"{box.key}.tile"


def create_sink(
    scene: Scene, path: str | os.PathLike[str], overwrite: bool, factor: int, adapter: str, kept: bytes
) -> DetailSink:
    """Check everything that can be checked before the work begins, and make the scratch folder.

    Raises:
        OutputError: the path exists, is the source itself, or cannot be written; or has another suffix.
    """
    text = os.fspath(path)
    if not text.lower().endswith(SUFFIX):
        raise OutputError(f"the name {text} for a detail file", f"one in {SUFFIX}", "rename it")
    target = file_target(scene, text, overwrite)
    side = tile_side(scene.shape[1], factor)
    nodata = tuple(band.nodata for band in scene.bands)
    layout = Layout(scene.shape, scene.dtype, factor, side, nodata, tuple(scene.source.masking))
    facts = facts_of(scene)
    check_held(described(layout, adapter, facts), kept)
    scratch = Scratch.open(target, scene, {"format": "detail", "factor": str(factor), "kept": str(zlib.crc32(kept))})
    return DetailSink(target, scratch, overwrite, layout, scene.bands, facts, adapter, kept)
