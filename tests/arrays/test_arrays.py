"""Files of arrays: what NumPy reads, what comes back as a scene, how jobs end, and training on them."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import pixels, recipe_file, texture

import geomedsr
from geomedsr import Band, Model, Scene, Window
from geomedsr.cli import main
from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Grid, Plane
from geomedsr.inference.passes import boxes_of
from geomedsr.io import open_sink
from geomedsr.scene.sources import Array
from geomedsr.training import load_recipe, train
from geomedsr.training.data import training_scenes
from geomedsr_arrays import save


def masks(scene: Scene) -> Array:
    return scene.source.valid(Box.of(slice(0, scene.shape[0]), Window(0, 0, scene.shape[3], scene.shape[2])))


@pytest.mark.parametrize("shape", [(20, 30), (3, 20, 30), (2, 3, 20, 30)])
@pytest.mark.parametrize("ending", ["npy", "npz", "compressed.npz"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_whatever_numpy_saves_is_a_scene(tmp_path: Path, shape: tuple[int, ...], ending: str, order: Any) -> None:
    array = np.arange(np.prod(shape), dtype="int16").reshape(shape).copy(order)
    path = tmp_path / f"a.{ending}"
    if ending == "npy":
        np.save(path, array)
    else:
        (np.savez_compressed if "compressed" in ending else np.savez)(path, array)
    scene = geomedsr.open(path)
    assert scene.shape == (1, 1, *shape)[-4:]
    assert scene.dtype == np.int16
    assert (pixels(scene) == array).all()
    part = pickle.loads(pickle.dumps(scene.select([scene.shape[1]]).source))  # bands count from 1
    window = Window(3, 5, 7, 4)
    assert (part.read(Box.of(0, window)) == array.reshape(scene.shape)[:1, -1:, 5:9, 3:10]).all()


def test_a_mask_and_values_are_found_by_their_names(tmp_path: Path) -> None:
    values, valid = texture(2, 20, 30), np.ones((2, 20, 30), bool)
    valid[:, :5] = False
    np.savez(tmp_path / "a.npz", values=values, valid=valid, more=values)
    scene = geomedsr.open(tmp_path / "a.npz")
    assert (pixels(scene)[0] == values).all()
    assert (masks(scene)[0] == valid).all()
    assert scene.values.measured[0] == pytest.approx(np.percentile(values[0, 5:], (1, 99)))


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        (
            {"a": np.ones((2, 2)), "b": np.ones((2, 2))},
            r"with the arrays a, b, expected one, or one that is called",
        ),
        ({"a": np.ones(4)}, r"an array of shape \(4,\) and type float64, expected an array of 2 to 4 axes"),
        ({"a": np.ones((2, 0))}, r"an array of shape \(2, 0\)"),
        ({"a": np.ones((2, 2), complex)}, r"type complex128"),
        ({"a": np.ones((2, 2), ">i2")}, r"type >i2"),
        ({"a": np.array([[object()]])}, r"which is not readable \(Python objects, which are not read\)"),
        ({"a": np.ones((4, 4)), "valid": np.ones((4, 3), bool)}, r"whose array valid has shape \(4, 3\)"),
        ({"a": np.ones((4, 4)), "geomedsr": np.array("{}")}, r"whose array geomedsr is not what geomedsr writes"),
    ],
)
def test_what_is_no_scene_is_told_in_one_line(tmp_path: Path, arrays: dict[str, Any], told: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=told) as caught:
        geomedsr.open(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("left", [0, 3, 100, 1000])
def test_a_file_that_is_cut_short_is_told(tmp_path: Path, name: str, left: int) -> None:
    save_as = np.save if name.endswith("y") else np.savez
    save_as(tmp_path / name, texture(1, 40, 40))  # type: ignore[operator]
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:left])
    with pytest.raises(InputError, match="which is not readable"):
        pixels(geomedsr.open(tmp_path / name))


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path / "no.npz")]) == 2
    assert "no.npz, which does not exist" in capsys.readouterr().err


@pytest.fixture
def rich(raster: Callable[..., Path]) -> Scene:
    """A raster with a nodata value, a band of classes, tags, scale and offset."""
    array = texture(3, 90, 70)
    array[:, :9] = 0

    def edit(dataset: Any) -> None:
        dataset.update_tags(PLACE="coast")
        dataset.set_band_description(2, "green")
        dataset.scales, dataset.offsets = (1e-4,) * 3, (-0.1,) * 3

    return geomedsr.open(raster(array, nodata=0, edit=edit)).with_nearest([3])


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_nothing_is_lost_on_the_way(rich: Scene, tiny: Model, tmp_path: Path, ending: str) -> None:
    sr = geomedsr.upscale(rich, tiny, tile=32)
    out = tmp_path / f"sr.{ending}"
    geomedsr.write(sr, out)
    loaded = np.load(out)
    values = loaded if ending == "npy" else loaded["values"]
    assert (values == pixels(sr)).all()
    back = geomedsr.open(out)
    assert (pixels(back) == pixels(sr)).all()
    assert (masks(back) == masks(sr)).all()
    assert not masks(back)[..., :36, :].any()
    assert (back.grid.affine, back.grid.crs, back.bands) == (sr.grid.affine, sr.grid.crs, sr.bands)
    assert back.tags[""]["PLACE"] == "coast"
    assert back.tags[""]["GEOMEDSR_MODEL_SHA256"] == tiny.sha256
    assert back.values == sr.values
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_series_keeps_its_planes_and_lines(tiny_x2: Model, tmp_path: Path) -> None:
    planes = tuple(Plane((0.0, 0.0, 5.0 * i), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.7, 0.7)) for i in range(3))
    stack = np.stack([texture(1, 24, 20, "int16", seed=i) for i in range(3)])
    scene = Scene.from_array(stack, grid=Grid((24, 20), planes=planes), domain="CT")
    scene = replace(scene, rescale=((1.0, -1024.0), (2.0, -1000.0), (1.0, 0.0)))
    geomedsr.write(geomedsr.upscale(scene, tiny_x2), tmp_path / "sr.npz")
    back = geomedsr.open(tmp_path / "sr.npz")
    assert back.grid.planes == scene.grid.scaled(2).planes
    assert (back.rescale, back.domain) == (scene.rescale, "CT")
    assert (pixels(back) == pixels(geomedsr.upscale(scene, tiny_x2))).all()


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_job_goes_on_to_the_same_pixels(rich: Scene, tiny: Model, tmp_path: Path, ending: str) -> None:
    sr, out = geomedsr.upscale(rich, tiny, tile=16), tmp_path / f"sr.{ending}"
    regions = list(boxes_of(sr.source))
    sink = open_sink(sr, out)
    for region in regions[:7]:
        sink.put(region, sr.source.read(region), sr.source.valid(region))
    sink.release()
    written = geomedsr.write(sr, out)
    assert (written.resumed, written.regions) == (7, len(regions))
    assert (pixels(geomedsr.open(out)) == pixels(sr)).all()


def test_a_file_that_was_being_joined_is_joined_again(rich: Scene, tiny: Model, tmp_path: Path) -> None:
    sr, out = geomedsr.upscale(rich, tiny), tmp_path / "sr.npy"
    sink: Any = open_sink(sr, out)
    (region,) = boxes_of(sr.source)
    sink.put(region, pixels(sr), masks(sr))
    with open(sink.scratch.folder / "values.npy", "ab") as file:
        file.write(b"half of what comes after")
    sink.release()
    assert geomedsr.write(sr, out).resumed == 1
    assert (masks(geomedsr.open(out)) == masks(sr)).all()
    with pytest.raises(OutputError, match="which exists"):
        geomedsr.write(sr, out)
    geomedsr.write(sr, out, overwrite=True)
    assert (pixels(geomedsr.open(out)) == pixels(sr)).all()


def test_on_the_command_line(rich: Scene, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(rich, tmp_path / "in.npz")
    words = ["upscale", str(tmp_path / "in.npz"), str(tmp_path / "out.npy"), "--model", str(tiny_path), "--quiet"]
    assert main(words) == 0
    assert main(["verify", str(tmp_path / "in.npz"), str(tmp_path / "out.npy")]) == 0
    assert "broken" not in capsys.readouterr().out
    assert main([*words, "--overwrite", "--format", "zarr"]) == 2
    assert "the option format for arrays" in capsys.readouterr().err


def test_training_on_arrays_is_training_on_the_files(raster: Callable[..., Path], tmp_path: Path) -> None:
    """The value scale goes with the arrays: of a large raster it is measured on an overview."""
    scene = geomedsr.open(raster(texture(2, 96, 96), name="a.tif"))
    save(scene, tmp_path / "a.npz")
    stored = json.loads(np.load(tmp_path / "a.npz")["geomedsr"].item())
    assert stored["scale"]["low"] == [list(scene.values.low[0])]
    found = []
    for name in ("a.tif", "a.npz"):
        path = recipe_file(tmp_path, data={"root": str(tmp_path), "train": [{"path": name, "attribution": "none"}]})
        words = ["content.batch=2", "content.patch=32", "device=cpu"]
        (read,) = training_scenes(load_recipe(path, words))
        assert read.values == scene.values
        made = train(load_recipe(path, words), tmp_path / f"run-{name}", quiet=True)
        found.append(geomedsr.load_model(made).module.state_dict())
    assert all((found[0][key] == found[1][key]).all() for key in found[0])


def test_the_text_is_plain_yaml_too(rich: Scene, tmp_path: Path) -> None:
    """No numbers of NumPy's, no tuples: any reader of JSON takes it."""
    bands = [replace(band, nodata=np.float32(7)) for band in rich.bands]
    save(replace(rich, bands=(*bands[:2], Band("x", palette={1: (2, 3, 4, 5)}, limits=(1, 5)))), tmp_path / "a.npz")
    facts = yaml.safe_load(np.load(tmp_path / "a.npz")["geomedsr"].item())
    assert facts["bands"][0]["nodata"] == 7
    back = geomedsr.open(tmp_path / "a.npz").bands[2]
    assert (back.palette, back.limits) == ({1: (2, 3, 4, 5)}, (1, 5))
