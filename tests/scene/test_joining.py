"""Bands of several sources as one."""

import numpy as np
import pytest
from conftest import texture

from geomedsr.geometry import Box
from geomedsr.scene.joining import JoinedSource
from geomedsr.scene.masking import Masking
from geomedsr.scene.sources import ArraySource


class Counted(ArraySource):
    """Counts how often it is read."""

    reads = 0

    def read(self, box: Box) -> np.ndarray:
        Counted.reads += 1
        return super().read(box)


def test_bands_come_in_order_and_each_part_is_read_once() -> None:
    one, other = texture(3, 20, 30)[None], texture(2, 20, 30, seed=5)[None]
    mask = np.ones(other.shape, bool)
    mask[..., 3:5, 4:6] = False
    source = JoinedSource.of([Counted(one), ArraySource(other, mask)])
    box = Box((0, 2, 3), (1, 11, 19))
    np.testing.assert_array_equal(source.read(box), np.concatenate([one, other], 1)[box.index])
    assert Counted.reads == 1
    assert source.valid(box).sum() == 5 * 9 * 16 - 8
    picked = source.select([4, 0])
    np.testing.assert_array_equal(picked.read(box), np.stack([other[:, 1], one[:, 0]], 1)[box.index])
    assert source.select([3]).parts == (source.parts[1],)
    assert source.masking == (Masking.NONE,) * 3 + (Masking.OWN,) * 2


@pytest.mark.parametrize("nodata", [(), (0, 0)])
def test_masks_of_one_part_are_not_those_of_all(nodata: tuple[int, ...]) -> None:
    mask = np.broadcast_to(np.arange(30) > 4, (1, 2, 20, 30))
    masked = ArraySource(texture(2, 20, 30)[None], mask, nodata)
    assert Masking.MASK in masked.masking[0]
    joined = JoinedSource.of([masked, ArraySource(texture(1, 20, 30)[None])])
    assert all(Masking.MASK not in way for way in joined.masking)
    assert Masking.OWN in joined.masking[0]
