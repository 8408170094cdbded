"""Where a raster lies is kept: inside the file where GeoTIFF has room for it, else beside it, and else it is told."""

import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from conftest import texture
from rasterio.crs import CRS
from rio_cogeo.cogeo import cog_validate

import geomedsr
from geomedsr import Model
from geomedsr.errors import OutputError, SceneWarning
from geomedsr.geometry.crs import same_crs

Raster = Callable[..., Path]
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # of rasterio.open here
FIELD = "same field of view: outer corners within 0.01 source pixel"
METRE, DEGREE = 'LENGTHUNIT["metre",1]', 'ANGLEUNIT["degree",0.0174532925199433]'
WGS84 = 'DATUM["World Geodetic System 1984",ELLIPSOID["WGS 84",6378137,298.257223563]]'
CF = "netCDF CF convention"
ROTATED = (
    f'GEOGCRS["rotated",BASEGEOGCRS["x",{WGS84}],DERIVINGCONVERSION["Pole rotation ({CF})",'
    f'METHOD["Pole rotation ({CF})"],PARAMETER["Grid north pole latitude ({CF})",39.25,{DEGREE}],'
    f'PARAMETER["Grid north pole longitude ({CF})",-162,{DEGREE}],'
    f'PARAMETER["North pole grid longitude ({CF})",0,{DEGREE}]],'
    f'CS[ellipsoidal,2],AXIS["longitude",east],AXIS["latitude",north],{DEGREE}]'
)
HEIGHTS = (
    f'PROJCRS["UTM 18N with heights",BASEGEOGCRS["WGS 84",{WGS84},ID["EPSG",4979]],CONVERSION["UTM zone 18N",'
    f'METHOD["Transverse Mercator",ID["EPSG",9807]],PARAMETER["Latitude of natural origin",0,{DEGREE}],'
    f'PARAMETER["Longitude of natural origin",-75,{DEGREE}],'
    f'PARAMETER["Scale factor at natural origin",0.9996,SCALEUNIT["unity",1]],'
    f'PARAMETER["False easting",500000,{METRE}],PARAMETER["False northing",0,{METRE}]],'
    f'CS[Cartesian,3],AXIS["(E)",east,{METRE}],AXIS["(N)",north,{METRE}],AXIS["height (h)",up,{METRE}]]'
)

#: Coordinate systems for which GeoTIFF has no keys.
HOMELESS = {
    "UTM with ellipsoidal height": HEIGHTS,
    "rotated pole": ROTATED,
    "vertical perspective": "+proj=nsper +lat_0=10 +lon_0=20 +h=3000000 +datum=WGS84",
    "oblique cylindrical": "+proj=ocea +lat_1=10 +lon_1=20 +lat_2=30 +lon_2=50 +datum=WGS84",
    "general oblique": "+proj=ob_tran +o_proj=moll +o_lat_p=45 +o_lon_p=30 +lon_0=0 +datum=WGS84",
    "heights alone": "EPSG:5773",
}


def kept(source: Path, result: Path) -> bool | None:
    (check,) = [check for check in geomedsr.verify(source, result) if check.promise == FIELD]
    return check.kept


