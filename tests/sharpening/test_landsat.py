"""A Landsat product, sharpened by its panchromatic band as it is delivered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import texture
from products.landsat_tree import Landsat, tarred
from sharpening.test_product import read, sums

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import InputError, SceneWarning

SHAPE = (60, 70)
TWO = Landsat("L1TP", "LANDSAT_8", shape=SHAPE)

#: Band by band, what it shows of a ground of four layers; and the panchromatic band.
MIXES = {
    "B1": (0.9, 0.1, 0.0, 0.1),
    "B2": (0.8, 0.2, 0.0, 0.0),
    "B3": (0.3, 0.6, 0.1, 0.0),
    "B4": (0.1, 0.3, 0.6, 0.0),
    "B5": (0.1, 0.1, 0.2, 0.6),
    "B6": (0.0, 0.2, 0.5, 0.3),
    "B7": (0.0, 0.1, 0.6, 0.3),
    "B8": (0.2, 0.4, 0.4, 0.0),
}


def ground() -> np.ndarray:
    """Four layers at 7.5 m that look alike, as bands do, and are as smooth as optics leave them."""
    height, width = SHAPE
    layers = texture(5, 4 * height, 4 * width, low=8000, high=30000).astype(float)
    for axis in (1, 2, 1, 2):
        layers = (np.roll(layers, 1, axis) + 2 * layers + np.roll(layers, -1, axis)) / 4
    return 0.7 * layers[:1] + 0.3 * layers[1:]


def means(array: np.ndarray, side: int) -> np.ndarray:
    *lead, height, width = array.shape
    return array.reshape(*lead, height // side, side, width // side, side).mean((-3, -1))


def shown(name: str) -> np.ndarray:
    """A band at 7.5 m."""
    return np.tensordot(np.array(MIXES[name]), ground(), 1)


def numbers() -> dict[str, np.ndarray]:
    """Bands as they are delivered: the panchromatic pixels lie half of one inside the others' corner."""
    made = {name: means(shown(name), 4) for name in MIXES if name != "B8"}
    made["B8"] = means(shown("B8")[1:-1, 1:-1], 2)
    return {name: np.rint(array) for name, array in made.items()}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Landsat("L1TP", "LANDSAT_8", shape=SHAPE, arrays=numbers()).write(tmp_path_factory.mktemp("landsat"))


def test_a_product_comes_at_15_m_and_keeps_its_means(
    product: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.tif")
    assert main(["sharpen", str(product), out]) == 0
    told = capsys.readouterr()
    assert "140 × 120 pixels, 8 × uint16, ×2 by pan-x2" in told.out
    assert "resampled by cubic convolution, its pixels lying +0.50, +0.50 (x, y) of one beside the result's" in told.out
    assert "B10, B11, measured at 100, is left out" in told.err
    assert "B1 (0.43 to 0.45 µm), B2" in told.err
    assert "B9 (" not in told.err
    result, coarse = geomedsr.open(out), geomedsr.open(product, resolution=30)
    assert [band.name for band in result.bands] == ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9"]
    assert result.grid.affine == coarse.grid.scaled(2).affine
    values, few = read(result), read(coarse).astype(int)
    np.testing.assert_array_equal(sums(values, 2), few * 4)
    np.testing.assert_array_equal(values[7], few[7].repeat(2, 0).repeat(2, 1))  # it shows the sky
    assert {band.kind for band in result.bands} == {"continuous"}
    assert result.tags[""]["PRODUCT_ID"] == TWO.name
    assert main(["verify", str(product), out]) == 0


def test_what_the_pan_shows_is_where_it_is(product: Path, tmp_path: Path) -> None:
    with pytest.warns(SceneWarning, match="measured to lie within 0.05 of a coarse pixel; resampled"):
        made = geomedsr.sharpen(geomedsr.open(product), bands=["B4", "B3"])
    values = read(made).astype(float)
    alone = read(geomedsr.upscale(geomedsr.open(product, resolution=30).select(["B4", "B3"]), "satellite-x2"))
    inner = (slice(None), slice(8, -8), slice(8, -8))
    for band, name in enumerate(("B4", "B3")):
        truth = means(shown(name), 2)
        errors = [np.sqrt(((v[band] - truth)[inner[1:]] ** 2).mean()) for v in (values, alone.astype(float))]
        assert errors[0] < 0.6 * errors[1], (name, errors)
        off = [
            np.sqrt(((np.roll(values[band], by, (0, 1)) - truth)[inner[1:]] ** 2).mean())
            for by in ((0, 1), (0, -1), (1, 0), (-1, 0))
        ]
        assert errors[0] < 0.6 * min(off)


def test_every_way_to_name_it_gives_the_same(product: Path, tmp_path: Path) -> None:
    ways = [product, tarred(product, tmp_path / f"{product.name}.tar"), *sorted(product.glob("*_MTL.*"))]
    found = []
    for way in ways:
        with pytest.warns(SceneWarning, match="resampled"):
            made = geomedsr.sharpen(geomedsr.open(way), bands=["B4"])
        found.append(read(made))
    assert len(found) == 4
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_surface_reflectance_takes_the_pan_of_level_1(product: Path, tmp_path: Path) -> None:
    arrays = {f"SR_{name}": array for name, array in numbers().items() if name != "B8"}
    surface = Landsat("L2SP", "LANDSAT_8", shape=SHAPE, arrays=arrays).write(tmp_path)
    out = str(tmp_path / "out.tif")
    assert main(["sharpen", str(surface), out, "--guide", str(product), "--bands", "SR_B4,SR_B3", "--quiet"]) == 0
    assert main(["verify", str(surface), out]) == 0
    result = geomedsr.open(out)
    assert (result.bands[0].scale, result.bands[0].offset) == (2.75e-5, -0.2)


def test_what_it_does_not_sharpen_is_one_line(
    product: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    surface = Landsat(shape=SHAPE).write(tmp_path)
    for path, bands, said in (
        (
            product,
            ["--bands", "B4,B10"],
            f"band B10 of {TWO.name}, which B8 does not sharpen",
        ),
        (product, ["--bands", "B8"], "leave it out; --with-guide adds it"),
        (product, ["--bands", "B99"], "band 'B99'"),
        (surface, [], "with pixels of one size, and no guide"),
    ):
        assert main(["sharpen", str(path), str(tmp_path / "out.tif"), *bands]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    with pytest.raises(InputError, match="which B8 does not sharpen"):
        geomedsr.sharpen(geomedsr.open(product), bands=["b11"])
