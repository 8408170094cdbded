"""A fourth band that GDAL marks as alpha may be near infrared: that is told, and the user's word goes before it."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import block_sums, texture
from rasterio.enums import ColorInterp

import geomedsr
from geomedsr import Model
from geomedsr.errors import SceneWarning

Raster = Callable[..., Path]


def naip(raster: Raster, **profile: object) -> tuple[Path, np.ndarray]:
    """Four bands as rasterio writes them by default: the last marked as alpha, water black in it."""
    array = texture(4, 40, 44, "uint8", low=20, high=220)
    array[3, 30:, :9] = 0
    path = raster(array, **profile)
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[3] == ColorInterp.alpha
    return path, array


def told(path: Path, model: Model, bands: list[str] | None = None) -> tuple[geomedsr.Scene, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SceneWarning)
        scene = geomedsr.open(path)
        sr = geomedsr.upscale(scene if bands is None else scene.select(bands), model)
    return sr, [str(w.message) for w in caught if w.category is SceneWarning]


def test_near_infrared_marked_as_alpha_is_told(tiny: Model, raster: Raster) -> None:
    path, _ = naip(raster)
    sr, lines = told(path, tiny)
    assert [b.kind for b in sr.bands] == ["continuous"] * 3 + ["nearest"]
    assert len(lines) == 1
    assert "band 4, marked as alpha" in lines[0]
    assert "--bands 1,2,3,nir=4" in lines[0]


def test_the_way_out_serves_for_what_was_asked(tiny: Model, raster: Raster) -> None:
    path, _ = naip(raster)
    for asked, way in ((["4"], "--bands nir=4"), (["2", "4"], "--bands 2,nir=4")):
        with pytest.warns(SceneWarning, match=f"say what: {way}$"):
            geomedsr.upscale(geomedsr.open(path).select(asked), tiny)


@pytest.mark.parametrize("word", ["nir=4", "=4"])
def test_what_the_user_says_of_a_band_goes_before_alpha(tiny: Model, raster: Raster, word: str) -> None:
    path, array = naip(raster)
    sr, lines = told(path, tiny, ["1", "2", "3", word])
    assert lines == []
    assert (sr.bands[3].kind, sr.bands[3].interpretation, sr.bands[3].role) == (
        "continuous",
        "undefined",
        word.split("=")[0] or None,
    )
    assert not sr.masked
    out = path.with_name("out.tif")
    geomedsr.write(sr, out)
    with rasterio.open(out) as result:
        values = result.read()
        assert result.colorinterp[3] != ColorInterp.alpha
        assert result.dataset_mask().all()
    assert (block_sums(values, 4) == array.astype(object) * 16).all()
    assert (values[3] != array[3].repeat(4, 0).repeat(4, 1)).any()
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []
    again = geomedsr.open(out)
    assert again.bands[3].role == (word.split("=")[0] or None)
    assert told(out, tiny)[1] == []


def test_some_of_the_bands_with_near_infrared_are_not_masked_by_it(tiny: Model, raster: Raster) -> None:
    path, array = naip(raster)
    sr, lines = told(path, tiny, ["nir=4", "1"])
    assert lines == []
    assert sr.valid.values.all()
    out = path.with_name("out.tif")
    geomedsr.write(sr.crop(geomedsr.Window(0, 96, 64, 64)), out)
    with rasterio.open(out) as result:
        sums = block_sums(result.read(), 4)
    assert (sums == array[[3, 0], 24:40, :16].astype(object) * 16).all()
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []


def test_a_mask_is_kept_where_alpha_is_none(tiny: Model, raster: Raster) -> None:
    path, _ = naip(raster, nodata=None)
    mask = np.ones((40, 44), bool)
    mask[:5] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    scene = geomedsr.open(path).select(["1", "2", "3", "nir=4"])
    assert scene.masked == (not scene.valid.values.all())


def test_true_alpha_is_no_matter_for_a_word(tiny: Model, raster: Raster) -> None:
    for number, (soft, hidden) in enumerate([(0, False), (4, False), (0, True)]):
        array = texture(4, 60, 60, "uint8", low=20, high=220)
        array[3] = 255
        array[3, :10] = 0
        array[3, 10 : 10 + soft] = np.linspace(1, 254, 60, dtype=np.uint8)
        if not hidden:
            array[:3, :10] = 0
        path = raster(array, name=f"{number}.tif")
        _, lines = told(path, tiny)
        assert len(lines) == hidden
        assert not hidden or "makes 0.17 of the pixels transparent that hold data" in lines[0]