def quietly(path: Path, out: Path, model: Model, **options: Any) -> list[str]:
    """Upscale; the warnings on the way."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", SceneWarning)
        geomedsr.write(geomedsr.upscale(geomedsr.open(path), model), out, **options)
    return [str(warning.message) for warning in told if warning.category is SceneWarning]


def vrt_of(path: Path, extra: str, name: str = "in.vrt") -> Path:
    """A VRT of a raster, with elements of its own."""
    vrt = path.with_name(name)
    rasterio.shutil.copy(path, vrt, driver="VRT")
    vrt.write_text(vrt.read_text().replace("<VRTRasterBand", f"{extra}<VRTRasterBand", 1))
    return vrt


@pytest.mark.parametrize("format", ["cog", "gtiff"])
@pytest.mark.parametrize("name", HOMELESS)
def test_a_crs_without_room_in_geotiff_goes_beside_the_file(
    tiny_x2: Model, raster: Raster, name: str, format: str
) -> None:
    crs = CRS.from_user_input(HOMELESS[name])
    point = "Area" if format == "cog" else "Point"
    said = f'<Metadata><MDI key="AREA_OR_POINT">{point}</MDI></Metadata>'
    path = vrt_of(raster(texture(1, 20, 24), crs=None), f"<SRS>{crs.to_wkt()}</SRS>{said}")
    assert same_crs(geomedsr.open(path).grid.crs, crs.to_wkt())
    out = path.with_name("out.tif")
    told = quietly(path, out, tiny_x2, format=format)
    assert len(told) == 1
    assert "GeoTIFF cannot hold its CRS" in told[0]
    assert "out.tif.aux.xml" in told[0]
    with rasterio.open(out) as result:
        assert same_crs(result.crs.to_wkt(), crs.to_wkt())
        assert result.transform == Affine(5, 0, 435730, 0, -5, 4179460)
    assert geomedsr.open(out).tags[""].get("AREA_OR_POINT", "Area") == point
    assert kept(path, out) is True
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []
    if format == "cog":
        assert cog_validate(out, strict=True)[0]
    out.with_name("out.tif.aux.xml").rename(out.with_name("away"))
    alone = out.rename(out.with_name("alone.tif"))  # GDAL remembers what it has seen beside a file
    assert kept(path, alone) is False


@pytest.mark.parametrize("name", ["out.tif", "plain.tif", "out.png"])
def test_pixels_that_are_points_stay_so_without_a_crs(tiny_x2: Model, raster: Raster, name: str) -> None:
    said = '<Metadata><MDI key="AREA_OR_POINT">Point</MDI></Metadata>'
    path = vrt_of(raster(texture(1, 20, 24, "uint8", low=0, high=200), crs=None), said)
    out = path.with_name(name)
    told = quietly(path, out, tiny_x2, **({"format": "gtiff"} if name == "plain.tif" else {}))
    beside = f"{name}.aux.xml"
    assert told == (
        []
        if name == "out.png"
        else [f"GeoTIFF cannot hold its AREA_OR_POINT (CRS none); {beside} does: keep that beside {name}"]
    )
    with rasterio.open(out) as result:
        assert result.crs is None
        assert result.transform == Affine(5, 0, 435730, 0, -5, 4179460)
        assert result.tags()["AREA_OR_POINT"] == "Point"
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []
    out.with_name(beside).unlink()
    alone = out.rename(out.with_name(f"alone{out.suffix}"))
    assert [check.detail for check in geomedsr.verify(path, alone) if "tags" in check.promise] == [":AREA_OR_POINT"]


def test_a_crs_with_room_puts_nothing_beside(tiny_x2: Model, raster: Raster) -> None:
    for number, text in enumerate(["EPSG:4326", "EPSG:32618+5773", "+proj=geos +h=35785831 +lon_0=-75 +sweep=x"]):
        path = raster(texture(1, 9, 9), name=f"{number}.tif", crs=CRS.from_user_input(text))
        out = path.with_name(f"out{number}.tif")
        assert quietly(path, out, tiny_x2) == []
        assert kept(path, out) is True
        assert not out.with_name(f"{out.name}.aux.xml").exists()


def test_a_crs_that_proj_does_not_know_is_refused_before_any_work(
    tiny_x2: Model, raster: Raster, tmp_path: Path
) -> None:
    from dataclasses import replace

    scene = geomedsr.open(raster(texture(1, 9, 9)))
    odd = replace(scene, grid=replace(scene.grid, crs='PROJCS["nonsense"]'))
    with pytest.raises(OutputError, match="georeferencing that cannot be written"):
        geomedsr.write(geomedsr.upscale(odd, tiny_x2), tmp_path / "out.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


@pytest.mark.parametrize("name", ["out.tif", "plain.tif", "out.png", "out.zarr"])
def test_the_coordinate_epoch_is_kept(tiny_x2: Model, raster: Raster, name: str) -> None:
    path = raster(texture(1, 9, 9, "uint8", low=0, high=200), crs=CRS.from_epsg(9057), transform=Affine.scale(0.1))
    crs = CRS.from_epsg(9057).to_wkt()
    path.with_name("in.tif.aux.xml").write_text(
        f'<PAMDataset><SRS coordinateEpoch="2021.3">{crs.replace("<", "&lt;")}</SRS></PAMDataset>'
    )
    path = path.rename(path.with_name("moving.tif"))
    path.with_name("in.tif.aux.xml").rename(path.with_name("moving.tif.aux.xml"))
    assert geomedsr.open(path).grid.epoch == 2021.3
    out = path.with_name(name)
    assert quietly(path, out, tiny_x2, **({"format": "gtiff"} if name == "plain.tif" else {})) == []
    assert geomedsr.open(out).grid.epoch == 2021.3
    assert out.with_name(f"{name}.aux.xml").exists() == (name == "out.png")
    assert kept(path, out) is True
    still = raster(texture(1, 18, 18, "uint8"), name="still.tif", crs=CRS.from_epsg(9057), transform=Affine.scale(0.05))
    assert kept(path, still) is False


GCPS = "".join(
    f'<GCP Id="{row}{col}" Pixel="{col}" Line="{row}" X="{-75 + col / 100}" Y="{38 - row / 100}" Z="4"/>'
    for row in (0, 20)
    for col in (0, 30)
)


@pytest.mark.parametrize("format", ["cog", "gtiff", "png"])
@pytest.mark.parametrize("point", ["Area", "Point"])
@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_control_points_stay_in_place(tiny_x2: Model, raster: Raster, crs: str | None, point: str, format: str) -> None:
    projection = f' Projection="{crs}"' if crs else ""
    path = vrt_of(
        raster(texture(1, 20, 30, "uint8", low=0, high=200), crs=None, transform=None),
        f'<Metadata><MDI key="AREA_OR_POINT">{point}</MDI></Metadata><GCPList{projection}>{GCPS}</GCPList>',
    )
    scene = geomedsr.open(path)
    assert (len(scene.grid.gcps), scene.grid.gcp_crs is None) == (4, crs is None)
    out = path.with_name("out.png" if format == "png" else "out.tif")
    assert quietly(path, out, tiny_x2, format=format) == []
    with rasterio.open(out) as result:
        points, found = result.gcps
        assert found == (CRS.from_user_input(crs) if crs else None)
    expected = [(p.row * 2, p.col * 2, p.x, p.y, p.z) for p in scene.grid.gcps]
    assert [(p.row, p.col, p.x, p.y, p.z) for p in points] == expected
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []
    assert not [p.name for p in path.parent.iterdir() if p.name.endswith(".part")]


@pytest.mark.parametrize("name", ["out.tif", "plain.tif", "out.png"])
def test_a_crs_of_control_points_that_are_not_there_is_none(tiny_x2: Model, raster: Raster, name: str) -> None:
    path = raster(texture(1, 20, 30, "uint8", low=0, high=200)).with_name("in.jp2")
    rasterio.shutil.copy(path.with_name("in.tif"), path, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES")
    with rasterio.open(path) as dataset:
        assert dataset.gcps[0] == []
        assert dataset.gcps[1] is not None
    assert geomedsr.open(path).grid.gcp_crs is None
    out = path.with_name(name)
    assert quietly(path, out, tiny_x2, **({"format": "gtiff"} if name == "plain.tif" else {})) == []
    assert [check for check in geomedsr.verify(path, out) if check.kept is False] == []
    with rasterio.open(path) as dataset, rasterio.open(out) as result:
        assert result.crs == dataset.crs
        assert result.transform.almost_equals(dataset.transform @ Affine.scale(0.5))


def test_control_points_beside_an_affine_are_told(tiny_x2: Model, raster: Raster) -> None:
    path = vrt_of(raster(texture(1, 20, 30)), f'<GCPList Projection="EPSG:4326">{GCPS}</GCPList>')
    out = path.with_name("out.tif")
    assert quietly(path, out, tiny_x2) == ["out.tif keeps the affine, not the 4 ground control points beside it"]
    with rasterio.open(out) as result:
        assert result.transform == Affine(5, 0, 435730, 0, -5, 4179460)
        assert result.crs == CRS.from_epsg(32618)
    assert kept(path, out) is True


def swath(raster: Raster, folder: Path, convention: str | None) -> Path:
    """A raster of 12 × 16 pixels placed by two arrays, one place for every second pixel."""
    rows, cols = np.mgrid[0:7, 0:9]
    for name, values in (("lon", 10 + 0.1 * cols + 0.01 * rows), ("lat", 50 - 0.1 * rows + 0.01 * cols)):
        raster(values[None], name=f"{name}.tif", crs=None, transform=None)
    fields = {"X_DATASET": folder / "lon.tif", "Y_DATASET": folder / "lat.tif", "X_BAND": 1, "Y_BAND": 1}
    fields |= {"PIXEL_OFFSET": 0, "LINE_OFFSET": 0, "PIXEL_STEP": 2, "LINE_STEP": 2, "SRS": "EPSG:4326"}
    fields |= {"GEOREFERENCING_CONVENTION": convention} if convention else {}
    items = "".join(f'<MDI key="{key}">{value}</MDI>' for key, value in fields.items())
    plain = raster(texture(1, 12, 16), name="a.tif", crs=None, transform=None)
    return vrt_of(plain, f'<Metadata domain="GEOLOCATION">{items}</Metadata>')


def on_the_ground(path: Path, *pixels: tuple[float, float]) -> np.ndarray:
    """Where GDAL's geolocation transformer sees pixels, in pixel-corner coordinates."""
    text = "\n".join(f"{col} {row}" for col, row in pixels)
    done = subprocess.run(["gdaltransform", "-geoloc", path], input=text, capture_output=True, text=True, check=True)
    return np.array([[float(v) for v in line.split()[:2]] for line in done.stdout.splitlines()])


