"""Rasters of classes and flags that only their file's name tells, or nothing but their values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import texture

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import SceneWarning
from geomedsr.models import Model
from geomedsr.scene.scaling import few

Raster = Callable[..., Path]
WORDS = np.array([1, 21824, 21890, 22080, 54596, 55052], np.uint16)


def flags(height: int = 40, width: int = 50) -> np.ndarray:
    return WORDS[np.random.default_rng(0).integers(0, len(WORDS), (1, height, width))]


@pytest.mark.parametrize(
    "name",
    [
        "LC08_L2SP_015033_20230702_20230711_02_T1_QA_PIXEL.TIF",
        "LC08_L2SP_015033_20230702_20230711_02_T1_QA_RADSAT.tif",
        "T18SUJ_20230702T154819_SCL_20m.tif",
        "HLS.S30.T18SUJ.2023183T154819.v2.0.Fmask.tif",
        "20230702_153044_udm2_clip.tif",
        "MSK_CLASSI_B00.tif",
        "MOD09GA.sur_refl_state_QA.tif",
        "land_cover_v200.tif",
        "labels.tif",
        "T18SUJ_20230702T154819_SCL_20m (1).tif",
        "HLS.S30.T18SUJ.2023183T154819.v2.0.Fmask(2).tif",
        "LC08_QA_PIXEL_copy.TIF",
        "nlcd_2019_land_cover_l48.tif",
        "landcover2020.tif",
        "MOD13Q1.250m_16_days_VI_Quality.tif",
        "MCD12Q1.LC_Type1.tif",
        "classification_map.tif",
    ],
)  # fmt: skip
def test_a_file_name_counts_as_a_band_name(name: str, raster: Raster, tiny: Model) -> None:
    scene = geomedsr.open(raster(flags(), name))
    assert scene.bands[0].kind == "nearest"
    result = geomedsr.upscale(scene, tiny).data.values
    assert set(np.unique(result)) == set(WORDS)


@pytest.mark.parametrize(
    "name",
    [
        "land_cover_study_B04.tif",
        "SCLARK_B02.tif",
        "qa_pixel/B04.tif",
        "mask_of_x.tif",
        "B04 (1).tif",
        "MSK_CLDPRB_20m.tif",
    ],
)
def test_other_names_do_not(name: str, raster: Raster, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    assert geomedsr.open(raster(texture(1, 40, 50), name)).bands[0].kind == "continuous"


def test_several_bands_floats_and_bands_of_a_name_are_not_judged_by_the_file(raster: Raster) -> None:
    def named(dataset: Any) -> None:
        dataset.set_band_description(1, "B04")

    assert geomedsr.open(raster(texture(2, 40, 50), "a_QA_PIXEL.tif")).bands[0].kind == "continuous"
    assert geomedsr.open(raster(texture(1, 40, 50, "float32"), "b_QA_PIXEL.tif")).bands[0].kind == "continuous"
    assert geomedsr.open(raster(texture(1, 40, 50), "c_QA_PIXEL.tif", edit=named)).bands[0].kind == "continuous"


def test_few_whole_numbers_are_told(
    raster: Raster, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array = np.concatenate([texture(1, 40, 50), flags()])
    path, out = raster(array), tmp_path / "sr.tif"
    assert main(["upscale", str(path), str(out), "--model", str(tiny_path)]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("warning: in.tif holds at most 6 different whole numbers in band 2: ")
    assert "--nearest 2" in said
    assert main(["upscale", str(path), str(out), "--model", str(tiny_path), "--nearest", "2", "--overwrite"]) == 0
    assert capsys.readouterr().err == ""
    with rasterio.open(out) as result:
        assert set(np.unique(result.read(2))) == set(WORDS)
    with pytest.warns(SceneWarning, match="at most 6"):
        geomedsr.upscale(geomedsr.open(path), tiny_path)


def test_what_counts_as_few() -> None:
    many = np.arange(5000) % 17
    assert few(many) is None
    assert few(many // 2) == 9
    assert few((many // 2)[:1000]) is None
    assert few((many // 2).astype(np.float32)) is None
    assert few(np.zeros(5000, int)) is None
