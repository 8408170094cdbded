"""The commands and the code of the page on products run on products of those names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import geomedsr
from geomedsr.cli import main
from products.landsat_tree import Landsat, tarred
from products.safe import Safe, zipped
from products.stac_tree import written

PAGE = Path(__file__).parents[2] / "docs" / "products.md"
NAME = "S2B_MSIL2A_20240704T101031_N0511_R022_T32TQM_20240704T120000"


def test_sentinel2s_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8").split("## Landsat")[0]
    safe = Safe(pixels=120).write(tmp_path)
    zipped(safe).rename(tmp_path / f"{NAME}.zip")
    safe.rename(tmp_path / f"{NAME}.SAFE")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"```console\n(geomedsr .*)\n```", text)
    assert len(commands) == 4
    for command in commands:
        assert main([*shlex.split(command)[1:], *(["--quiet"] if " upscale " in command else [])]) == 0
    (code,) = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {"geomedsr": geomedsr}
    exec(code, names)
    scene = names["scene"]
    assert isinstance(scene, geomedsr.Scene)
    assert scene.resolutions == (10.0, 20.0, 60.0)
    assert [b.name for b in scene.at(20).bands] == ["B05", "B06", "B07", "B8A", "B11", "B12", "SCL"]
    assert scene.crop(geomedsr.Window(0, 0, 120, 120)).at(20).shape[2:] == (60, 60)
    assert [b.name for b in geomedsr.open("swir.tif").bands] == ["B11", "B12"]
    assert len(geomedsr.open("all.tif").bands) == 12


def test_landsats_and_stacs_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8").split("## Landsat")[1]
    tarred(Landsat().write(tmp_path), tmp_path / "LC09_L2SP_195028_20240704_20240705_02_T1.tar")
    top = Landsat("L1TP", "LANDSAT_8", shape=(40, 44)).write(tmp_path)
    tarred(top, tmp_path / "LC08_L1TP_195028_20240704_20240712_02_T1.tar")
    written(tmp_path, name="S2B_32TQM_20240706_0_L2A.json")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"```console\n(geomedsr .*)\n```", text)
    assert len(commands) == 3
    for command in commands:
        assert main([*shlex.split(command)[1:], "--quiet"]) == 0
    assert [b.name for b in geomedsr.open("landsat.tif").bands] == ["SR_B4", "SR_B5"]
    assert geomedsr.open("landsat_15m.tif").shape[2:] == (80, 88)
    assert [b.name for b in geomedsr.open("stac.json").bands] == ["red", "nir"]
