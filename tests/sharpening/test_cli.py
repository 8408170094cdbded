"""``geomedsr sharpen`` on files."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from guided import fine_and_coarse, placed
from toys import GUIDED, saved_toy

import geomedsr
from geomedsr.cli import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str, str]:
    """A coarse file, a guide, a model and the name of a result."""
    fine, few = fine_and_coarse()
    geomedsr.write(placed(few, 20, names="B05 B06 B07"), tmp_path / "coarse.tif")
    geomedsr.write(placed(fine, 10, names="red nir swir"), tmp_path / "guide.tif")
    model = saved_toy(tmp_path, ports=GUIDED, scale=2)
    out = tmp_path / "out"
    out.mkdir()
    return str(tmp_path / "coarse.tif"), str(tmp_path / "guide.tif"), model.path, str(out / "out.tif")


def test_files_are_sharpened(files: tuple[str, str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    coarse, guide, model, out = files
    assert main(["sharpen", coarse, "--guide", guide, out, "--model", model]) == 0
    told = capsys.readouterr()
    assert "80 × 80 pixels, 3 × uint16, ×2 by toy 0" in told.out
    assert "the guide: as it is" in told.out
    assert told.err == ""
    with rasterio.open(out) as result, rasterio.open(coarse) as source:
        assert result.descriptions == ("B05", "B06", "B07")
        values = result.read().reshape(3, 40, 2, 40, 2).astype(int).sum((2, 4))
        np.testing.assert_array_equal(values, source.read().astype(int) * 4)
        assert result.transform @ (80, 80) == source.transform @ (40, 40)
    assert main(["verify", coarse, out]) == 0


def test_flags_work_as_on_upscale(files: tuple[str, str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    coarse, guide, model, out = files
    words = ["sharpen", coarse, "--guide", guide, out, "--model", model]
    more = ["--with-guide", "--bands", "B07,1,B06", "--window", "4,6,20,10", "--tile", "8", "--memory", "1GiB"]
    assert main([*words, *more, "--precision", "float32", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bands"] == ["B07", "B05", "B06", "red", "nir", "swir"]
    assert (report["width"], report["height"]) == (40, 20)
    assert report["provenance"]["GEOMEDSR_WINDOW"] == "4,6,20,10"
    assert main(["verify", coarse, out]) == 0
    assert main([*words, "--quiet"]) == 2  # it is there
    assert main([*words, "--quiet", "--overwrite", "--model", "regression", "--register", "yes"]) == 0
    assert geomedsr.open(out).provenance is not None
    with rasterio.open(out) as result:
        assert result.tags()["GEOMEDSR_MODEL"] == "regression"


def test_bad_words_are_one_line_and_leave_nothing(
    files: tuple[str, str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    coarse, guide, model, out = files
    for words, said in (
        (["sharpen", coarse, out], "no guide for coarse.tif"),
        (["sharpen", coarse, out, "--guide-bands", "1"], "--guide-bands without --guide"),
        (["sharpen", guide, "--guide", coarse, out, "--model", model], "swap the two"),
        (["sharpen", coarse, "--guide", guide, out], "--model regression takes any guide"),
        (["sharpen", coarse, "--guide", guide, out, "--model", "no-such"], "the model 'no-such'"),
        (["sharpen", coarse, "--guide", guide, out, "--model", "satellite-x2"], "one that takes a guide"),
        (["sharpen", coarse, "--guide", guide, out, "--model", model, "--guide-bands", "red,nir"], "swir"),
        (["sharpen", coarse, "--guide", guide, out, "--model", model, "--window", "0,0,99,1"], "the window 0,0,99,1"),
    ):
        assert main(words) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert said in lines[0]
        assert not list(Path(out).parent.iterdir())
