"""``verify`` is silent on right results of every kind, and tells of what got lost."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from conftest import texture
from rasterio.crs import CRS

import geomedsr
from geomedsr import Model
from geomedsr.geometry import Factors
from geomedsr.geometry.crs import vertical_unit
from geomedsr.io import adapter_for
from geomedsr.operators.block_error import block_error

Raster = Callable[..., Path]
FIELD = "same field of view: outer corners within 0.01 source pixel"
SPHERE = 'SPHEROID["Custom spheroid",6371007.181,0]'
COAST = 'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]'
GRS80 = 'SPHEROID["GRS_1980",6378137.0,298.257222101]'

#: Coordinate systems that GeoTIFF holds under other words than these.
REWORDED = {
    "sinusoidal": f'PROJCS["unnamed",GEOGCS["Unknown",DATUM["Not specified (custom spheroid)",{SPHERE}],{COAST}],'
    'PROJECTION["Sinusoidal"],PARAMETER["longitude_of_center",0],PARAMETER["false_easting",0],'
    'PARAMETER["false_northing",0],UNIT["Meter",1]]',
    "Albers": f'PROJCS["NAD_1983_Albers",GEOGCS["NAD83",DATUM["D_North_American_1983",{GRS80}],{COAST}],'
    'PROJECTION["Albers"],PARAMETER["standard_parallel_1",29.5],PARAMETER["standard_parallel_2",45.5],'
    'PARAMETER["latitude_of_origin",23],PARAMETER["central_meridian",-96],PARAMETER["false_easting",0],'
    'PARAMETER["false_northing",0],UNIT["Meter",1]]',
    "Esri, degrees": f'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],{COAST}]',
    "Esri, feet": f'PROJCS["NAD_1983_California_VI",GEOGCS["GCS_NA",DATUM["D_North_American_1983",{GRS80}],{COAST}],'
    'PROJECTION["Lambert_Conformal_Conic"],PARAMETER["False_Easting",6561666.666666666],'
    'PARAMETER["False_Northing",1640416.666666667],PARAMETER["Central_Meridian",-116.25],'
    'PARAMETER["Standard_Parallel_1",32.78333333333333],PARAMETER["Standard_Parallel_2",33.88333333333333],'
    'PARAMETER["Latitude_Of_Origin",32.16666666666666],UNIT["Foot_US",0.3048006096012192]]',
    "custom laea": "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +R=6370997",
    "Paris": "+proj=longlat +pm=paris +datum=WGS84",
    "heights": "EPSG:32618+5773",
}


def broken(source: Path, result: Path) -> list[tuple[str, str]]:
    return [(check.promise, check.detail) for check in geomedsr.verify(source, result) if check.kept is False]


def through(path: Path, model: Model) -> Path:
    out = path.with_name("out.tif")
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), model), out)
    return out


@pytest.mark.parametrize("name", REWORDED)
def test_a_crs_in_other_words_is_no_fault(tiny_x2: Model, raster: Raster, name: str) -> None:
    path = raster(texture(1, 12, 12), name="a.tif", crs=None)
    vrt = path.with_name("in.vrt")
    rasterio.shutil.copy(path, vrt, driver="VRT")
    crs = CRS.from_user_input(REWORDED[name]).to_wkt()
    vrt.write_text(vrt.read_text().replace("<VRTRasterBand", f"<SRS>{crs}</SRS><VRTRasterBand", 1))
    out = through(vrt, tiny_x2)
    assert broken(vrt, out) == []
    assert not out.with_name("out.tif.aux.xml").exists()
    other = out.with_name("other.tif")
    with rasterio.open(out) as result:
        profile, values = {**result.profile, "crs": CRS.from_epsg(32633)}, result.read()
    with rasterio.open(other, "w", **profile) as dataset:
        dataset.write(values)
    (told,) = [detail for promise, detail in broken(vrt, other) if promise == FIELD]
    assert "CRS" in told


def test_places_that_got_lost_are_told(tiny_x2: Model, raster: Raster) -> None:
    path = raster(texture(1, 12, 12))
    with rasterio.open(through(path, tiny_x2)) as result:
        profile, values, tags = result.profile, result.read(), result.tags()
    for number, (change, word) in enumerate([({"crs": None}, "CRS"), ({"crs": None, "transform": None}, "affine")]):
        out = path.with_name(f"{number}.tif")
        with rasterio.open(out, "w", **{**profile, **change}) as dataset:
            dataset.write(values)
            dataset.update_tags(**{k: v for k, v in tags.items() if k.startswith("GEOMEDSR")})
        (told,) = [detail for promise, detail in broken(path, out) if promise == FIELD]
        assert word in told


def test_empty_tags_and_blanks_around_them_are_no_fault(tiny_x2: Model, raster: Raster) -> None:
    path = raster(texture(1, 12, 12))
    items = '<MDI key="NITF_ISORCE"></MDI><MDI key="DTED_NOTE">  </MDI><MDI key="EXIF_Make">Canon  </MDI>'
    path.with_name("in.tif.aux.xml").write_text(f"<PAMDataset><Metadata>{items}</Metadata></PAMDataset>")
    assert broken(path, through(path, tiny_x2)) == []


def test_nodata_is_compared_as_a_pixel_has_it(tiny_x2: Model, raster: Raster) -> None:
    array = texture(1, 12, 12, "float32")
    array[0, 3:6, 3:6] = -88.8888
    path = raster(array, nodata=-88.8888)
    out = through(path, tiny_x2)
    assert broken(path, out) == []
    with rasterio.open(out) as result:
        assert (result.read_masks(1) == 0).sum() == 9 * 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_floats_are_exact(tiny: Model, raster: Raster, dtype: str) -> None:
    rng = np.random.default_rng(3)
    array = (rng.normal(size=(1, 40, 40)) * 10.0 ** rng.integers(-6, 6, (1, 40, 40))).astype(dtype)
    assert broken(raster(array), through(raster(array), tiny)) == []
    array = array[None]
    for factors in (Factors(1, 4, 4), Factors(2, 1, 1), Factors(3, 2, 2)):
        blocks = array.repeat(factors.frame, 0).repeat(factors.y, 2).repeat(factors.x, 3)
        assert block_error(array, blocks, factors).max() == 0
        off = blocks.copy()
        off[-1, 0, 0, 0] += 64 * np.spacing(np.abs(off[0, 0, :4, :4]).max())
        assert block_error(array, off, factors)[0, 0, 0, 0] > 0
        assert (block_error(array, off, factors) > 0).sum() == 1
    huge = np.full((1, 1, 2, 2), np.finfo(dtype).max, dtype)
    assert block_error(huge, huge.repeat(2, 2).repeat(2, 3), Factors(1, 2, 2)).max() == 0
    assert block_error(huge, -huge.repeat(2, 2).repeat(2, 3), Factors(1, 2, 2)).min() > 1e38


def test_a_unit_that_a_vertical_crs_implies_is_no_fault(tiny_x2: Model, raster: Raster) -> None:
    compound = CRS.from_user_input("EPSG:32618+5773")
    assert vertical_unit(compound.to_wkt()) == "metre"
    assert vertical_unit(compound.to_wkt(version="WKT2_2019")) == "metre"
    assert vertical_unit(CRS.from_epsg(32618).to_wkt()) is None
    path = raster(texture(1, 12, 12), name="a.tif", crs=None)
    vrt = path.with_name("in.vrt")
    rasterio.shutil.copy(path, vrt, driver="VRT")
    vrt.write_text(vrt.read_text().replace("<VRTRasterBand", f"<SRS>{compound.to_wkt()}</SRS><VRTRasterBand", 1))
    assert geomedsr.open(vrt).bands[0].units is None
    assert broken(vrt, through(vrt, tiny_x2)) == []


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_no_affine_is_none_whatever_the_memory_held(tiny_x2: Model, tmp_path: Path) -> None:
    path = tmp_path / "in.pgm"
    path.write_bytes(b"P5\n9 8\n65535\n" + texture(1, 8, 9, ">u2").tobytes())
    assert geomedsr.open(path).grid.affine is None
    assert broken(path, through(path, tiny_x2)) == []


def test_formats_say_how_their_tags_compare(raster: Raster) -> None:
    """TIFF has resolutions as ratios: 1/3 comes back as another text."""
    tiff = adapter_for(str(raster(texture(1, 3, 3))))
    assert tiff.same_tag("TIFFTAG_XRESOLUTION", "0.333333333333", "0.33333334")
    assert not tiff.same_tag("TIFFTAG_XRESOLUTION", "0.3333", "0.3334")
    assert not tiff.same_tag("SPACING", "0.333333333333", "0.33333334")
    assert tiff.same_tag("EMPTY", " ", "")
