"""``repair``: what a mask does not mark stays bit for bit, what it marks is filled, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLE, texture
from killing import killed_and_resumed
from toys import filler, toy

import geomedsr
from geomedsr import Band, Grid, Scene, Window, verify
from geomedsr.errors import InputError, ModelError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.io import open_scene
from geomedsr.repairing.repair import repaired
from geomedsr.scene.sources import WrappingSource

MODEL = filler()
CT = SAMPLE.parent / "ct_abdomen"


def marks(height: int = 90, width: int = 80, bands: int = 1) -> np.ndarray:
    """A gap, a line, a blob at the corner, and single pixels; whatever is not 0 marks."""
    found = np.random.default_rng(5).choice([0] * 60 + [7], (1, bands, height, width)).astype(np.uint8)
    found[..., 30:36, :] = 255
    found[..., :, 50] = 1
    found[..., :8, :9] = 1
    return found


def image(bands: int = 2, **more: Any) -> Scene:
    return Scene.from_array(texture(bands, 90, 80), bands=[Band(f"b{i}") for i in range(bands)], **more)


def read(scene: Scene) -> np.ndarray:
    return scene.data.values


def kept(source: Scene, result: Scene, mask: np.ndarray) -> None:
    """What the mask does not mark is the source's, bit for bit."""
    before, after = read(source), read(result)
    right = ~np.broadcast_to(mask != 0, before.shape)
    assert after.dtype == before.dtype
    np.testing.assert_array_equal(after[right].view(np.uint8), before[right].view(np.uint8))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("bands", [1, 2])
