"""Real pairs: an input and a reference of the same ground."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from conftest import SAMPLE, texture

import geomedsr
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.metrics.evaluate import evaluate
from geomedsr.metrics.interpolation import bicubic
from geomedsr.metrics.quality import ssim_map
from geomedsr.models import Model
from geomedsr.pairs.common import on_common_pixels

FINE, COARSE = SAMPLE / "reference.tif", SAMPLE / "input.tif"


def test_a_pair_is_compared_as_it_is(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)
    truth, given = geomedsr.open(FINE), geomedsr.open(COARSE)
    louder = Scene.from_array(given.data.values + 50, grid=given.grid, bands=given.bands)
    scores = evaluate(tiny, [louder], reference=truth, against=["bicubic"])
    made = geomedsr.upscale(louder, tiny).data.values[0].astype(float)
    error = np.square(made - truth.data.values[0]).mean((1, 2))
    decibels = 10 * np.log10(np.square(truth.values.bounds()[1].ravel()) / error)
    assert scores.scores[1].psnr == pytest.approx(decibels.mean(), abs=1e-6)
    assert scores.scores[1].figures["drift"].value == 0  # from the real input, not from the reference
    assert "a real input, compared with reference.tif" in scores.words[0]


def test_each_side_is_read_in_its_own_units(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same reference stored in another type, with a scale and an offset, gives the same figures."""
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)
    truth, given = geomedsr.open(FINE), geomedsr.open(COARSE)
    bands = [replace(band, nodata=None, scale=2.0, offset=200.0) for band in truth.bands]
    other = Scene.from_array(truth.data.values / 2 - 100, grid=truth.grid, bands=bands)
    plain, stored = (evaluate(tiny, [given], reference=scene, against=["bicubic"]) for scene in (truth, other))
    for one, two in zip(plain.scores, stored.scores, strict=True):
        assert (two.psnr, two.ssim) == (pytest.approx(one.psnr, abs=1e-6), pytest.approx(one.ssim, abs=1e-6))
        assert two.figures["drift"].value == pytest.approx(one.figures["drift"].value, abs=1e-9)
    assert plain.scores[0].psnr > 20


def test_what_the_reference_lacks_counts_nowhere_and_no_window_meets_it(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)
    array = texture(1, 96, 96)
    valid, far = np.ones((1, 96, 96), bool), np.ones((96, 96), bool)
    valid[0, 40:44, 50:60] = False  # of the reference alone
    far[32:52, 42:68] = False  # eight pixels more on each side
    coarse = np.rint(array.reshape(1, 24, 4, 24, 4).mean((2, 4))).astype("uint16")
    masked = Scene.from_array(np.where(valid, array, 0), valid=valid)
    score = evaluate(tiny, [Scene.from_array(coarse)], reference=masked, against=["bicubic"]).scores[0]
    base = np.rint(bicubic(torch.from_numpy(coarse.astype(float))[None], 4)[0].numpy())
    peak = np.diff(np.percentile(array[valid], (1, 99)))
    assert score.ssim == pytest.approx(ssim_map(base, array.astype(float), peak)[0][far].mean(), abs=1e-9)
    error = np.square(base - array)[0][far].mean()
    assert score.psnr == pytest.approx(10 * np.log10(peak[0] ** 2 / error), abs=1e-9)


def test_both_are_cropped_to_common_ground(raster: Callable[..., Path]) -> None:
    array = texture(1, 160, 200)
    fine = geomedsr.open(raster(array, "fine.tif"))  # 10 m from 435730, 4179460
    coarse = np.arange(30 * 30, dtype="uint16").reshape(1, 30, 30)
    # 40 m; its pixel (3, 5) begins where the reference's (2, 6) does, so the first in common is (3, 4) at (2, 2).
    where = Affine(40, 0, 435730 + 60 - 5 * 40, 0, -40, 4179460 - 20 + 3 * 40)
    cut, given = on_common_pixels(fine, geomedsr.open(raster(coarse, "coarse.tif", transform=where)), 4)
    assert given.data.values[0, 0, 0, 0] == coarse[0, 3, 4]
    assert cut.data.values[0, 0, 0, 0] == array[0, 2, 2]
    assert given.shape[2:] == (27, 26)  # to the input's lower and right edge
    assert cut.shape[2:] == (108, 104)
    assert cut.grid.bounds == given.grid.bounds


NORTH = 4179460


def test_a_pair_that_lies_a_hundredth_of_a_pixel_off_is_shown_too(
    raster: Callable[..., Path], tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geomedsr.metrics.tally.CROPS", 0)
    fine, page = raster(texture(1, 128, 128), "fine.tif"), tmp_path / "page.html"
    coarse = raster(texture(1, 32, 32), "coarse.tif", transform=Affine(40, 0, 435730.6, 0, -40, NORTH))
    pair = [str(coarse), "--reference", str(fine)]
    assert main(["evaluate", "--model", str(tiny_path), *pair, "--quiet", "--html", str(page)]) == 0
    assert "geomedsr-swipe" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({"crs": "EPSG:32619"}, "of the CRSs EPSG:32618 and EPSG:32619, expected one CRS"),
        ({"transform": Affine(40, 0, 500000, 0, -40, NORTH)}, "which do not overlap"),
        (
            {"transform": Affine(30, 0, 435730, 0, -30, NORTH)},
            "whose coarse pixels are 3 × 3 fine ones, expected 4 × 4 within 1%",
        ),
        ({"transform": Affine(39.6, 0, 435730, 0, -39.6, NORTH)}, "fine pixels off in windows of 32 × 32 coarse ones"),
        (
            {"transform": Affine(40, 0, 435730 + 880, 0, -40, NORTH)},
            "10 × 32 coarse pixels in common, expected at least 16 a side",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(
    raster: Callable[..., Path],
    tiny_path: Path,
    capsys: pytest.CaptureFixture[str],
    profile: dict[str, object],
    said: str,
) -> None:
    fine = raster(texture(1, 128, 128), "fine.tif")
    coarse = raster(texture(1, 32, 32), "coarse.tif", **({"transform": Affine(40, 0, 435730, 0, -40, NORTH)} | profile))
    assert main(["evaluate", "--model", str(tiny_path), str(coarse), "--reference", str(fine)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert said in captured.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([str(COARSE), str(COARSE), "--reference", str(FINE)], "2 inputs for one reference"),
        ([str(COARSE), "--reference", "none.tif"], "none.tif, which does not exist"),
        ([str(COARSE), "--reference", str(SAMPLE.parent / "ct_abdomen" / "1.dcm")], "the same bands and frames"),
    ],
)
def test_other_bad_pairs_are_one_line(
    tiny_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["evaluate", "--model", str(tiny_path), *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_without_a_place_sizes_must_tell() -> None:
    fine, coarse = (Scene.from_array(texture(1, n, n)) for n in (64, 16))
    cut, given = on_common_pixels(fine, coarse, 4)
    assert (cut.shape, given.shape) == (fine.shape, coarse.shape)
    with pytest.raises(geomedsr.errors.InputError, match="both located, or 2 times as many pixels a side"):
        on_common_pixels(fine, coarse, 2)