@pytest.mark.parametrize("convention", [None, "PIXEL_CENTER", "TOP_LEFT_CORNER"])
@pytest.mark.parametrize("window", [None, (4, 2, 8, 6)])
def test_geolocation_arrays_of_a_swath_are_scaled(
    tiny_x2: Model, raster: Raster, tmp_path: Path, convention: str | None, window: tuple[int, ...] | None
) -> None:
    path = swath(raster, tmp_path, convention)
    scene, out = geomedsr.open(path), tmp_path / "out.tif"
    assert scene.grid.affine is None
    if window:
        scene = scene.crop(geomedsr.Window(*window))
    with pytest.warns(SceneWarning, match=r"refers to the geolocation arrays in .*lon\.tif"):
        geomedsr.write(geomedsr.upscale(scene, tiny_x2), out)
    assert kept(path, out) is True
    assert cog_validate(out, strict=True)[0]
    store = tmp_path / "out.zarr"
    geomedsr.write(geomedsr.upscale(scene, tiny_x2), store)
    assert kept(path, store) is True
    assert geomedsr.open(store).grid == geomedsr.open(out).grid
    if shutil.which("gdaltransform"):
        col, row = (window or (0, 0))[:2]
        inner = [(2.0, 3.0), (5.5, 1.5), (6.25, 4.0)]
        before = on_the_ground(path, *((x + col, y + row) for x, y in inner))
        np.testing.assert_allclose(on_the_ground(out, *((2 * x, 2 * y) for x, y in inner)), before, atol=1e-6)
    with rasterio.open(out, "r+", IGNORE_COG_LAYOUT_BREAK=True) as result:
        result.update_tags(ns="GEOLOCATION", **(result.tags(ns="GEOLOCATION") | {"PIXEL_STEP": "3"}))
    assert kept(path, out) is False


