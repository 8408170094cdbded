import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from fusion.conftest import SHIFTS, psnr

import geomedsr
from geomedsr import Grid, Scene
from geomedsr.cli import main
from geomedsr.errors import InputError, SceneWarning
from geomedsr.fusion.fuse import fuse_with_report
from geomedsr.geometry import Box, Factors
from geomedsr.models.bicubic import bicubic_model
from geomedsr.operators.block_error import block_error

Views = Callable[..., list[Scene]]


@pytest.fixture(scope="module")
def eight(truth: np.ndarray, views_of: Views) -> list[Scene]:
    return views_of(truth)


@pytest.fixture(scope="module")
def fused(eight: list[Scene]) -> Scene:
    return geomedsr.fuse(eight, prior="bicubic")


def test_eight_views_show_more_than_one(truth: np.ndarray, eight: list[Scene], fused: Scene) -> None:
    alone = geomedsr.upscale(eight[0], bicubic_model(4))
    gain = psnr(fused.data.values[0], truth) - psnr(alone.data.values[0], truth)
    assert gain > 1.5
    from_model = geomedsr.fuse(eight[:3])
    model = geomedsr.upscale(eight[0], "satellite-x4")
    assert psnr(from_model.data.values[0], truth) > psnr(model.data.values[0], truth) + 0.5


def test_where_fields_changed_nothing_is_lost(truth: np.ndarray, views_of: Views) -> None:
    other = truth.copy()
    height, width = truth.shape[1] // 2, truth.shape[2] // 2
    changed = slice(0, height), slice(0, width)
    other[:, *changed] = truth[:, height : 2 * height, width : 2 * width]  # another field
    views = [views_of(truth)[0], *views_of(other)[1:]]
    made, report = fuse_with_report(views, prior="bicubic")
    assert all(frame.dropped is None and frame.trust < 0.9 for frame in report.frames[0])
    alone = geomedsr.upscale(views[0], bicubic_model(4)).data.values[0]
    inside = slice(24, height - 40), slice(24, width - 40)
    outside = slice(height + 24, -16), slice(width + 24, -16)
    assert psnr(made.data.values[0], truth, inside) > psnr(alone, truth, inside) - 0.1
    assert psnr(made.data.values[0], truth, outside) > psnr(alone, truth, outside) + 1


def test_any_box_equals_the_whole(fused: Scene) -> None:
    whole = fused.data.values[0]
    height, width = whole.shape[1:]
    for row, col, rows, columns in ((0, 0, 40, 52), (height - 60, width - 44, 60, 44), (101, 67, 30, 23)):
        part = fused.source.read(Box.of(0, geomedsr.Window(col, row, columns, rows)))[0]
        np.testing.assert_array_equal(part, whole[:, row : row + rows, col : col + columns])


def test_one_image_is_as_upscaled(eight: list[Scene]) -> None:
    np.testing.assert_array_equal(
        geomedsr.fuse(eight[:1]).data.values, geomedsr.upscale(eight[0], "satellite-x4").data.values
    )


def test_block_means_are_kept_on_demand(eight: list[Scene], fused: Scene) -> None:
    factors = Factors.in_plane(4)
    kept = geomedsr.fuse(eight[:3], prior="bicubic", conserve=True)
    before = eight[0].data.values
    assert block_error(before, kept.data.values, factors).max() == 0
    moved = block_error(before, fused.data.values, factors)
    assert 0 < moved.mean() < 3 * 8  # about the noise


def test_the_report_says_how_far_block_means_are_off(eight: list[Scene]) -> None:
    made, report = fuse_with_report(eight, prior="bicubic")
    rows, columns = slice(12, 60), slice(24, 72)  # amid 72 × 96 pixels
    error = block_error(eight[0].data.values, made.data.values, Factors.in_plane(4))[0][:, rows, columns]
    np.testing.assert_allclose(report.deviation, np.sqrt((error**2).mean((1, 2))), rtol=1e-9)
    assert fuse_with_report(eight[:3], prior="bicubic", conserve=True)[1].deviation == (0, 0)


def test_no_data_stays_so_and_does_not_spread(truth: np.ndarray, views_of: Views) -> None:
    views = views_of(truth)[:4]
    hole = views[0].data.values.copy()
    valid = np.ones(hole.shape, bool)
    valid[..., 10:20, 12:22] = False
    hole[~valid] = 60000  # would stand out if it were used
    views[0] = Scene.from_array(hole, valid=valid)
    made = geomedsr.fuse(views, prior="bicubic")
    known = made.source.valid(Box.whole(made.shape))
    np.testing.assert_array_equal(known, valid.repeat(4, 2).repeat(4, 3))
    assert made.data.values[known].max() < 1.3 * truth.max()


def placed(scene: Scene, col: int = 0, row: int = 0) -> Scene:
    affine = Affine(10, 0, 500000, 0, -10, 4000000) @ Affine.translation(col, row)
    return replace(scene, grid=Grid(scene.shape[2:], affine=affine, crs="EPSG:32618"))


def moved(scene: Scene, **more: Any) -> Scene:
    return replace(scene, grid=replace(scene.grid, **more))


