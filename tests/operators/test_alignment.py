"""Operators that agree block by block, whatever the tiles are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import saved_toy, scene, toy

import geomedsr
from geomedsr import Scene, Window
from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.inference import process
from geomedsr.inference.passes import boxes_of
from geomedsr.operators import OPERATORS, Observation, Operator
from geomedsr.operators.conserve import unconserved
from geomedsr.operators.sub_pixel import merged
from geomedsr.scene.sources import Array, cropping

SIDE = 8


class Blocks(Operator):
    """Each 8 × 8 block, counted from the file's first pixel, is drawn toward the input until its mean is the input's,
    by one number for the block: so a pixel depends on all of its block.
    """

    name, keeps, reduction, held = "toy-blocks", "means of 8 × 8 blocks", "block-mean", 64
    alignment = SIDE, SIDE

    def __init__(self, origin: tuple[int, int] = (0, 0)) -> None:
        self.origin = origin

    def bind(self, scenes: Mapping[str, Scene]) -> Operator:
        window = cropping(scenes["image"].source)
        return self if window is None else Blocks((window.row % SIDE, window.col % SIDE))

    def forward(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        return fine

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        return fine

    def agree(self, seen: Observation, planes: Array, out: Array) -> None:
        made = merged(planes, seen.factors) * seen.span + seen.low
        for block in seen.box.aligned(self.alignment, self.origin).tiles((1, SIDE, SIDE)):
            there = (block & seen.box).within(seen.box).index
            want = seen.stored[there].mean((-2, -1), keepdims=True, dtype=np.float64)
            made[there] += want - made[there].mean((-2, -1), keepdims=True, dtype=np.float64)
        out[...] = unconserved(made, np.zeros(()), np.ones(()), out.dtype, seen.nodata, seen.limits)

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        return Check("block means", None)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPERATORS, "_things", {**OPERATORS._things})
    OPERATORS.register("toy-blocks", Blocks())


def test_boxes_grow_to_whole_blocks() -> None:
    box = Box((2, 9, 16), (3, 17, 20))
    assert box.aligned((8, 8)) == Box((2, 8, 16), (3, 24, 24))
    assert box.aligned((8, 4), (3, 2)) == Box((2, 5, 14), (3, 21, 22))
    assert Blocks().support(box, (5, 1, 20, 22)) == Box((2, 8, 16), (3, 20, 22))
    for block in Box((0, -3, -2), (1, 5, 6)).aligned((8, 8), (3, 2)).tiles((1, 8, 8)):
        assert block == Box((0, -3, -2), (1, 5, 6))


def test_tiles_are_of_whole_blocks() -> None:
    made = process(toy(operator="toy-blocks"), image=scene(), tile=9)["image"]
    assert made.source.block == (16, 16)
    assert all(start % SIDE == 0 for box in boxes_of(made.source) for start in box.start[1:])


@pytest.mark.parametrize("tile", [3, 9, 16, 20])
@pytest.mark.parametrize("window", [None, Window(5, 3, 25, 33)])
def test_tiles_equal_the_untiled_result(tile: int, window: Window | None) -> None:
    image = scene(45, 39) if window is None else scene(45, 39).crop(window)
    whole = process(toy(operator="toy-blocks"), image=image, tile=64, precision="float32")["image"].data.values
    tiled = process(toy(operator="toy-blocks"), image=image, tile=tile, precision="float32")["image"]
    parts = np.zeros_like(whole)
    for box in Box.whole(tiled.shape).tiles((1, tile, tile)):  # whatever the sink's regions are
        parts[box.index] = tiled.source.read(box)
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(tiled.data.values, whole)


def test_blocks_are_those_of_the_file() -> None:
    """In a window, too: those that it cuts are smaller."""
    image = scene(45, 39)
    part = process(toy(operator="toy-blocks"), image=image.crop(Window(5, 3, 30, 40)), precision="float32")["image"]
    made, before = part.data.values.astype(float), image.data.values[..., 3:43, 5:35].astype(float)
    for rows, columns in ((slice(5, 13), slice(3, 11)), (slice(0, 5), slice(11, 19))):
        apart = (made - before)[..., rows, columns].mean((-2, -1))
        assert np.abs(apart).max() < 0.5  # rounding alone
    assert np.abs((made - before)[..., 0:8, 0:8].mean((-2, -1))).max() > 1  # which is no block


def test_it_is_written_by_regions_of_any_size(tmp_path: Path) -> None:
    made = process(saved_toy(tmp_path, operator="toy-blocks"), image=scene(600, 530), tile=100, precision="float32")
    geomedsr.write(made["image"], tmp_path / "a.tif", workers=2)
    geomedsr.write(made["image"], tmp_path / "a.npy", workers=1)
    np.testing.assert_array_equal(geomedsr.open(tmp_path / "a.tif").data.values, np.load(tmp_path / "a.npy"))
