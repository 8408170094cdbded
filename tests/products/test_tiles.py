"""Decoded tiles: every box equals the file, and each tile is decoded once, by however many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.geometry import Box
from geomedsr.scene.sources import Array, WrappingSource
from geomedsr_products import tiles
from geomedsr_products.tiles import TiledSource
from products.safe import jp2


@dataclass(frozen=True)
class Counting(WrappingSource):
    """A source that notes what is read of it."""

    boxes: list[Box] = field(default_factory=list, compare=False)

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        self.boxes.append(box)
        return self.whole.read(box)


@pytest.fixture
def whole(tmp_path: Path) -> geomedsr.Scene:
    """A file of several tiles, the last ones smaller."""
    array = np.random.default_rng(1).integers(0, 9, (1200, 1300)).astype(np.uint16)
    jp2(tmp_path / "a.jp2", array, 10, BLOCKXSIZE=512, BLOCKYSIZE=512)
    tiles._tiles.clear()
    tiles._edges.clear()
    return geomedsr.open(tmp_path / "a.jp2").with_nodata(0)


def test_each_tile_is_decoded_once_for_all_boxes_and_threads(whole: geomedsr.Scene) -> None:
    counted = Counting(whole.source)
    source = TiledSource(counted, (0,))
    boxes = list(Box.whole(whole.shape).tiles((1, 200, 300)))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(source.read, boxes))
        valid = list(pool.map(source.valid, boxes))
    for box, values, data in zip(boxes, found, valid, strict=True):
        assert (values == whole.source.read(box)).all()
        assert (data == whole.source.valid(box)).all()
        assert not data.all()
    height, width = whole.source.block
    assert len(counted.boxes) == -(-1200 // height) * -(-1300 // width) > 1


def test_no_more_is_kept_than_may_be(whole: geomedsr.Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    height, width = whole.source.block
    monkeypatch.setattr(tiles, "MOST", height * width * 2)
    source = TiledSource(whole.source, (0,))
    box = Box.whole(whole.shape)
    assert (source.read(box) == whole.source.read(box)).all()
    assert tiles._tiles.size <= max(tiles.MOST, height * width * 2)


def test_rows_that_halos_need_again_are_kept_when_their_tiles_are_not(
    whole: geomedsr.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes with halos, row by row, where two rows of tiles fit, and three do not."""
    counted = Counting(whole.source)
    source, (height, width) = TiledSource(counted, (0,)), whole.source.block
    across, down = -(-1300 // width), -(-1200 // height)
    monkeypatch.setattr(tiles, "MOST", 2 * height * 1300 * 2)
    for tile in Box.whole(whole.shape).tiles((1, height, width)):
        box = tile.grown((0, 30, 30)) & Box.whole(whole.shape)
        assert (source.read(box) == whole.source.read(box)).all()
    assert len(counted.boxes) == across * down
