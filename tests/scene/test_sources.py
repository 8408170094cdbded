"""Sources: what one of another package must have, and what says which pixels are no data."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import pytest
from conftest import texture

import geomedsr
from geomedsr import Band, Grid, Model, Scene, Window
from geomedsr.geometry import Box
from geomedsr.inference.memory import reader_cache
from geomedsr.scene.areas import AreaSource
from geomedsr.scene.lazy import root, standing, touched
from geomedsr.scene.masking import Masking, alike
from geomedsr.scene.sources import ArraySource, CroppedSource, Source


@dataclass(frozen=True)
class Plain(Source):
    """As another package may write one: what is required, and nothing else."""

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    block: tuple[int, int] = (16, 16)

    def read(self, box: Box) -> np.ndarray:
        rows, cols = np.mgrid[box.index[2:]]
        plane = (rows * 7 + cols).astype(self.dtype)
        return np.broadcast_to(plane, (box.shape[0], self.shape[1], *plane.shape))

    def valid(self, box: Box) -> np.ndarray:
        return np.isfinite(self.read(box))

    def select(self, bands: Sequence[int]) -> Plain:
        return Plain((self.shape[0], len(bands), *self.shape[2:]), self.dtype)


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_what_is_required_is_enough(kind: str, tiny: Model, tmp_path: Any) -> None:
    source = Plain((1, 2, 30, 40), np.dtype(kind))
    scene = Scene(source, Grid((30, 40)), (Band("a"), Band("b")))
    whole = geomedsr.upscale(scene, tiny)
    values = whole.data.values
    blocks = values.reshape(1, 2, 30, 4, 40, 4).astype(np.float64).mean((3, 5))
    assert np.allclose(blocks, scene.data.values, atol=1e-4)
    part = whole.crop(Window(20, 40, 60, 50))
    assert np.array_equal(part.data.values, values[..., 40:90, 20:80])
    geomedsr.write(part, tmp_path / "out.tif")
    assert np.array_equal(geomedsr.open(tmp_path / "out.tif").data.values, part.data.values)
    scene.plot("a")
    declared = scene.with_nodata(14)  # at (0, 14), (1, 7), (2, 0)
    assert np.argwhere(~declared.valid.values[0, 1]).tolist() == [[0, 14], [1, 7], [2, 0]]
    assert pickle.loads(pickle.dumps(source)) == source


def test_what_a_source_need_not_have() -> None:
    source = Plain((1, 1, 9, 9), np.dtype("float32"))
    box = Box((0, 1, 2), (1, 5, 6))
    assert (source.inner, source.overview(1), source.veil(), source.opaque()) == (None,) * 4
    assert (root(source), touched(source, box), reader_cache([source], 4)) == (None, box, 0)
    other = Plain((1, 1, 9, 9), np.dtype("uint8"))
    assert standing(CroppedSource(source, Window(1, 2, 3, 3)), other) == CroppedSource(other, Window(1, 2, 3, 3))
    assert source.masking == (Masking.NAN,)
    assert other.masking == (Masking.NONE,)


def test_a_source_that_lacks_something_cannot_be_made() -> None:
    class Half(Source):
        shape, dtype, block = (1, 1, 2, 2), np.dtype("uint8"), (2, 2)

        def read(self, box: Box) -> np.ndarray:
            return np.zeros((1, 1, *box.shape[1:]), np.uint8)

    with pytest.raises(TypeError, match=r"select.*valid"):
        Half()  # type: ignore[abstract]


def test_what_masks_each_band() -> None:
    array, mask = texture(2, 8, 8), np.ones((8, 8), bool)
    mask[:2] = False
    own = np.stack([mask, ~mask])
    assert Scene.from_array(array).source.masking == (Masking.NONE,) * 2
    assert Scene.from_array(array, valid=mask).source.masking == (Masking.MASK,) * 2
    assert Scene.from_array(array, valid=own).source.masking == (Masking.OWN,) * 2
    assert Scene.from_array(da.from_array(array), valid=own).source.masking == (Masking.OWN,) * 2
    bands = (Band("1", nodata=0), Band("2"))
    scene = Scene.from_array(array.astype("float32"), valid=mask, bands=bands)
    both = Masking.NAN | Masking.MASK
    assert scene.source.masking == (both | Masking.VALUE, both)
    assert scene.select([2]).source.masking == (both,)
    assert scene.crop(Window(0, 0, 4, 4)).source.masking == scene.source.masking
    assert (scene.masked, Scene.from_array(array, bands=bands).masked) == (True, False)
    area = AreaSource(ArraySource(array[None], nodata=(0, None)), "[[[0,0,4,0,4,4]]]", (0, 0))
    assert area.masking == (Masking.VALUE, Masking.MASK)


def test_whether_one_mask_serves_all_bands() -> None:
    mask, own, alpha, value = Masking.MASK, Masking.OWN, Masking.ALPHA, Masking.VALUE
    assert alike([mask | value, mask])
    assert alike([Masking.NONE, value])
    assert alike([own])
    assert not alike([own, own])
    assert not alike([alpha, alpha, Masking.NONE])
    assert not alike([mask, Masking.NONE])
