"""``geomedsr repair`` and ``geomedsr defects``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE
from PIL import Image
from toys import filler

import geomedsr
from geomedsr import Scene
from geomedsr.cli import main
from geomedsr.io import open_scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sample with a lost line and hot pixels as ``in.tif``, ``mask.tif``, and a small model."""
    source = open_scene(SAMPLE / "input.tif")
    values = source.data.values.copy()
    mask = np.zeros((1, *values.shape[1:]), np.uint8)
    mask[0, :, 40] = 1
    mask[0, 1, 10, 12] = mask[0, 2, 20, 50] = 1
    values[mask != 0] = 65535
    for array, name in ((values, "in.tif"), (mask, "mask.tif")):
        bands = source.bands if name == "in.tif" else None
        geomedsr.write(Scene.from_array(array, grid=source.grid, bands=bands), tmp_path / name, format="gtiff")
    filler(tmp_path)
    return tmp_path


def run(folder: Path, *words: str) -> int:
    """A command on the files of a folder, whose names have a dot or are options."""
    places = [str(folder / w) if "." in w and "=" not in w and not w.startswith("-") else w for w in words]
    return main(places)


def test_a_mask_is_repaired_and_marks_and_a_page_lie_beside_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "repair",
        "in.tif",
        "out.tif",
        "--mask",
        "mask.tif",
        "--model",
        "filler.safetensors",
        "--marks",
        "marks.tif",
    ]
    assert run(folder, *words, "--report", "page.html", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    mask = open_scene(folder / "mask.tif").data.values
    assert facts["marked"] == facts["filled"] == mask.sum()
    assert facts["left"] == 0
    assert facts["provenance"]["GEOMEDSR_FILLED"] == str(mask.sum())
    np.testing.assert_array_equal(open_scene(folder / "marks.tif", force=True).data.values, mask)
    before, after = (open_scene(folder / name, force=True).data.values for name in ("in.tif", "out.tif"))
    np.testing.assert_array_equal(before != after, mask != 0)
    assert "repair" in (folder / "page.html").read_text()
    assert run(folder, "verify", "in.tif", "out.tif", "--input", f"mask={folder / 'mask.tif'}") == 0
    assert "pixels that the mask does not mark are the source's, bit for bit" in capsys.readouterr().out
    assert run(folder, *words) == 2
    assert "exists" in capsys.readouterr().err
    assert run(folder, *words, "--overwrite", "--quiet") == 0
    assert not capsys.readouterr().out


def test_a_window_is_repaired_as_in_the_whole(folder: Path) -> None:
    words = ["--mask", "mask.tif", "--model", "filler.safetensors", "--quiet"]
    assert run(folder, "repair", "in.tif", "whole.tif", *words) == 0
    assert run(folder, "repair", "in.tif", "part.tif", *words, "--window", "5,30,60,20") == 0
    whole, part = (open_scene(folder / name, force=True).data.values for name in ("whole.tif", "part.tif"))
    np.testing.assert_array_equal(part, whole[..., 30:50, 5:65])
    assert run(folder, "verify", "in.tif", "part.tif", "--input", f"mask={folder / 'mask.tif'}") == 0


def test_what_is_found_is_counted_shown_and_repaired(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "defects", "in.tif", "-o", "found.tif", "--picture", "found.png", "--json") == 0
    counts = json.loads(capsys.readouterr().out)
    mask = open_scene(folder / "mask.tif").data.values
    assert (counts["gaps"], counts["lines"], counts["dead"]) == (0, mask[0, :, 40].sum(), 2)
    found = open_scene(folder / "found.tif").data.values
    np.testing.assert_array_equal(found != 0, mask != 0)
    assert found[0, 1, 10, 12] == 3
    assert (found[0, :, 40] == 2).all()
    picture = np.asarray(Image.open(folder / "found.png"))
    assert picture.shape[:2] == mask.shape[2:]
    assert (picture[40, :] == (255, 176, 0)).all()
    words = ["repair", "in.tif", "out.tif", "--find", "--model", "filler.safetensors"]
    assert run(folder, *words, "--what", "dead") == 0
    assert "2 of " in capsys.readouterr().out
    assert run(folder, *words, "--overwrite") == 0
    before, after = (open_scene(folder / name, force=True).data.values for name in ("in.tif", "out.tif"))
    np.testing.assert_array_equal(before != after, mask != 0)


def test_nothing_is_written_where_nothing_is_broken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src = str(SAMPLE / "input.tif")
    words = ["repair", src, "out.tif", "--find", "--model", "filler.safetensors"]
    assert run(folder, *words) == 0
    assert "no defects in" in capsys.readouterr().out
    assert not (folder / "out.tif").exists()
    assert run(folder, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["output"] is None
    assert run(folder, *words, "--always", "--quiet") == 0
    after = open_scene(folder / "out.tif", force=True).data.values
    np.testing.assert_array_equal(after, open_scene(src).data.values)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["repair", "in.tif", "out.tif"], "neither --mask nor --find"),
        (["repair", "in.tif", "out.tif", "--mask", "mask.tif", "--find"], "not allowed with"),
        (["repair", "in.tif", "out.tif", "--mask", "in.tif"], "marks every pixel"),
        (["repair", "in.tif", "out.tif", "--mask", "none.tif"], "none.tif"),
        (["repair", "in.tif", "out.tif", "--find", "--what", "dust"], "the kind dust of defects"),
        (["repair", "in.tif", "out.tif", "--mask", "mask.tif", "--marks", "out.tif"], "which is DST"),
        (["repair", "in.tif", "out.tif", "--mask", "mask.tif", "--model", "satellite-x4"], "one that fills gaps"),
        (["defects", "in.tif", "--picture", "found.txt"], "found.txt"),
    ],
)
def test_bad_words_are_one_line(folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, *words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
    assert not (folder / "out.tif").exists()
