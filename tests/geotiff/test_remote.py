"""Rasters at addresses: what is asked for, and what is never shown."""

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import texture

import geomedsr
from geomedsr.cli import main
from geomedsr.geometry import Box
from geotiff.serving import Server, serving

Raster = Callable[..., Path]
QUERY = "sv=1&sp=r&sig=aBc//S3CRET%2Fxyz"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, QUERY) as running:
        yield running


def test_a_signed_address_stays_secret(
    server: Server,
    raster: Raster,
    tiny_path: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    raster(texture(1, 20, 30))
    url = f"{server.address}/in.tif?{QUERY}".replace("http://", "http://user:S3CRET@")
    out, page = tmp_path / "sr.tif", tmp_path / "page.html"
    assert main(["upscale", url, str(out), "--model", str(tiny_path), "--json"]) == 0
    assert main(["info", url]) == 0
    assert main(["info", url, "--json"]) == 0
    assert main(["verify", url, str(out)]) == 0
    assert main(["report", url, str(out), "-o", str(page)]) == 0
    assert main(["info", url.replace("in.tif", "no.tif")]) == 2
    assert main(["upscale", url, str(out), "--model", str(tiny_path), "--bands", "7"]) == 2
    with rasterio.open(out) as result:
        assert result.tags()["GEOMEDSR_SOURCE"] == "in.tif"
        assert "S3CRET" not in json.dumps(result.tags())
    said = capfd.readouterr()
    assert "S3CRET" not in said.out + said.err + page.read_text() + caplog.text
    assert "sig=" not in said.out + said.err + page.read_text() + caplog.text
    assert "in.tif?…" in said.out


def test_an_error_in_python_has_no_secret_in_its_traceback(server: Server, raster: Raster, tmp_path: Path) -> None:
    path = raster(texture(1, 600, 600), compress="deflate")
    whole = path.read_bytes()
    url = f"{server.address}/in.tif?{QUERY}"
    scene = geomedsr.open(url)
    assert "S3CRET" not in repr(scene) + repr(scene.source) + scene.name
    path.write_bytes(whole[: len(whole) // 2])
    for fail in (
        lambda: scene.source.read(Box.of(0, geomedsr.Window(0, 590, 9, 9))),
        lambda: geomedsr.open(url + "x"),
    ):
        with pytest.raises(geomedsr.GeomedsrError) as failure:
            fail()
        assert "S3CRET" not in "".join(traceback.format_exception(failure.value))


def test_the_pixels_of_an_address_are_those_of_its_file(server: Server, raster: Raster) -> None:
    array = texture(2, 40, 50)
    raster(array)
    assert np.array_equal(geomedsr.open(f"{server.address}/in.tif?{QUERY}").data.values[0], array)


def test_nothing_is_looked_for_beside_a_tiff_at_an_address(server: Server, raster: Raster) -> None:
    raster(texture(1, 40, 50))
    geomedsr.open(f"{server.address}/in.tif?{QUERY}")
    assert {request.partition("?")[0].split("/")[-1] for request in server.asked} == {"in.tif"}
    assert len(server.asked) <= 6, server.asked


def test_files_beside_a_local_tiff_are_read(raster: Raster) -> None:
    path = raster(texture(1, 40, 50))
    beside = '<PAMDataset><PAMRasterBand band="1"><Description>B04</Description></PAMRasterBand></PAMDataset>'
    path.with_name("in.tif.aux.xml").write_text(beside)
    assert geomedsr.open(path).bands[0].name == "B04"