def test_coordinate_systems_are_compared_by_meaning() -> None:
    esri = (
        'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137,298.257223563]],'
        'PRIMEM["Greenwich",0],UNIT["Degree",0.0174532925199433]]'
    )
    assert same_crs(esri, "EPSG:4326")
    assert not same_crs("EPSG:32618", HEIGHTS)
    assert not same_crs("EPSG:25832", "EPSG:32632")
    assert not same_crs(ROTATED, "EPSG:4326")
    assert not same_crs("EPSG:4326", None)
    assert same_crs("not one", "not one")
    assert not same_crs("not one", "EPSG:4326")
    assert same_crs("EPSG:4326", CRS.from_epsg(4326).to_wkt())
    assert not same_crs("EPSG:4326", "EPSG:32618")


def test_an_axis_longer_than_gdal_counts_is_refused_before_any_work(tiny_x2: Model, tmp_path: Path) -> None:
    vrt = tmp_path / "in.vrt"
    band = '<VRTRasterBand dataType="Byte" band="1"/>'
    vrt.write_text(f'<VRTDataset rasterXSize="2000000000" rasterYSize="1">{band}</VRTDataset>')
    with pytest.raises(OutputError, match="4000000000 pixels along an axis, expected at most 2147483647"):
        geomedsr.write(geomedsr.upscale(geomedsr.open(vrt), tiny_x2), tmp_path / "out.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["in.vrt"]
