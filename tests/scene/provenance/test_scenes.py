"""What results say of how they were made, and of what was made of results."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from conftest import save_tiny, texture

import geomedsr
from geomedsr import Scene, Window
from geomedsr.cli import main
from geomedsr.errors import InputError
from geomedsr.models import Model
from geomedsr.scene.provenance import Provenance, picked, provenance_of
from geomedsr.scene.scene import Band
from geomedsr.verification.taken import taken


def scene(names: tuple[str, ...] = ("B02", "B03", "B04")) -> Scene:
    values = np.random.default_rng(0).integers(1, 9999, (len(names), 24, 20)).astype(np.uint16)
    return Scene.from_array(values, bands=[Band(name, description=name) for name in names])


def broken(source: Path, result: Path) -> list[str]:
    return [check.promise for check in geomedsr.verify(source, result) if check.kept is False]


def test_bands_selected_in_python_are_verified_like_those_of_the_command(tiny_path: Path, tmp_path: Path) -> None:
    geomedsr.write(scene(), tmp_path / "in.tif")
    chosen = geomedsr.open(tmp_path / "in.tif").select(["b04", 1])
    geomedsr.write(geomedsr.upscale(chosen, tiny_path), tmp_path / "before.tif")
    geomedsr.write(
        geomedsr.upscale(geomedsr.open(tmp_path / "in.tif"), tiny_path).select([3, 1]), tmp_path / "after.tif"
    )
    words = ["upscale", str(tmp_path / "in.tif"), str(tmp_path / "cli.tif"), "--model", str(tiny_path), "--quiet"]
    assert main([*words, "--bands", "B04,B02"]) == 0
    for name in ("before", "after", "cli"):
        result = geomedsr.open(tmp_path / f"{name}.tif")
        assert json.loads(provenance_of(result)["GEOMEDSR_BANDS"]) == ["B04", "B02"]
        assert broken(tmp_path / "in.tif", tmp_path / f"{name}.tif") == []


@pytest.mark.parametrize("names", [(None, None, None), ("x", "x", "x"), ("2", "x", None)])
def test_bands_that_names_do_not_tell_are_told_by_number(
    names: tuple[str | None, ...], tiny_path: Path, tmp_path: Path, raster: Callable[..., Path]
) -> None:
    def describe(dataset: Any) -> None:
        for number, name in enumerate(names, 1):
            if name is not None:
                dataset.set_band_description(number, name)

    path = raster(scene().data.values[0], edit=describe)
    chosen = geomedsr.open(path).select([3, 1])
    geomedsr.write(geomedsr.upscale(chosen, tiny_path), tmp_path / "a.tif")
    assert broken(path, tmp_path / "a.tif") == []
    part = geomedsr.open(tmp_path / "a.tif")
    ranges = json.loads(provenance_of(part)["GEOMEDSR_VALUE_RANGE"])
    assert json.loads(provenance_of(part.select([2]))["GEOMEDSR_VALUE_RANGE"]) == ranges[1:]
    geomedsr.write(part.select([2]), tmp_path / "b.tif")  # still a result of the first file
    assert broken(path, tmp_path / "b.tif") == []
    np.testing.assert_array_equal(
        geomedsr.open(tmp_path / "b.tif").data.values[0, 0].reshape(24, 4, 20, 4).mean((1, 3)),
        geomedsr.open(path).data.values[0, 0],
    )


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
@pytest.mark.parametrize(
    ("asked", "roles"),
    [
        ("red=1,green=2,3", ["red", "green", None]),  # as the file has them
        ("nir=3,1", ["nir", None]),
        ("1,2,3", [None, None, None]),
    ],
)
def test_what_the_user_says_that_bands_show_is_kept_with_them(
    asked: str, roles: list[str | None], suffix: str, tiny_path: Path, tmp_path: Path, raster: Callable[..., Path]
) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    source, once, twice, turned = raster(scene().data.values[0]), *(tmp_path / f"{n}{suffix}" for n in "abc")
    words = ["--model", str(tiny_path), "--quiet"]
    assert main(["upscale", str(source), str(once), *words, "--bands", asked]) == 0
    result = geomedsr.open(once)
    assert [band.role for band in result.bands] == roles
    assert broken(source, once) == []
    assert main(["upscale", str(once), str(twice), *words]) == 0
    assert [band.role for band in geomedsr.open(twice).bands] == roles
    assert broken(once, twice) == []
    geomedsr.write(result.select(["swir=2", 1]), turned)
    assert [band.role for band in geomedsr.open(turned).bands] == ["swir", roles[0]]


def test_a_role_that_a_file_tells_wrongly_is_seen_and_taken_back(
    tiny_path: Path, tmp_path: Path, raster: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, once, twice = raster(scene().data.values[0]), tmp_path / "a.tif", tmp_path / "b.tif"
    words = ["--model", str(tiny_path), "--quiet"]
    assert main(["upscale", str(source), str(once), *words, "--bands", "red=1,nir=2,3"]) == 0
    assert main(["info", str(once), "--json"]) == 0
    assert [band["role"] for band in json.loads(capsys.readouterr().out)["bands"]] == ["red", "nir", None]
    assert main(["info", str(once)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  band ")]
    assert [line[line.index("shows") :] if "shows" in line else [] for line in lines] == [
        ["shows", "red"],
        ["shows", "nir"],
        [],
    ]
    assert "bands 3: 1 (red), 2 (nir), 3>" in repr(geomedsr.open(once))
    assert main(["upscale", str(once), str(twice), *words, "--bands", "=1, =2,red=3"]) == 0
    assert [band.role for band in geomedsr.open(twice).bands] == [None, None, "red"]
    assert [band.role for band in geomedsr.open(once).select(["=1", 2, 3]).bands] == [None, "nir", None]
    named = Scene.from_array(scene().data.values, bands=[Band("=2", role="red"), Band("b", role="nir"), Band("c")])
    assert [(band.name, band.role) for band in named.select(["=2", "=b"]).bands] == [("=2", "red"), ("b", None)]
    with pytest.raises(InputError, match="band '4'"):
        named.select(["=4"])


def test_a_model_of_named_bands_takes_a_result_whose_bands_the_user_told(
    tiny_path: Path, tmp_path: Path, raster: Callable[..., Path]
) -> None:
    joint = save_tiny(tmp_path / "joint.safetensors", channels=3, bands=("red", "green", "blue"))
    source, once, twice = raster(scene().data.values[0]), tmp_path / "a.tif", tmp_path / "b.tif"
    told = ["--bands", "blue=1,green=2,red=3"]
    assert main(["upscale", str(source), str(once), "--model", str(tiny_path), "--quiet", *told]) == 0
    with rasterio.open(once) as dataset:
        assert [dataset.tags(n) for n in (1, 2, 3)] == [{"GEOMEDSR_ROLE": n} for n in ("blue", "green", "red")]
    assert main(["upscale", str(once), str(twice), "--model", str(joint), "--quiet"]) == 0
    assert json.loads(provenance_of(geomedsr.open(twice))["GEOMEDSR_MODEL_BANDS"]) == {
        "red": "3",
        "green": "2",
        "blue": "1",
    }
    with rasterio.open(once, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(1, GEOMEDSR_ROLE="red")
    with pytest.raises(InputError, match="do not identify red, blue"):  # two bands say red
        geomedsr.upscale(geomedsr.open(once), joint)


def test_bands_chosen_of_a_result_are_its_own(tiny: Model, tmp_path: Path, raster: Callable[..., Path]) -> None:
    path, once, twice = raster(scene().data.values[0]), tmp_path / "a.tif", tmp_path / "b.tif"
    geomedsr.write(geomedsr.upscale(geomedsr.open(path).select([3, 1]), tiny), once)
    for picks, told in (([2], [2]), ([2, 1], [2, 1])):
        geomedsr.write(geomedsr.upscale(geomedsr.open(once).select(picks), tiny), twice, overwrite=True)
        assert json.loads(provenance_of(geomedsr.open(twice))["GEOMEDSR_BANDS"]) == told  # not 1 and 3, of the first
        assert broken(once, twice) == []


def test_all_bands_in_their_order_are_no_choice() -> None:
    assert provenance_of(scene().select([1, "b03", "B04"])) == {}


def retagged(path: Path, name: str, **tags: str) -> Path:
    """A copy of a result whose tags say something else."""
    copy = path.with_name(name)
    copy.write_bytes(path.read_bytes())
    with rasterio.open(copy, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(**tags)
    return copy


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_a_window_is_verified_as_that_part_of_the_source(
    suffix: str, tiny: Model, tiny_path: Path, tmp_path: Path, raster: Callable[..., Path]
) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    path = raster(scene().data.values[0])
    opened, whole, outer, window = geomedsr.open(path), Window(0, 0, 20, 24), Window(1, 2, 16, 20), Window(3, 5, 12, 10)
    chosen = opened.select([3, 1])
    made = {
        "before": geomedsr.upscale(chosen.crop(window), tiny),
        "selected": geomedsr.upscale(opened.crop(whole).crop(window).select([3, 1]), tiny),
        "nested": geomedsr.upscale(chosen.crop(outer).crop(Window(2, 3, 12, 10)), tiny),
        "after": geomedsr.upscale(chosen, tiny).crop(window.scaled(4)),
        "both": geomedsr.upscale(opened.crop(outer), tiny).select([3, 1]).crop(Window(8, 12, 48, 40)),
    }
    for name, sr in made.items():
        geomedsr.write(sr, tmp_path / f"{name}{suffix}")
    words = ["upscale", str(path), str(tmp_path / f"cli{suffix}"), "--model", str(tiny_path), "--quiet"]
    assert main([*words, "--bands", "3,1", "--window", "3,5,12,10"]) == 0
    for name in (*made, "cli"):
        result = geomedsr.open(tmp_path / f"{name}{suffix}")
        told = provenance_of(result)
        assert (told["GEOMEDSR_WINDOW"], json.loads(told["GEOMEDSR_BANDS"])) == ("3,5,12,10", ["3", "1"]), name
        size, *others = geomedsr.verify(path, tmp_path / f"{name}{suffix}")
        assert size.detail == "12 × 10 to 48 × 40, of the window 3,5,12,10"
        assert [check.promise for check in (size, *others) if check.kept is False] == [], name
        assert result.grid.affine @ (0, 0) == opened.grid.affine @ (3, 5)
        means = result.data.values[0].reshape(2, 10, 4, 12, 4).mean((2, 4))
        np.testing.assert_array_equal(means, opened.data.values[0, [2, 0], 5:15, 3:15])


def test_tampering_in_a_window_is_told(tiny: Model, tmp_path: Path, raster: Callable[..., Path]) -> None:
    path, out = raster(scene().data.values[0]), tmp_path / "out.tif"
    geomedsr.write(geomedsr.upscale(geomedsr.open(path), tiny).crop(Window(12, 20, 48, 40)), out)
    assert broken(path, out) == []
    changed = retagged(out, "changed.tif")
    with rasterio.open(changed, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        values = dataset.read(2)
        values[17, 9] += 40
        dataset.write(values, 2)
    assert broken(path, changed) == ["the mean of each 4 × 4 block is the source's pixel"]
    elsewhere = broken(path, retagged(out, "elsewhere.tif", GEOMEDSR_WINDOW="4,5,12,10"))
    assert elsewhere == [
        "same field of view: outer corners within 0.01 source pixel",
        "the mean of each 4 × 4 block is the source's pixel",
    ]
    for text in ("3,5,12,11", "9,5,12,10", "5/2,5,12,10", "1/0,5,12,10", "3,5,12", "-1,5,12,10", "1e9,5,12,10", "all"):
        (size,) = geomedsr.verify(path, retagged(out, "nonsense.tif", GEOMEDSR_WINDOW=text))
        assert (size.kept, "window" in size.detail) == (False, True), text


def test_windows_of_a_result_are_counted_in_pixels_of_its_source(
    tiny: Model, tmp_path: Path, raster: Callable[..., Path]
) -> None:
    path = raster(scene().data.values[0])
    opened = geomedsr.open(path)
    assert opened.crop(Window(3, 5, 12, 10)).provenance == {}  # it is no result
    sr = geomedsr.upscale(opened.crop(Window(3, 5, 12, 10)), tiny)
    assert sr.crop(Window(0, 0, 48, 40)).provenance == sr.provenance
    parts = sr.crop(Window(2, 4, 42, 30))
    assert parts.provenance["GEOMEDSR_WINDOW"] == "7/2,6,21/2,15/2"
    geomedsr.write(parts, tmp_path / "parts.tif")
    assert broken(path, tmp_path / "parts.tif") == ["every frame and band there, a whole factor finer"]
    geomedsr.write(parts.crop(Window(2, 0, 40, 28)), tmp_path / "pixels.tif")
    assert provenance_of(geomedsr.open(tmp_path / "pixels.tif"))["GEOMEDSR_WINDOW"] == "4,6,10,7"
    assert broken(path, tmp_path / "pixels.tif") == []
    geomedsr.write(geomedsr.open(tmp_path / "pixels.tif").crop(Window(8, 4, 16, 20)), tmp_path / "again.tif")
    assert provenance_of(geomedsr.open(tmp_path / "again.tif"))["GEOMEDSR_WINDOW"] == "6,7,4,5"
    assert broken(path, tmp_path / "again.tif") == []  # still a result of the first file


def test_a_window_cut_from_a_k_space_result_has_no_k_space_of_its_own(
    tmp_path: Path, raster: Callable[..., Path]
) -> None:
    model = geomedsr.load_model(save_tiny(tmp_path / "k.safetensors", 2, operator="k-space-crop"))
    path, window = raster(texture(1, 40, 36)), Window(4, 6, 20, 24)
    opened = geomedsr.open(path)
    results = {"before": geomedsr.upscale(opened.crop(window), model)}
    results["after"] = geomedsr.upscale(opened, model).crop(window.scaled(2))
    kept = {}
    for name, sr in results.items():
        geomedsr.write(sr, tmp_path / f"{name}.tif")
        assert broken(path, tmp_path / f"{name}.tif") == []
        (kept[name],) = (c for c in geomedsr.verify(path, tmp_path / f"{name}.tif") if "k-space" in c.promise)
    assert [check.kept for check in kept.values()] == [True, None]
    assert kept["after"].detail.startswith("a window of whole frames; largest deviation ")
    with rasterio.open(tmp_path / "before.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        values = dataset.read(1)
        values[9, 7] += 400
        dataset.write(values, 1)
    assert broken(path, tmp_path / "before.tif") == ["the central k-space is the source's, up to rounding and clipping"]


def test_a_result_made_finer_again_is_told_by_its_last_model_and_names_the_others(
    tiny_path: Path, tmp_path: Path
) -> None:
    model = geomedsr.load_model(tiny_path)
    once = f"{model.descriptor.name} {model.descriptor.version} ({model.sha256[:12]}) x{model.descriptor.scale}"
    geomedsr.write(geomedsr.upscale(scene().select([2, 1]), tiny_path), tmp_path / "1.tif")
    for number in (1, 2):
        last = geomedsr.open(tmp_path / f"{number}.tif")
        last = last.crop(geomedsr.Window(0, 0, 24, 24))
        geomedsr.write(geomedsr.upscale(last, tiny_path, conserve=False), tmp_path / f"{number + 1}.tif")
    told = provenance_of(geomedsr.open(tmp_path / "3.tif"))
    assert told["GEOMEDSR_BEFORE"] == f"{once}, {once}"
    assert told["GEOMEDSR_SOURCE"] == "2.tif"
    assert told["GEOMEDSR_NOTE"].startswith("Detail finer than 64 pixels")
    assert told["GEOMEDSR_CONSERVED"] == "no"
    assert "GEOMEDSR_BANDS" not in told  # the first pass's choice, not this one's
    assert told["GEOMEDSR_WINDOW"] == "0,0,24,24"
    assert broken(tmp_path / "1.tif", tmp_path / "2.tif") == broken(tmp_path / "2.tif", tmp_path / "3.tif") == []
    assert "GEOMEDSR_BEFORE" not in provenance_of(geomedsr.open(tmp_path / "1.tif"))


def test_attributes_of_an_array_that_is_made_finer_again_are_not_kept(tiny_path: Path) -> None:
    array = xr.DataArray(scene().data.values[0], dims=("band", "y", "x"), attrs={"GEOMEDSR_OLD": "1", "title": "t"})
    again = array.geomedsr.upscale(tiny_path)
    assert "GEOMEDSR_OLD" not in again.attrs
    assert again.attrs["title"] == "t"
    assert "GEOMEDSR_BEFORE" not in again.attrs
    assert again.geomedsr.upscale(tiny_path).attrs["GEOMEDSR_BEFORE"].endswith(" x4")
    assert again.attrs["GEOMEDSR_MODEL"] == geomedsr.load_model(tiny_path).descriptor.name


def test_a_list_of_bands_that_is_nested_without_end_is_none() -> None:
    endless = {"GEOMEDSR_BANDS": "[" * 100_000}
    assert picked(Provenance.of(endless), ["a", "b"], [1]) == {"GEOMEDSR_BANDS": '["b"]'}
    source = scene()
    assert taken(source, replace(source, provenance=endless)) is source
