"""Real pairs: an input and a reference of the same ground."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from conftest import SAMPLE, texture

import geomedsr
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.metrics.evaluate import evaluate
from geomedsr.metrics.pairs import paired
from geomedsr.models import Model

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


def test_both_are_cropped_to_common_ground(raster: Callable[..., Path]) -> None:
    array = texture(1, 160, 200)
    fine = geomedsr.open(raster(array, "fine.tif"))  # 10 m from 435730, 4179460
    coarse = np.arange(30 * 30, dtype="uint16").reshape(1, 30, 30)
    # 40 m; its pixel (3, 5) begins where the reference's (2, 6) does, so the first in common is (3, 4) at (2, 2).
    where = Affine(40, 0, 435730 + 60 - 5 * 40, 0, -40, 4179460 - 20 + 3 * 40)
    cut, given = paired(fine, geomedsr.open(raster(coarse, "coarse.tif", transform=where)), 4)
    assert given.data.values[0, 0, 0, 0] == coarse[0, 3, 4]
    assert cut.data.values[0, 0, 0, 0] == array[0, 2, 2]
    assert given.shape[2:] == (27, 26)  # to the input's lower and right edge
    assert cut.shape[2:] == (108, 104)
    assert cut.grid.bounds == given.grid.bounds


NORTH = 4179460


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({"crs": "EPSG:32619"}, "in different coordinate systems, expected one for both"),
        ({"transform": Affine(40, 0, 500000, 0, -40, NORTH)}, "which do not overlap"),
        ({"transform": Affine(30, 0, 435730, 0, -30, NORTH)}, "that are not 4 × finer than those of coarse.tif"),
        ({"transform": Affine(40, 0, 435735, 0, -40, NORTH)}, "whose pixels lie between those of coarse.tif"),
        ({"transform": Affine(40, 0, 435730 + 880, 0, -40, NORTH)}, "in common, expected at least 16 a side"),
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
    cut, given = paired(fine, coarse, 4)
    assert (cut.shape, given.shape) == (fine.shape, coarse.shape)
    with pytest.raises(geomedsr.errors.InputError, match="2 times as many a side: 32 × 32"):
        paired(fine, coarse, 2)
