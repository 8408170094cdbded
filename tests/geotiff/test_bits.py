"""Samples of fewer bits than their type has: results stay within them, and have as many."""

from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio
from conftest import block_sums, texture

import geomedsr
from geomedsr.cli import main

Raster = Callable[..., Path]


@pytest.mark.parametrize(("bits", "dtype"), [(12, "uint16"), (4, "uint8"), (15, "uint16"), (20, "uint32")])
@pytest.mark.parametrize("format", ["cog", "gtiff"])
def test_bits_are_kept(bits: int, dtype: str, format: str, raster: Raster, tiny_path: Path, tmp_path: Path) -> None:
    most = 2**bits - 1
    array = texture(2, 160, 200, dtype, low=0, high=most + 0.99)
    array[:, 5:9, 5:30] = most
    array[:, 9:12, 5:30] = 0
    path, out = raster(array, nbits=bits), tmp_path / "sr.tif"
    assert main(["upscale", str(path), str(out), "--model", str(tiny_path), "--format", format, "--quiet"]) == 0
    with rasterio.open(out) as result:
        values = result.read()
        assert result.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == str(bits)
        assert values.max() <= most
        assert (block_sums(values, 4) == array.astype(object) * 16).all()
    assert [c.promise for c in geomedsr.verify(path, out) if c.kept is False] == []


def test_whole_types_have_no_limits(raster: Raster) -> None:
    assert geomedsr.open(raster(texture(1, 20, 20))).bands[0].limits is None
