"""Products on the command line: what one holds, and what is made finer of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import geomedsr
from geomedsr.cli import main
from products.safe import LEFT, TOP


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def kept(source: Path, result: Path) -> bool:
    return all(check.kept is not False for check in geomedsr.verify(source, result))


def test_info_tells_all_parts(surface: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("info", surface, "--json")
    facts = json.loads(capsys.readouterr().out)
    assert facts["resolutions"] == [10, 20, 60]
    assert [part["width"] for part in facts["parts"]] == [120, 60, 20]
    band = facts["parts"][1]["bands"][3]
    assert (band["name"], band["role"], band["wavelength_um"]) == ("B8A", "nir08", 0.8647)
    assert (band["scale"], band["offset"], band["units"]) == (1e-4, -0.1, "reflectance")
    assert facts["tags"]["default"]["TILE_ID"] == "32TQM"
    assert "AOT" in facts["parts"][1]["named"]
    run("info", surface)
    text = capsys.readouterr().out
    assert "120 × 120 pixels, 4 × uint16" in text
    assert "at 20: 60 × 60 pixels" in text
    assert "B11          undefined  shows swir16, 1.6137 µm, nodata 0" in text
    assert "PRODUCT_ID = S2A_MSIL2A_20240704T101031" in text
    run("info", surface, "--resolution", "60")
    assert "20 × 20 pixels, 2 × uint16" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "bands", "size"),
    [
        ([], ["B02", "B03", "B04", "B08"], 480),
        (["--bands", "B05,B06"], ["B05", "B06"], 240),
        (["--resolution", "60"], ["B01", "B09"], 80),
        (["--resolution", "20", "--bands", "SCL,B11,MSK_DETFOO_B11"], ["SCL", "B11", "MSK_DETFOO_B11"], 240),
    ],
)
def test_a_part_is_made_finer_and_can_be_verified(
    words: list[str], bands: list[str], size: int, surface: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.tif"
    run("upscale", surface, out, "--quiet", *words)
    result = geomedsr.open(out)
    assert [band.name for band in result.bands] == bands
    assert result.shape[2:] == (size, size)
    assert result.tags[""]["PRODUCT_ID"] == surface.stem
    assert result.tags[""]["SUN_ELEVATION"] == "64.5"
    assert kept(surface, out)


def test_roles_and_wavelengths_survive(surface: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    run("upscale", surface, out, "--quiet", "--bands", "B8A", "--model", "satellite-x2")
    (band,) = geomedsr.open(out).bands
    assert band.role == "nir08"
    assert band.tags["IMAGERY"] == {"CENTRAL_WAVELENGTH_UM": "0.8647", "FWHM_UM": "0.021"}
    assert (band.scale, band.offset, band.units) == (1e-4, -0.1, "reflectance")


def test_physical_values_are_reflectance_in_floats(surface: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    run("upscale", surface, out, "--quiet", "--bands", "B04", "--physical", "--mask", "saturated")
    result = geomedsr.open(out)
    assert (result.dtype, result.bands[0].scale, result.bands[0].offset) == (np.float32, 1, 0)
    assert result.bands[0].units == "reflectance"
    stored = geomedsr.open(surface, bands=["B04"]).data.values[0, 0].astype(float)
    means = result.data.values[0, 0].astype(float).reshape(120, 4, 120, 4).mean((1, 3))
    assert np.abs(means - (stored - 1000) / 10000).max() < 1e-6
    assert kept(surface, out)


def test_a_box_and_polygons_of_a_product(surface: Path, tmp_path: Path) -> None:
    box, area = tmp_path / "box.tif", tmp_path / "area.tif"
    run(
        "upscale",
        surface,
        box,
        "--quiet",
        "--resolution",
        20,
        f"--bbox={LEFT + 100},{TOP - 700},{LEFT + 500},{TOP - 300}",
    )
    assert geomedsr.open(box).grid.bounds == (LEFT + 100, TOP - 700, LEFT + 500, TOP - 300)
    assert kept(surface, box)
    ring = [[LEFT, TOP], [LEFT + 300, TOP], [LEFT, TOP - 300], [LEFT, TOP]]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring], "crs": crs}))
    run("upscale", surface, area, "--quiet", "--aoi", tmp_path / "a.geojson", "--bands", "B02")
    assert geomedsr.open(area).shape[2:] == (116, 116)
    assert kept(surface, area)


def test_polygons_bound_every_part(surface: Path) -> None:
    ring = [[LEFT, TOP], [LEFT + 600, TOP], [LEFT, TOP - 600], [LEFT, TOP]]
    part = geomedsr.open(surface).within({"type": "Polygon", "coordinates": [ring]}, crs="EPSG:32632")
    assert not part.at(20).valid.values[0, 0, -1, -1]
    assert part.at(20).valid.values[0, 0, 0, 0]
    assert part.at(60).shape[2:] == (9, 9)
