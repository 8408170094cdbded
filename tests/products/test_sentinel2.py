"""Sentinel-2 products: every way to name one, what its metadata say, and its parts."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio

import geomedsr
from geomedsr.errors import InputError
from products.safe import EPSG, LEFT, NUMBERS, OWN, TOP, Safe, zipped

TEN, TWENTY = ["B02", "B03", "B04", "B08"], ["B05", "B06", "B07", "B8A", "B11", "B12"]


def names(scene: geomedsr.Scene) -> list[str]:
    return [band.name for band in scene.bands]


@pytest.mark.parametrize("level", ["1C", "2A"])
@pytest.mark.parametrize("baseline", ["02.14", "04.00", "05.11"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_level_and_baseline_opens_with_all_its_bands(
    level: str, baseline: str, packed: bool, tmp_path: Path
) -> None:
    safe = Safe(level=level, baseline=baseline)
    path = safe.write(tmp_path)
    scene = geomedsr.open(zipped(path) if packed else path)
    assert scene.resolutions == (10.0, 20.0, 60.0)
    assert names(scene) == TEN
    assert names(scene.at(20)) == (TWENTY if level == "1C" else [*TWENTY, "SCL"])
    assert names(scene.at(60)) == (["B01", "B09", "B10"] if level == "1C" else ["B01", "B09"])
    offset = 0.0 if baseline == "02.14" else -0.1
    for size in scene.resolutions:
        part = scene.at(size)
        assert part.grid.affine is not None
        assert part.grid.affine[:6] == (size, 0, LEFT, 0, -size, TOP)
        assert f"{EPSG}" in (part.grid.crs or "")
        for i, band in enumerate(part.bands):
            if band.name == "SCL":
                assert (band.kind, band.nodata, band.units) == ("nearest", 0, None)
                assert (part.data[0, i] == 4).all()
                continue
            assert (band.scale, band.offset, band.units, band.nodata) == (1e-4, offset, "reflectance", 0)
            assert (part.data[0, i].values == safe.numbers(band.name, OWN[band.name])).all()  # stored numbers unchanged


def test_bands_carry_common_names_and_wavelengths(surface: Path) -> None:
    scene = geomedsr.open(surface)
    assert [band.role for band in scene.bands] == ["blue", "green", "red", "nir"]
    assert [band.role for band in scene.at(20).bands][:4] == ["rededge071", "rededge075", "rededge078", "nir08"]
    red = scene.bands[2]
    assert red.tags["IMAGERY"] == {"CENTRAL_WAVELENGTH_UM": "0.6645", "FWHM_UM": "0.031"}  # as its metadata have it
    assert red.tags[""]["SATURATED_VALUE"] == "65535"
    classes = scene.at(20).bands[-1].tags[""]
    assert classes["flag_values"].split(",")[3] == "3"
    assert classes["flag_meanings"].split()[3] == "cloud_shadow"


def test_the_product_is_told_by_tags(surface: Path) -> None:
    assert geomedsr.open(surface).tags[""] == {
        "PRODUCT_ID": surface.stem,
        "ACQUISITION_TIME": "2024-07-04T10:16:02.123456Z",
        "PLATFORM": "Sentinel-2A",
        "INSTRUMENT": "MSI",
        "PROCESSING_LEVEL": "2A",
        "PROCESSING_BASELINE": "05.11",
        "TILE_ID": "32TQM",
        "RELATIVE_ORBIT": "22",
        "SUN_AZIMUTH": "143.25",
        "SUN_ELEVATION": "64.5",
        "CLOUD_COVER": "3.25",
    }


def test_all_names_of_a_product_are_one(surface: Path) -> None:
    metadata, pack = surface / "MTD_MSIL2A.xml", zipped(surface)
    granule = next((surface / "GRANULE").iterdir())
    inside = f"/vsizip/{pack}/{surface.name}"
    whole = geomedsr.open(surface)
    for path in (metadata, f"{surface}/", surface / "manifest.safe", granule / "MTD_TL.xml", granule, surface.parent):
        assert (geomedsr.open(path).data.values == whole.data.values).all(), path
    for path in (f"{inside}/MTD_MSIL2A.xml", f"{inside}/GRANULE/{granule.name}/MTD_TL.xml"):
        assert (geomedsr.open(path).at(20).data.values == whole.at(20).data.values).all(), path


def test_gdals_own_subdatasets_are_parts(surface: Path, top: Path) -> None:
    for product, level in ((surface, "2A"), (top, "1C")):
        with rasterio.open(product / f"MTD_MSIL{level}.xml") as file:
            told = file.subdatasets
        sizes = [part.rsplit(":", 2)[1] for part in told]
        assert sizes == ["10m", "20m", "60m", "TCI"]
        for subdataset, size in zip(told[:3], (10, 20, 60), strict=True):
            part = geomedsr.open(subdataset)
            assert part.resolutions == (10.0, 20.0, 60.0)
            assert (part.data.values == geomedsr.open(product).at(size).data.values).all()
            with rasterio.open(subdataset) as file:
                by_gdal = {file.tags(i)["BANDNAME"]: file.read(i) for i in file.indexes if "BANDNAME" in file.tags(i)}
            for i, band in enumerate(part.bands):
                if band.name != "SCL":
                    assert (part.data[0, i].values == by_gdal[band.name.replace("B0", "B")]).all(), band.name


def test_a_resolution_is_chosen_by_itself_or_by_its_bands(surface: Path) -> None:
    assert names(geomedsr.open(surface, resolution=60)) == ["B01", "B09"]
    chosen = geomedsr.open(surface, bands=["b11", "red=B05"])
    assert names(chosen) == ["B11", "B05"]
    assert chosen.bands[1].role == "red"
    assert chosen.shape == (1, 2, 60, 60)
    with pytest.raises(InputError, match="bands of several resolutions: B02 at 10, B05 at 20"):
        geomedsr.open(surface, bands=["B02", "B05"])
    with pytest.raises(InputError, match=r"band 'B10', expected one of those at 10: B02.*at 20: B05"):
        geomedsr.open(surface, bands=["B10"])
    with pytest.raises(InputError, match="a resolution of 30, expected one that the scene has: 10 or 20 or 60"):
        geomedsr.open(surface, resolution=30)
    with pytest.raises(InputError, match="band 'B05', expected one of those at 10: B02"):
        geomedsr.open(surface, bands=["B05"], resolution=10)


def test_masks_and_footprints_come_when_they_are_named(surface: Path, top: Path) -> None:
    part = geomedsr.open(surface, bands=["B05", "MSK_DETFOO_B05", "MSK_QUALIT_B05_SATURATED_L1A", "AOT", "MSK_CLDPRB"])
    assert [band.kind for band in part.bands] == ["continuous", "nearest", "nearest", "continuous", "continuous"]
    stored = part.data[0].values
    assert stored[1, :, 0].tolist() == [3] * 60
    assert stored[1, :, 59].tolist() == [4] * 60
    assert stored[2].sum() == stored[2, 0, 0] == 1
    assert set(np.unique(stored[3])) == {120}
    assert part.bands[3].scale == 1e-3
    assert set(np.unique(stored[4])) == {7}
    clouds = geomedsr.open(top, bands=["MSK_CLASSI_OPAQUE_CLOUDS", "MSK_CLASSI_CIRRUS_CLOUDS"])
    assert clouds.dtype == np.uint8
    assert np.argwhere(clouds.data[0].values).tolist() == [[0, 2, 3], [1, 5, 5]]


def test_a_crop_is_one_of_the_same_ground_at_every_resolution(surface: Path) -> None:
    scene = geomedsr.open(surface)
    part = scene.crop(geomedsr.Window(12, 24, 60, 36))
    coarse = part.at(20)
    assert coarse.shape[2:] == (18, 30)
    assert coarse.grid.bounds == part.grid.bounds
    assert (coarse.data.values == scene.at(20).data.values[..., 12:30, 6:36]).all()
    assert part.at(60).shape[2:] == (6, 10)
    assert part.at(10).at(60).at(10).shape == part.shape


def test_parts_go_to_other_processes(surface: Path) -> None:
    scene = pickle.loads(pickle.dumps(geomedsr.open(surface).crop(geomedsr.Window(0, 0, 60, 60))))
    assert scene.at(20).shape[2:] == (30, 30)


def test_a_scene_of_one_part_is_its_own(tmp_path: Path) -> None:
    scene = geomedsr.Scene.from_array(np.ones((4, 4), np.uint8))
    assert scene.resolutions == ()
    with pytest.raises(InputError, match="none, for the scene lies on no map"):
        scene.at(10)


def test_offsets_and_divisor_are_those_of_the_metadata_band_by_band(tmp_path: Path) -> None:
    offsets = {i: -100.0 * i for i in range(13)}
    scene = geomedsr.open(Safe(offsets=offsets, quantification="5000").write(tmp_path))
    for size in scene.resolutions:
        for band in scene.at(size).bands:
            if band.name != "SCL":
                assert band.scale == 1 / 5000
                assert band.offset == -100 * NUMBERS.index(band.name) / 5000


def test_ndvi_of_two_baselines_is_equal(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    red, nir = (random.integers(200, 6000, (120, 120)) for _ in range(2))
    found = []
    for baseline, more in (("03.01", 0), ("05.11", 1000)):
        product = Safe(baseline=baseline, bands={"B04": red + more, "B08": nir + more})
        scene = geomedsr.open(product.write(tmp_path), bands=["B04", "B08"])
        r, n = scene.physical()[0].values
        found.append((n - r) / (n + r))
    assert np.abs(found[0] - found[1]).max() < 1e-6