def test_other_extents_lie_where_their_grids_say(truth: np.ndarray, views_of: Views) -> None:
    views = views_of(truth)[:3]
    reference = placed(views[0])
    cut = placed(views[1]).crop(geomedsr.Window(9, 20, 60, 48))
    made, report = fuse_with_report([reference, cut, placed(views[2])], prior="bicubic")
    assert (report.frames[0][0].y, report.frames[0][0].x) == pytest.approx(
        (20 + SHIFTS[1][0], 9 + SHIFTS[1][1]), abs=0.05
    )
    assert made.grid.affine == reference.grid.affine @ Affine.scale(0.25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.select([1]), "the same bands in one order"),
        (lambda s: placed(s, col=10_000), "no overlap, expected the same place"),
        (
            lambda s: replace(s, grid=replace(s.grid, affine=s.grid.affine @ Affine.scale(1.5))),
            "pixels of another size",
        ),
        (lambda s: moved(s, crs="EPSG:32619"), "other CRSs, expected one CRS"),
        (lambda s: replace(s, domain="CT"), "images of one kind of sensor"),
        (lambda s: replace(s, grid=Grid(s.shape[2:])), "only one of them is placed"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    eight: list[Scene], change: Callable[[Scene], Scene], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        geomedsr.fuse([placed(eight[0]), change(placed(eight[1]))], prior="bicubic")


def test_what_shows_another_place_is_left_out_by_name(eight: list[Scene]) -> None:
    strange = Scene.from_array(np.ascontiguousarray(eight[1].data.values[..., ::-1, ::-1]), name="turned over")
    with pytest.warns(SceneWarning) as seen:
        made = geomedsr.fuse([eight[0], strange], prior="bicubic")
    messages = [str(warning.message) for warning in seen]
    assert messages[0].startswith("turned over is left out: ")
    assert messages[1] == "no frame could be used beside the reference: the result is that of one image"
    np.testing.assert_array_equal(made.data.values, geomedsr.upscale(eight[0], bicubic_model(4)).data.values)


def test_clouds_do_not_hide_where_an_image_lies(truth: np.ndarray, views_of: Views) -> None:
    views = views_of(truth)[:2]
    cloudy = views[1].data.values.copy()
    cloudy[:, :, : cloudy.shape[2] // 5] = 9000  # as a bank of clouds is: bright, and all of one value
    made, report = fuse_with_report([views[0], Scene.from_array(cloudy, name="cloudy")], prior="bicubic")
    one = report.frames[0][0]
    assert one.dropped is None
    assert (one.y, one.x) == pytest.approx(SHIFTS[1], abs=0.05)
    assert 0.6 < one.trust < 0.85
    alone = geomedsr.upscale(views[0], bicubic_model(4)).data.values[0]
    top = 4 * (cloudy.shape[2] // 5)
    under, clear = (slice(8, top - 8), slice(16, -16)), (slice(top + 24, -16), slice(16, -16))
    assert psnr(made.data.values[0], truth, under) > psnr(alone, truth, under) - 0.1
    assert psnr(made.data.values[0], truth, clear) > psnr(alone, truth, clear) + 0.2


def test_a_few_pixels_in_common_are_told(eight: list[Scene]) -> None:
    beside = placed(eight[1], col=eight[0].shape[3] - 5)
    with pytest.raises(InputError, match=r"5 × \d+ pixels in common, expected more than 8"):
        geomedsr.fuse([placed(eight[0]), beside], prior="bicubic")


@pytest.mark.parametrize("options", [{"model": "satellite-x4"}, {"realism": 0.5}])
def test_bicubic_has_no_options_of_models(eight: list[Scene], options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="the prior bicubic and"):
        geomedsr.fuse(eight[:1], prior="bicubic", **options)


def test_a_stack_fuses_each_frame_with_its_neighbours(truth: np.ndarray, views_of: Views) -> None:
    same = views_of(truth[:, :192, :192], SHIFTS[:3])
    back = [same[0].data.values[0]] + [np.rint(view.data.values[0] * 1.1 + 40) for view in same[1:]]
    valid = np.stack([view.source.valid(Box.whole(view.shape))[0] for view in same])
    stack = Scene.from_array(np.stack(back).astype(np.uint16), valid=valid, domain="MR")
    made, report = fuse_with_report(stack, factor=4)
    assert made.shape[0] == 3
    assert [len(frames) for frames in report.frames] == [2, 2, 2]
    one = report.frames[1][0]
    assert (one.y, one.x) == pytest.approx((-SHIFTS[1][0], -SHIFTS[1][1]), abs=0.05)


def test_from_the_shell(eight: list[Scene], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / f"{i}.tif") for i in range(3)]
    for scene, path in zip(eight, paths, strict=False):
        geomedsr.write(placed(scene), path, progress=False)
    out = tmp_path / "fused.tif"
    command = ["fuse", *paths, "-o", str(out), "--prior", "bicubic", "--json", "--reference", paths[1]]
    assert main(command) == 0
    facts = json.loads(capsys.readouterr().out)
    found = facts["registration"]["frames"][0]
    assert [frame["dropped"] for frame in found] == [None, None]
    assert found[0]["y"] == pytest.approx(-SHIFTS[1][0], abs=0.05)
    expected = geomedsr.fuse([geomedsr.open(path) for path in paths], reference=1, prior="bicubic")
    np.testing.assert_array_equal(geomedsr.open(out).data.values, expected.data.values)
    assert main(["fuse", *paths, "-o", str(tmp_path / "b.tif"), "--reference", "none.tif"]) == 2
    assert "expected one of the images" in capsys.readouterr().err
    assert main(["fuse", *paths, str(tmp_path / "." / "0.tif"), "-o", str(tmp_path / "b.tif")]) == 2
    assert "0.tif twice, expected each image once" in capsys.readouterr().err
    assert not (tmp_path / "b.tif").exists()
    checks = {check.promise: check.kept for check in geomedsr.verify(paths[1], out)}
    assert False not in checks.values()