def test_what_is_not_marked_stays_and_what_is_marked_is_filled(kind: str, bands: int) -> None:
    values = (read(image())[0] // (16 if kind == "uint8" else 1)).astype(kind)
    mask = marks(bands=bands)
    broken = values.copy()
    broken[np.broadcast_to(mask[0] != 0, values.shape)] = 0
    source = Scene.from_array(broken)
    done = repaired(source, Scene.from_array(mask), MODEL)
    kept(source, done.scene, mask)
    holes = np.broadcast_to(mask[0] != 0, values.shape)
    assert (read(done.scene)[0][holes] != 0).mean() > 0.99
    assert done.marked == done.filled == holes.sum()
    assert (done.pixels, done.left) == (values.size, 0)
    np.testing.assert_array_equal(read(done.marks)[0], holes)
    # what lies under the mask has no say
    other = broken.copy()
    other[holes] = 200
    np.testing.assert_array_equal(
        read(geomedsr.repair(Scene.from_array(other), Scene.from_array(mask), MODEL)), read(done.scene)
    )


@pytest.mark.parametrize("tile", [17, 40])
def test_tiles_equal_the_untiled_result(tile: int) -> None:
    source, mask = image(), Scene.from_array(marks())
    whole, tiled = (read(geomedsr.repair(source, mask, MODEL, tile=side)).astype(int) for side in (200, tile))
    assert np.abs(whole - tiled).max() <= 1
    assert (whole != tiled).mean() < 1e-3
    window = Window(11, 23, 40, 31)
    part = read(geomedsr.repair(source, mask, MODEL, tile=200).crop(window)).astype(int)
    assert np.abs(part - whole[..., 23:54, 11:51]).max() <= 1


def test_no_data_that_is_a_defect_is_filled_and_other_stays_no_data() -> None:
    values = texture(1, 90, 80)
    values[0, 30:36, 20:] = 0  # a gap
    values[0, 60:, 60:] = 0  # the end of the scene
    source = Scene.from_array(values, bands=[Band("b", nodata=0)])
    mask = np.zeros((1, 1, 90, 80), np.uint8)
    mask[..., 30:36, 20:] = 1
    made = geomedsr.repair(source, Scene.from_array(mask), MODEL)
    np.testing.assert_array_equal(made.valid.values, source.valid.values | (mask != 0))
    assert (read(made)[0, 0, 60:, 60:] == 0).all()
    assert read(made)[0, 0, 30:36, 20:].min() > 0
    kept(source, made, mask)


def test_the_middle_of_a_wide_gap_stays_no_data_and_is_counted() -> None:
    values = texture(1, 90, 80)
    values[0, 20:60] = 0  # 40 rows; two passes of 6 fill 12 from either side
    source = Scene.from_array(values, bands=[Band("b", nodata=0)])
    mask = np.zeros((1, 1, 90, 80), np.uint8)
    mask[..., 20:60, :] = 1
    done = repaired(source, Scene.from_array(mask), MODEL, tile=33)
    assert (done.marked, done.filled, done.left) == (40 * 80, 24 * 80, 16 * 80)
    assert done.words == "1920 of 7200 pixels filled, 1280 left: nothing is known near enough"
    valid = done.scene.valid.values[0, 0]
    assert valid[20:32].all()
    assert not valid[32:48].any()
    assert valid[48:60].all()
    assert (done.scene.provenance["GEOMEDSR_FILLED"], done.scene.provenance["GEOMEDSR_LEFT"]) == ("1920", "1280")


def test_bands_of_classes_stay_and_each_band_has_its_own_mask() -> None:
    values = texture(3, 90, 80)
    source = Scene.from_array(values, bands=[Band("a"), Band("c", "nearest"), Band("b")])
    mask = marks(bands=2)
    made = geomedsr.repair(source, Scene.from_array(mask), MODEL)
    np.testing.assert_array_equal(read(made)[:, 1], read(source)[:, 1])
    for band, its in ((0, 0), (2, 1)):
        right = mask[0, its] == 0
        np.testing.assert_array_equal(read(made)[0, band][right], values[band][right])
        assert (read(made)[0, band][~right] != values[band][~right]).mean() > 0.9
    one = made.select(["b"])
    np.testing.assert_array_equal(read(one)[0, 0], read(made)[0, 2])
    assert one.shape[1] == 1


def test_a_mask_that_marks_nothing_changes_nothing() -> None:
    source = image()
    done = repaired(source, Scene.from_array(np.zeros((90, 80), np.uint8)), MODEL)
    assert done.marked == 0
    np.testing.assert_array_equal(read(done.scene), read(source))


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (Scene.from_array(marks(80, 80)), r"of 1 × 80 × 80, expected 1 × 90 × 80 frames, rows and columns"),
        (Scene.from_array(marks(bands=3)), "of 3 bands, expected one band, or 2, one for each"),
        (Scene.from_array(marks().astype(np.float32) / 100), r"which holds 0\.0\d, expected whole numbers"),
        (Scene.from_array(np.ones((90, 80), np.uint8)), "marks every pixel of .*: GDAL's masks mean the opposite"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask: Scene, said: str) -> None:
    with pytest.raises(InputError, match=said):
        geomedsr.repair(image(), mask, MODEL)


def test_a_mask_of_another_place_is_refused() -> None:
    from affine import Affine

    grid = Grid((90, 80), Affine(10, 0, 5e5, 0, -10, 4e6), "EPSG:32633")
    source = image(grid=grid)
    near = Scene.from_array(marks(), grid=replace(grid, affine=Affine(10, 0, 5e5 + 0.5, 0, -10, 4e6)))
    kept(source, geomedsr.repair(source, near, MODEL), marks())
    for other, said in (
        (replace(grid, affine=Affine(10, 0, 5e5 + 20, 0, -10, 4e6)), "corners lie up to 2 pixels from those"),
        (replace(grid, crs="EPSG:32634"), "another CRS"),
    ):
        with pytest.raises(InputError, match=said):
            geomedsr.repair(source, Scene.from_array(marks(), grid=other), MODEL)


def test_a_mask_of_more_than_half_is_told() -> None:
    with pytest.warns(SceneWarning, match=r"marks \d\d% of .* as defects: GDAL's masks mean the opposite"):
        geomedsr.repair(image(), Scene.from_array((marks() == 0).astype(np.uint8)), MODEL)


def test_models_that_do_not_fill_are_refused() -> None:
    with pytest.raises(ModelError, match="expected one that fills gaps"):
        geomedsr.repair(image(), Scene.from_array(marks()), toy())


def gapped(folder: Path) -> tuple[Path, Path, np.ndarray]:
    """The sample with a gap that is no data, and its mask, as files."""
    source = open_scene(SAMPLE / "input.tif")
    values, (_, _, height, width) = read(source).copy(), source.shape
    mask = np.zeros((1, 1, height, width), np.uint8)
    mask[..., height // 2 : height // 2 + 7, 3:] = 255
    mask[..., 5, 5] = 255
    values[np.broadcast_to(mask != 0, values.shape)] = 0
    bands = [replace(band, nodata=0) for band in source.bands]
    geomedsr.write(Scene.from_array(values, grid=source.grid, bands=bands), folder / "in.tif", format="gtiff")
    geomedsr.write(Scene.from_array(mask, grid=source.grid), folder / "mask.tif", format="gtiff")
    return folder / "in.tif", folder / "mask.tif", mask


def broken(checks: list[geomedsr.Check]) -> list[str]:
    return [check.promise for check in checks if check.kept is False]


def test_verify_finds_what_was_changed_besides(tmp_path: Path) -> None:
    src, mask_file, mask = gapped(tmp_path)
    made = geomedsr.repair(geomedsr.open(src), geomedsr.open(mask_file), MODEL)
    geomedsr.write(made, tmp_path / "out.tif")
    checks = verify(src, tmp_path / "out.tif", inputs={"mask": mask_file})
    assert broken(checks) == []
    promise = "pixels that the mask does not mark are the source's, bit for bit"
    assert next(check for check in checks if check.promise == promise).kept
    again = open_scene(tmp_path / "out.tif", force=True)
    kept(geomedsr.open(src), again, mask)
    assert again.valid.values.all()
    values = read(again).copy()
    values[0, 1, 2, 3] += 1
    bad = Scene.from_array(values, grid=again.grid, bands=again.bands, tags=again.tags)
    geomedsr.write(bad, tmp_path / "bad.tif")
    assert broken(verify(src, tmp_path / "bad.tif", inputs={"mask": mask_file})) == [promise]
    values = read(again).copy()
    values[0, 1, 2, 3] = 0  # a pixel that was data
    bad = Scene.from_array(values, grid=again.grid, bands=again.bands, tags=again.tags)
    geomedsr.write(bad, tmp_path / "less.tif")
    assert len(broken(verify(src, tmp_path / "less.tif", inputs={"mask": mask_file}))) == 2


def test_verify_knows_that_a_wide_gap_may_stay(tmp_path: Path) -> None:
    values = texture(1, 90, 80)
    values[0, 20:60] = 0
    mask = (values == 0).astype(np.uint8)
    geomedsr.write(Scene.from_array(values, bands=[Band("b", nodata=0)]), tmp_path / "in.tif", format="gtiff")
    geomedsr.write(Scene.from_array(mask), tmp_path / "mask.tif", format="gtiff")
    made = geomedsr.repair(geomedsr.open(tmp_path / "in.tif"), geomedsr.open(tmp_path / "mask.tif"), MODEL)
    geomedsr.write(made, tmp_path / "out.tif")
    checks = verify(tmp_path / "in.tif", tmp_path / "out.tif", inputs={"mask": tmp_path / "mask.tif"})
    assert broken(checks) == []
    assert any("1280 pixels of the mask are left without data" in check.detail for check in checks)


def test_a_cluster_gives_the_same_pixels_and_marks(tmp_path: Path) -> None:
    mask = marks()
    done = repaired(image(), Scene.from_array(mask), filler(tmp_path), tile=40)
    out = {tmp_path / "out.npy": done.scene, tmp_path / "marks.npy": done.marks}
    geomedsr.write(out, cluster="local:2", progress=False)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), read(done.scene))
    np.testing.assert_array_equal(np.load(tmp_path / "marks.npy"), read(done.marks))


