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
from geomedsr.errors import OutputError, SceneWarning

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


def rgba_with_mask(raster: Raster, differ: bool = True) -> tuple[Path, np.ndarray, np.ndarray]:
    """Four bands, the last alpha, and an internal mask, of which each hides pixels that the other shows."""
    array, mask = texture(4, 40, 44, "uint8", low=20, high=220), np.ones((40, 44), bool)
    array[3] = 255
    array[3, :8] = 0
    array[:3, :8] = 0
    if differ:
        mask[:, :6] = False
    path = raster(array, photometric="RGB", alpha="yes")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    return path, array, mask


@pytest.mark.parametrize("kind", ["cog", "gtiff"])
def test_a_mask_and_alpha_both_count_and_are_kept(tiny: Model, raster: Raster, kind: str) -> None:
    path, array, mask = rgba_with_mask(raster)
    scene = geomedsr.open(path)
    data = mask & (array[3] != 0)
    assert np.array_equal(scene.valid.values[0, :3], np.broadcast_to(data, (3, 40, 44)))
    assert np.array_equal(scene.valid.values[0, 3], mask)
    out = path.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(scene, tiny), out, format=kind)
    fine = data.repeat(4, 0).repeat(4, 1)
    with rasterio.open(out) as result:
        assert result.colorinterp[3] == ColorInterp.alpha
        assert np.array_equal(result.read(4), array[3].repeat(4, 0).repeat(4, 1))
        assert np.array_equal(result.read_masks(1) != 0, mask.repeat(4, 0).repeat(4, 1))
        sums = block_sums(result.read(), 4)
    assert (sums[:, data] == array[:, data].astype(object) * 16).all()
    assert np.array_equal(geomedsr.open(out).valid.values[0, 0], fine)
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []


def test_without_alpha_a_mask_says_what_both_said(tiny: Model, raster: Raster) -> None:
    path, array, mask = rgba_with_mask(raster)
    out = path.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(geomedsr.open(path).select([1, 2, 3]), tiny), out)
    data = mask & (array[3] != 0)
    with rasterio.open(out) as result:
        assert np.array_equal(result.dataset_mask() != 0, data.repeat(4, 0).repeat(4, 1))
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []


def test_a_mask_beside_alpha_is_refused_for_a_picture(tiny: Model, raster: Raster, tmp_path: Path) -> None:
    path, _, _ = rgba_with_mask(raster)
    with pytest.raises(OutputError, match="masked scene for PNG"):
        geomedsr.write(geomedsr.upscale(geomedsr.open(path), tiny), tmp_path / "out.png")
    assert [p.name for p in tmp_path.iterdir()] == ["in.tif"]


@pytest.mark.parametrize("nodata", [0, 255])
def test_alpha_beside_a_nodata_value_that_it_may_have(tiny: Model, raster: Raster, nodata: int) -> None:
    """GDAL would ask the nodata value alone: a collar under alpha would get into the pixels beside it."""
    array = texture(4, 40, 44, "uint8", low=20, high=220)
    array[:3, 10:14] = nodata
    array[3] = 255
    array[:3, :8], array[3, :8] = 7, 0
    path = raster(array, nodata=nodata, photometric="RGB", alpha="yes")
    scene = geomedsr.open(path)
    data = np.ones((40, 44), bool)
    data[:8] = data[10:14] = False
    assert np.array_equal(scene.valid.values[0, :3], np.broadcast_to(data, (3, 40, 44)))
    declared = geomedsr.open(path, nodata="none").valid.values[0, 0]
    assert np.array_equal(declared, array[3] != 0)
    out = path.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(scene, tiny), out)
    with rasterio.open(out) as result:
        assert result.nodata == nodata
        assert np.array_equal(result.read(4), array[3].repeat(4, 0).repeat(4, 1))
        assert (result.read([1, 2, 3])[:, ~data.repeat(4, 0).repeat(4, 1)] == nodata).all()
        sums = block_sums(result.read([1, 2, 3]), 4)
    assert (sums[:, data] == array[:3, data].astype(object) * 16).all()
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []
    clean = array.copy()
    clean[:3, :8] = nodata
    other = raster(clean, name="clean.tif", nodata=nodata, photometric="RGB", alpha="yes")
    geomedsr.write(geomedsr.upscale(geomedsr.open(other), tiny), path.with_name("clean_out.tif"))
    with rasterio.open(path.with_name("clean_out.tif")) as result, rasterio.open(out) as first:
        assert np.array_equal(result.read(), first.read())  # whatever lies under alpha
