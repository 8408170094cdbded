"""Corners of pixels' types: the order of bytes, NaN beside a nodata value, and nodata values of each band."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from conftest import texture

import geomedsr
from geomedsr.errors import SceneWarning
from geomedsr.models import Model

Raster = Callable[..., Path]


def broken(source: Path, result: Path) -> list[str]:
    return [check.promise for check in geomedsr.verify(source, result) if check.kept is False]


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_files_of_the_other_order_of_bytes(dtype: str, tiny: Model, tmp_path: Path, raster: Raster) -> None:
    values = texture(2, 24, 32).astype(dtype)
    values[:, 3:5, 6] = 7
    plain = raster(values, "plain.tif", nodata=7)
    swapped = raster(values, "swapped.tif", nodata=7, ENDIANNESS="BIG")
    assert swapped.read_bytes()[:2] == b"MM"
    assert np.array_equal(geomedsr.open(swapped).data.values[0], values)
    pixels = []
    for source in (plain, swapped):
        out = tmp_path / f"{source.stem}-out.tif"
        geomedsr.write(geomedsr.upscale(geomedsr.open(source), tiny), out)
        assert broken(source, out) == []
        with rasterio.open(out) as result:
            pixels.append(result.read())
    assert np.array_equal(*pixels)
    assert (pixels[0] == 7).sum() == 2 * 2 * 16


def test_nan_beside_a_nodata_value_is_no_data(tiny: Model, tmp_path: Path, raster: Raster) -> None:
    values = texture(2, 24, 32).astype(np.float32)
    values[:, 10:12, 5:7] = -9999
    values[0, 3, 4], values[1, 20, 30] = np.nan, np.inf
    source, out = raster(values, nodata=-9999), tmp_path / "out.tif"
    scene = geomedsr.open(source)
    lost = ~np.isfinite(values) | (values == -9999)
    assert np.array_equal(scene.valid.values[0], ~lost)
    geomedsr.write(geomedsr.upscale(scene, tiny), out)
    with rasterio.open(out) as result:
        assert result.nodata == -9999
        assert np.array_equal(result.read() == -9999, lost.repeat(4, 1).repeat(4, 2))
        assert np.isfinite(result.read()).all()
    assert broken(source, out) == []


def joined(folder: Path, raster: Raster, nodata: tuple[float | None, float | None], suffix: str) -> Path:
    """Two bands with nodata values of their own, by way of a VRT, as GDAL copies it to another format."""
    values = texture(2, 24, 32).astype(np.float32)
    parts = []
    for band, value in enumerate(nodata):
        if value is not None:
            values[band, 2 + band : 6, 3] = value
        raster(values[band : band + 1], f"{band}.tif")
        told = "" if value is None else f"<NoDataValue>{value}</NoDataValue>"
        parts.append(
            f'<VRTRasterBand dataType="Float32" band="{band + 1}">{told}<SimpleSource>'
            '<SourceFilename relativeToVRT="1">'
            f"{band}.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        )
    with rasterio.open(folder / "0.tif") as one:
        srs, place = one.crs.to_wkt(), ", ".join(map(repr, one.transform.to_gdal()))
    head = f'<VRTDataset rasterXSize="32" rasterYSize="24"><SRS>{srs}</SRS><GeoTransform>{place}</GeoTransform>'
    vrt = folder / "two.vrt"
    vrt.write_text(head + "".join(parts) + "</VRTDataset>")
    if suffix == "vrt":
        return vrt
    path = folder / f"two.{suffix}"
    rasterio.shutil.copy(vrt, path, driver={"grb2": "GRIB", "bag": "BAG"}[suffix])
    return path


@pytest.mark.parametrize(
    ("nodata", "suffix", "names"),
    [((-9999.0, -1.0), "vrt", "-9999, -1"), ((None, -1.0), "vrt", "none, -1"), ((-9999.0, -1.0), "grb2", "-9999, -1")],
)
def test_one_nodata_value_for_all_bands_is_told(
    nodata: tuple[float | None, float | None], suffix: str, names: str, tiny: Model, tmp_path: Path, raster: Raster
) -> None:
    source, out = joined(tmp_path, raster, nodata, suffix), tmp_path / "out.tif"
    scene = geomedsr.open(source)
    assert tuple(band.nodata for band in scene.bands) == nodata
    lost = ~scene.valid.values[0]
    assert lost.sum((1, 2)).tolist() == [0 if nodata[0] is None else 4, 3]
    with pytest.warns(SceneWarning, match=rf"nodata values \({names}\)"):
        sr = geomedsr.upscale(scene, tiny)
    geomedsr.write(sr, out)
    with rasterio.open(out) as result:
        one = -1 if nodata[0] is None else nodata[0]
        assert result.nodatavals == (one, one)
        assert np.array_equal(result.read() == one, lost.repeat(4, 1).repeat(4, 2))
    checks = geomedsr.verify(source, out)
    assert [check.promise for check in checks if check.kept is False] == []
    assert [check.detail for check in checks if check.promise == "same no-data value"] == [f"{one:g} in all bands"]
    with rasterio.open(out, "r+", IGNORE_COG_LAYOUT_BREAK=True) as result:
        result.nodata = 3
    assert "same no-data value" in broken(source, out)


def test_a_grid_of_depths_keeps_what_its_pixels_are(tiny: Model, tmp_path: Path, raster: Raster) -> None:
    source, out = joined(tmp_path, raster, (1e6, 1e6), "bag"), tmp_path / "out.tif"
    with pytest.warns(SceneWarning, match=r"out\.tif\.aux\.xml"):
        geomedsr.write(geomedsr.upscale(geomedsr.open(source), tiny), out)
    with rasterio.open(source) as before, rasterio.open(out) as after:
        assert after.tags()["AREA_OR_POINT"] == before.tags()["AREA_OR_POINT"] == "Point"
        assert after.bounds == before.bounds
        assert after.nodatavals == before.nodatavals == (1e6, 1e6)
    assert broken(source, out) == []
