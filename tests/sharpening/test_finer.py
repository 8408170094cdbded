"""A product that is sharpened, and then made finer: one job, from the files to all bands at 2.5 m."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from guided import fine_and_coarse, placed
from products.landsat_tree import Landsat
from products.safe import SIZES
from sharpening.test_product import MODEL, made, read, sums
from toys import Toy, toy

import geomedsr
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.geometry import Box
from geomedsr.inference.prediction import Prediction, beneath
from geomedsr.verification.verify import verify

FINER = toy(scale=2, name="finer")


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("2A", tmp_path_factory.mktemp("surface"))


def twice(product: Scene, tile: int | None = None) -> Scene:
    return geomedsr.upscale(geomedsr.sharpen(product, model=MODEL, tile=tile), FINER, tile=tile)


def test_means_of_every_band_hold_through_both(surface: Path, tmp_path: Path) -> None:
    product = geomedsr.open(surface)
    result = twice(product)
    assert result.shape == (1, 12, 240, 240)
    values, names = read(result), [band.name for band in result.bands]
    for size, factor in ((10, 2), (20, 4), (60, 12)):
        own = [name for name in SIZES[size] if name in names]
        picked = values[[names.index(name) for name in own]]
        there = read(product.at(size).select(own)).astype(int)
        np.testing.assert_array_equal(sums(picked, factor), there * factor**2)
        assert (picked != there.repeat(factor, 1).repeat(factor, 2)).mean() > 0.5  # there is detail
    geomedsr.write(result, tmp_path / "out.tif")
    np.testing.assert_array_equal(read(geomedsr.open(tmp_path / "out.tif")), values)
    checks = verify(surface, tmp_path / "out.tif")
    assert [check for check in checks if check.kept is False] == []
    assert [c.promise for c in checks if "the mean of each" in c.promise] == [
        "B02, B03, B04, B08: the mean of each 2 × 2 block is the source's pixel",
        "B05, B06, B07, B8A, B11, B12: the mean of each 4 × 4 block is the source's pixel",
        "B01, B09: the mean of each 12 × 12 block is the source's pixel",
    ]


def test_the_record_holds_both_steps(surface: Path, tmp_path: Path) -> None:
    result = twice(geomedsr.open(surface))
    geomedsr.write(result, tmp_path / "out.tif")
    told = geomedsr.open(tmp_path / "out.tif")
    provenance = geomedsr.Scene.from_array(np.zeros((2, 2)), provenance=told.tags[""]).provenance
    assert (provenance.model.name, provenance.model.factor) == ("finer", 2)
    steps = [(step.model, step.factor, step.bands, step.guide) for step in provenance.before]
    assert steps == [
        ("toy", 2, tuple(SIZES[20]), "as it is"),
        ("regression", 6, ("B01", "B09"), "as it is"),
    ]
    assert provenance.before[0].sha256 == MODEL.sha256
    assert [(g.model, g.factor) for g in provenance.groups or ()] == [("finer", 2), ("finer", 4), ("finer", 12)]
    assert "Detail finer than 2 pixels of B02, B03, B04, B08 is" in (provenance.note or "")
    assert "; detail finer than 12 pixels of B01, B09 is a model's guess, not" in (provenance.note or "")
    third = geomedsr.upscale(told, FINER)  # each step once, and the second one of all bands
    assert [(s.model, s.bands) for s in third.provenance.before] == [*[s[:3:2] for s in steps], ("finer", None)]
    assert [g.factor for g in third.provenance.groups or ()] == [4, 8, 24]


def test_tiles_equal_the_whole(surface: Path) -> None:
    product = geomedsr.open(surface)
    whole, tiled = twice(product), twice(product, tile=17)
    box = Box((0, 31, 46), (1, 187, 201))
    values = read(whole)
    np.testing.assert_array_equal(whole.source.read(box)[0], values[:, 31:187, 46:201])
    differ = read(tiled).astype(int) - values
    assert np.abs(differ).max() <= 1
    assert (differ != 0).mean() < 1e-3


def test_the_sharpened_image_is_computed_once_for_each_box(surface: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, calls, own = twice(geomedsr.open(surface)), [], Toy.forward

    def counted(self: Toy, image: object, **others: object) -> object:
        calls.append("guide" in others)
        return own(self, image, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(Toy, "forward", counted)
    result.source.read(Box((0, 40, 40), (1, 120, 120)))
    assert calls.count(True) == 1


def test_a_worker_holds_the_sharpened_image(surface: Path) -> None:
    result = twice(geomedsr.open(surface))
    box = Box((0, 80, 80), (1, 160, 160))
    (last, _), (six, part), (two, _) = beneath(result.source, box)
    assert isinstance(last, Prediction)
    assert (six.model.descriptor.name, two.model.descriptor.name) == ("toy", "regression")
    assert part == last.touches(box)
    assert last.need(box).held == part.pixels * 12 * 3  # values and what is data
    assert last.need(box).least(last.tile) > last.need(box).held
    assert six.need(part).held == 0


def test_one_command_makes_twelve_bands_finer(
    surface: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.tif"
    words = ["upscale", str(surface), str(out), "--sharpen"]
    assert main([*words, "--window", "13,25,30,20", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bands"] == [*[f"B0{i}" for i in range(1, 9)], "B8A", "B09", "B11", "B12"]
    assert (report["width"], report["height"]) == (4 * 36, 4 * 24)  # whole pixels of 60 m
    assert [word.rsplit(" ", 1)[0] for word in report["sharpened"]] == ["×2 by sentinel2-20m-x2", "×6 by regression"]
    assert main(["verify", str(surface), str(out)]) == 0, capsys.readouterr().out
    assert main([*words, "--overwrite", "--bands", "B11,B02"]) == 0
    assert "sharpened before: ×2 by sentinel2-20m-x2" in capsys.readouterr().out
    assert [b.name for b in geomedsr.open(out).bands] == ["B11", "B02"]
    assert main(["verify", str(surface), str(out)]) == 0, capsys.readouterr().out


def test_a_pan_sharpened_product_is_made_finer(tmp_path: Path) -> None:
    product = Landsat("L1TP", "LANDSAT_8", shape=(40, 44)).write(tmp_path)
    out = str(tmp_path / "out.tif")
    assert main(["upscale", str(product), out, "--sharpen", "--bands", "B4,B3,B2", "--quiet"]) == 0
    result = geomedsr.open(out)
    assert result.shape == (1, 3, 320, 352)
    values = read(geomedsr.open(product, resolution=30).select(["B4", "B3", "B2"])).astype(int)
    np.testing.assert_array_equal(sums(read(result), 8), values * 64)
    assert main(["verify", str(product), out]) == 0


def test_what_cannot_be_sharpened_is_one_line(
    surface: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    geomedsr.write(geomedsr.open(surface), tmp_path / "fine.tif")
    out = tmp_path / "some"
    out.mkdir()
    for words, said in (
        ([str(tmp_path / "fine.tif"), "--sharpen"], "--sharpen for fine.tif, which has one resolution"),
        ([str(surface), "--sharpen", "--resolution", "20"], "--resolution 20 with --sharpen"),
        ([str(surface), "--sharpen", "--bands", "B02,B99"], "band 'B99'"),
    ):
        assert main(["upscale", *words[:1], str(out / "out.tif"), *words[1:]]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert not list(out.iterdir())


def test_a_result_that_holds_its_guide_is_made_finer_and_verified(tmp_path: Path) -> None:
    fine, few = fine_and_coarse(side=30)
    coarse, guide = placed(few, 20, names="B05 B06 B07"), placed(fine[:1], 10, names="pan")
    geomedsr.write(coarse, tmp_path / "coarse.tif")
    opened = geomedsr.open(tmp_path / "coarse.tif")
    paths = [tmp_path / "sharp.tif", tmp_path / "finer.tif"]
    geomedsr.write(geomedsr.sharpen(opened, guide, "regression", with_guide=True), paths[0])
    geomedsr.write(geomedsr.upscale(geomedsr.open(paths[0]), FINER), paths[1])
    assert [check for check in verify(*paths) if check.kept is False] == []
    checks = {check.promise: check for check in verify(tmp_path / "coarse.tif", paths[1], inputs={"guide": guide})}
    assert [promise for promise, check in checks.items() if check.kept is False] == []
    assert checks["the mean of each 4 × 4 block is the source's pixel"].kept is True