@dataclass(frozen=True, eq=False)
class Counting(WrappingSource):
    """A mask that counts how often it is read."""

    boxes: list[Box]

    def read(self, box: Box) -> np.ndarray:
        """As it is."""
        self.boxes.append(box)
        return self.whole.read(box)


def test_a_mask_is_read_once_to_be_counted_and_hardly_more_for_each_tile() -> None:
    mask = Scene.from_array(marks(bands=2))
    counting = Counting(mask.source, [])
    done = repaired(image(), replace(mask, source=counting), MODEL, tile=40)
    assert len(counting.boxes) == 1
    counting.boxes.clear()
    read(done.scene)
    assert len(counting.boxes) <= 1 + 2 * 6  # a tile's own pixels, then all around it; there are six


def test_a_killed_job_goes_on_and_marks_come_with_it(tmp_path: Path) -> None:
    model = filler(tmp_path)
    values = np.tile(texture(1, 300, 320), (1, 3, 3))
    mask = np.zeros((1, *values.shape), np.uint8)
    mask[..., 100:104, :] = 1
    source = Scene.from_array(values)
    done = repaired(source, Scene.from_array(mask), model, tile=128)
    out = {tmp_path / "out.npy": done.scene, tmp_path / "marks.npy": done.marks}
    told = killed_and_resumed(out, "*0-1*")
    assert 0 < told[0][0] < told[0][1]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), read(done.scene))
    np.testing.assert_array_equal(np.load(tmp_path / "marks.npy"), mask)


@pytest.mark.parametrize("name", ["out", "out.nii.gz"])
def test_a_ct_series_keeps_its_units_and_says_what_was_filled(name: str, tmp_path: Path) -> None:
    source = geomedsr.open(CT)
    frames, _, height, width = source.shape
    mask = np.zeros((frames, 1, height, width), np.uint8)
    mask[:, :, height // 2, 10:40] = 1
    mask[0, 0, 3, 4] = 1
    model = filler(tmp_path)
    made = geomedsr.repair(source, Scene.from_array(mask), model)
    geomedsr.write(made, tmp_path / name)
    again = open_scene(tmp_path / name, force=True)
    np.savez(tmp_path / "mask.npz", values=mask)
    checks = verify(CT, tmp_path / name, inputs={"mask": Scene.from_array(mask)})
    assert broken(checks) == []
    before, after = (scene.physical().values for scene in (source, again))
    right = np.broadcast_to(mask == 0, before.shape)
    np.testing.assert_array_equal(after[right], before[right])
    assert (after[~right] != before[~right]).any()
    if name == "out":
        import pydicom

        files = sorted((tmp_path / name).rglob("*.dcm"))
        words = pydicom.dcmread(files[0], stop_before_pixels=True).DerivationDescription
        assert f"{int(mask.sum())} pixels filled, 0 left" in words
    shutil.rmtree(tmp_path / name, ignore_errors=True)
