"""The promises of the engine: seamless, conserved, nothing leaks from under a mask."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import torch
from conftest import block_sums, save_tiny, texture
from hypothesis import given
from hypothesis import strategies as st

import geomedsr
from geomedsr import Band, Model, Scene, Window
from geomedsr.errors import DeviceError, InputError, ModelError, SceneWarning
from geomedsr.geometry import Box, Factors
from geomedsr.models import load_model
from geomedsr.models.compact import Compact
from geomedsr.models.interpolation import merged
from geomedsr.models.ports import IMAGE
from geomedsr.operators.conserve import conserve
from geomedsr.operators.sub_pixel import split

ALL_DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


def untiled(array: np.ndarray, model: Model) -> np.ndarray:
    """One call of the module on the reflect-padded scene, independent of the engine's reading and padding."""
    halo, scale = model.radius, model.descriptor.scale
    values = Scene.from_array(array).values
    padded = array[None]
    for axis in (2, 3):
        pads = [(0, 0)] * 4
        pads[axis] = (halo, halo)
        padded = np.pad(padded, pads, mode="reflect" if array.shape[axis - 1] > 1 else "edge")
    with torch.inference_mode():
        fine = model.module(values.normalise(padded).transpose(0, 1)).transpose(0, 1).numpy()
    fine = fine[..., halo * scale : -halo * scale, halo * scale : -halo * scale]
    return conserve(array[None], split(fine, Factors.in_plane(scale)), Factors.in_plane(scale), values.bounds()[1])


@given(st.data())
def test_tiles_equal_the_untiled_call(tiny: Model, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(ALL_DTYPES))
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    high = 120 if np.dtype(dtype).itemsize == 1 else 30_000
    if dtype in ("int32", "int64", "float64"):
        high = 2_000_000_000  # a wide range shows differences in the network's last bits
    array = texture(2, height, width, dtype, seed=data.draw(st.integers(0, 99)), low=1, high=high)
    tile = data.draw(st.integers(1, 80))
    if tile < 12:
        tile = max(tile, height // 4, width // 4, 1)
    expected = untiled(array, tiny)
    got = geomedsr.upscale(Scene.from_array(array), tiny, tile=tile).data.values
    assert got.dtype == array.dtype
    assert expected.shape == got.shape
    if np.dtype(dtype).kind == "f":
        span = float(array.max()) - float(array.min()) or 1.0
        assert np.abs(got.astype(float) - expected).max() <= 1e-5 * span
    else:
        different = got != expected
        assert different.sum() <= max(1, 1e-3 * different.size)  # tiny scenes have fewer than a thousand pixels
        assert np.abs(got.astype(object) - expected.astype(object)).max() <= 1
    repeated = array[None].repeat(4, -2).repeat(4, -1)
    if array.min() != array.max():
        assert (got != repeated).any()  # the network had its say


def test_no_difference_gathers_at_tile_borders(tiny: Model) -> None:
    array = texture(1, 130, 141, "int32", low=0, high=2_000_000_000)
    scene = Scene.from_array(array)
    one = geomedsr.upscale(scene, tiny, tile=32).data.values
    other = geomedsr.upscale(scene, tiny, tile=1000).data.values
    assert (one != other).mean() < 1e-3
    near = np.zeros(one.shape, bool)
    for line in range(128, 520, 128):
        near[..., line - 4 : line + 4, :] = True
    assert (one != other)[near].mean() < 1e-3


@pytest.mark.parametrize("tile", [16, 50, 256])
def test_threads_and_order_change_no_bit(tiny: Model, tmp_path: Path, tile: int) -> None:
    array = texture(3, 90, 70, "float32")
    sr = geomedsr.upscale(Scene.from_array(array), tiny, tile=tile)
    geomedsr.write(sr, tmp_path / "one.tif", workers=1)
    geomedsr.write(sr, tmp_path / "four.tif", workers=4)
    one, four = (geomedsr.open(tmp_path / f"{n}.tif").data.values for n in ("one", "four"))
    assert (one == four).all()
    assert (one == sr.data.values).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "int64"])
def test_integers_are_conserved_bit_for_bit(tiny: Model, dtype: str) -> None:
    high = 255 if dtype == "uint8" else 30_000
    array = texture(2, 40, 33, dtype, low=0, high=high)
    array[0, :5] = np.iinfo(dtype).max
    array[1, :5] = np.iinfo(dtype).min
    out = geomedsr.upscale(Scene.from_array(array), tiny, tile=16).data.values[0]
    assert (block_sums(out, 4) == array.astype(object) * 16).all()


def test_a_window_of_the_result_equals_that_part_of_the_whole(tiny: Model) -> None:
    scene = Scene.from_array(texture(2, 60, 80))
    sr = geomedsr.upscale(scene, tiny, tile=24)
    whole = sr.data.values
    part = sr.crop(Window(37, 101, 90, 70))
    assert (part.data.values == whole[..., 101:171, 37:127]).all()
    assert (sr.data[..., :5, :7].values == whole[..., :5, :7]).all()
    assert (sr.select([2]).data.values == whole[:, 1:]).all()


def masked(array: np.ndarray, hole: np.ndarray, under: float) -> Scene:
    filled = np.where(hole, np.asarray(under).astype(array.dtype), array)
    return Scene.from_array(filled, valid=~hole)


def test_results_that_look_alike_are_told_apart_by_dask(tiny: Model) -> None:
    """Of two arrays with one name dask computes one, for both; names come from what pixels follow from."""
    scene, whole = Scene.from_array(texture(1, 60, 60)), Scene.from_array(texture(1, 24, 24)).with_range(0, 5000)
    alike = {
        "windows": [scene.crop(Window(place, place, 24, 24)) for place in (0, 30)],
        "arrays": [Scene.from_array(texture(1, 24, 24, seed=seed)).with_range(0, 5000) for seed in (0, 1)],
        "masks": [masked(texture(1, 24, 24), np.eye(24, k=k, dtype=bool)[None], 9).with_range(0, 9) for k in (0, 3)],
        "limits": [replace(whole, bands=(Band("1", limits=(0, most)),)) for most in (3000, 4000)],
    }
    for what, scenes in alike.items():
        made = [geomedsr.upscale(part, tiny) for part in scenes]
        alone = [sr.source.read(Box.of(0, Window(0, 0, 96, 96))) for sr in made]
        assert (alone[0] != alone[1]).any(), what
        for together, own in zip(dask.compute(*(sr.data.data for sr in made)), alone, strict=True):
            np.testing.assert_array_equal(together, own, err_msg=what)
    again = geomedsr.upscale(whole, tiny)
    assert again.data.data.name == geomedsr.upscale(alike["arrays"][0], tiny).data.data.name


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int32"])
def test_what_lies_under_a_mask_changes_no_valid_pixel(tiny: Model, dtype: str) -> None:
    array = texture(2, 60, 70, dtype)
    hole = np.zeros(array.shape, bool)
    hole[:, 20:40, 30:33] = True
    hole[:, np.add.outer(np.arange(60), np.arange(70)) > 105] = True
    hole[1, 5, 5] = True
    outs = []
    for under in (0, 1, np.iinfo(dtype).max if dtype != "float32" else 3e38, 4000):
        scene = masked(array, hole, under)
        for tile in (13, 100):
            outs.append(geomedsr.upscale(scene, tiny, tile=tile).data.values)
    data = ~hole.repeat(4, -2).repeat(4, -1)[None]
    for out in outs[1:]:
        assert (out[data] == outs[0][data]).all()
    assert (block_sums(outs[0][0], 4)[~hole] == array.astype(object)[~hole] * 16).all() or dtype == "float32"


def test_nan_and_infinity_stay_where_they_are(tiny: Model) -> None:
    array = texture(1, 40, 40, "float32")
    clean = geomedsr.upscale(Scene.from_array(array).with_range(0, 5000), tiny).data.values
    dirty = array.copy()
    dirty[0, 20, 20], dirty[0, 5, 30], dirty[0, 6, 30] = np.nan, np.inf, -np.inf
    out = geomedsr.upscale(Scene.from_array(dirty).with_range(0, 5000), tiny).data.values[0, 0]
    assert np.isnan(out[80:84, 80:84]).all()
    assert (out[20:24, 120:124] == np.inf).all()
    assert (out[24:28, 120:124] == -np.inf).all()
    assert np.isfinite(out).sum() == out.size - 3 * 16
    assert (out[(21 + tiny.radius) * 4 :] == clean[0, 0, (21 + tiny.radius) * 4 :]).all()


@pytest.mark.parametrize("nodata", [0, 1, 777, 65535])
def test_no_valid_pixel_takes_the_nodata_value_in_a_scene(tiny: Model, nodata: int) -> None:
    array = texture(1, 40, 40, low=0, high=1600)
    array[0, :8] = 65534
    array[array == nodata] = nodata + 1 if nodata < 65535 else nodata - 1
    hole = np.zeros(array.shape, bool)
    hole[0, 12:18, 3:30] = True
    array[hole] = nodata
    scene = Scene.from_array(array, valid=~hole, bands=[Band("a", nodata=nodata)])
    for on in (True, False):
        sr = geomedsr.upscale(scene, tiny, tile=17, conserve=on)
        out, valid = sr.data.values, sr.valid.values
        assert ((out == nodata) == ~valid).all()
        assert (~valid).sum() == hole.sum() * 16


def test_bands_with_nodata_values_of_their_own_become_one_or_are_refused(tiny: Model) -> None:
    array = texture(2, 20, 20, "uint8", low=10, high=200)
    array[0, 3, 3], array[1, 4, 4] = 0, 255
    valid = np.stack([array[0] != 0, array[1] != 255])
    bands = [Band("a", nodata=0), Band("b", nodata=255)]
    with pytest.warns(SceneWarning, match=r"different nodata values \(0, 255\): .* have 0 in all bands"):
        out = geomedsr.upscale(Scene.from_array(array, valid=valid, bands=bands), tiny).data.values[0]
    assert (out[1, 16:20, 16:20] == 0).all()
    assert (out == 0).sum() == 32
    array[1, 9, 9] = 0  # valid there, but it would read as nodata
    with pytest.warns(SceneWarning, match="nodata"), pytest.raises(InputError, match="band b equal to 0"):
        geomedsr.upscale(Scene.from_array(array, valid=valid, bands=bands), tiny).data.compute()


def test_classes_and_alpha_are_repeated(tiny: Model) -> None:
    array = texture(3, 20, 20, "uint8", low=0, high=255)
    scene = Scene.from_array(array).with_nearest([2])
    out = geomedsr.upscale(scene, tiny, tile=9).data.values[0]
    assert (out[1] == array[1].repeat(4, 0).repeat(4, 1)).all()
    alone = geomedsr.upscale(Scene.from_array(array).select([1, 3]), tiny).data.values[0]
    assert (out[[0, 2]] == alone).all()
    all_classes = geomedsr.upscale(Scene.from_array(array).with_nearest([1, 2, 3]), tiny).data.values[0]
    assert (all_classes == array.repeat(4, 1).repeat(4, 2)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (3, 3), (2, 100)])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_tiny_images(tiny: Model, shape: tuple[int, int], dtype: str) -> None:
    array = texture(1, *shape, dtype, low=5, high=200)
    out = geomedsr.upscale(Scene.from_array(array), tiny).data.values[0]
    assert out.shape == (1, shape[0] * 4, shape[1] * 4)
    sums = block_sums(out, 4)
    np.testing.assert_allclose(sums.astype(float), array * 16.0, rtol=1e-12)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_image_stays_constant(tmp_path: Path, value: int) -> None:
    model = geomedsr.load_model("satellite-x4")
    out = geomedsr.upscale(Scene.from_array(np.full((1, 30, 30), value, np.uint8)), model).data.values
    mean = out.reshape(30, 4, 30, 4).mean((1, 3))
    assert (mean == value).all()


def test_all_nodata_stays_all_nodata(tiny: Model) -> None:
    array = np.zeros((2, 12, 12), np.int16)
    bands = [Band("a", nodata=0), Band("b", nodata=0)]
    sr = geomedsr.upscale(Scene.from_array(array, valid=array != 0, bands=bands), tiny)
    assert (sr.data.values == 0).all()
    assert not sr.valid.values.any()


def test_without_conserving_the_networks_own_means_stand(tiny: Model) -> None:
    array = texture(1, 30, 30)
    out = geomedsr.upscale(Scene.from_array(array), tiny, conserve=False)
    assert out.provenance["GEOMEDSR_CONSERVED"] == "no"
    assert (block_sums(out.data.values[0], 4) != array.astype(object) * 16).any()


def test_joint_models_need_their_bands(tmp_path: Path) -> None:
    model = geomedsr.load_model(save_tiny(tmp_path / "rgb.safetensors", channels=3))
    array = texture(3, 20, 20)
    out = geomedsr.upscale(Scene.from_array(array), model, tile=7)
    assert (block_sums(out.data.values[0], 4) == array.astype(object) * 16).all()
    with pytest.raises(InputError, match="2 bands for the model tiny of 3 channels"):
        geomedsr.upscale(Scene.from_array(array[:2]), model)
    with pytest.raises(InputError, match="jointly"):
        out.select([1])


def test_a_given_range_is_used_and_recorded(tiny: Model) -> None:
    scene = Scene.from_array(texture(1, 20, 20))
    sr = geomedsr.upscale(scene.with_range(0, 10_000), tiny)
    assert sr.provenance["GEOMEDSR_VALUE_RANGE"] == "[[0.0, 10000.0]]"
    assert (sr.data.values != geomedsr.upscale(scene, tiny).data.values).any()


def test_a_range_that_overflows_the_network_is_an_error_not_garbage(tiny: Model) -> None:
    sr = geomedsr.upscale(Scene.from_array(texture(1, 9, 9)).with_range(0, 1e-37), tiny)
    with pytest.raises(ModelError, match="not finite"):
        sr.data.compute()


def test_the_grid_is_finer_over_the_same_ground(tiny_x2: Model, raster: Callable[..., Path]) -> None:
    scene = geomedsr.open(raster(texture(1, 10, 12)))
    sr = geomedsr.upscale(scene, tiny_x2)
    assert sr.grid.bounds == scene.grid.bounds
    assert sr.grid.affine.a == 5
    assert float(sr.data.x[0]) == 435732.5


def test_wrong_options_are_named(tiny: Model) -> None:
    scene = Scene.from_array(texture(1, 10, 10))
    with pytest.raises(InputError, match="tile of 0"):
        geomedsr.upscale(scene, tiny, tile=0)
    with pytest.raises(DeviceError, match="'tpu'"):
        geomedsr.upscale(scene, tiny, device="tpu")
    with pytest.raises(ModelError):
        geomedsr.upscale(scene, "nothing")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="0 CUDA devices"):
            geomedsr.upscale(scene, tiny, device="cuda:0")
    palette = Scene.from_array(texture(1, 9, 9, "uint8", low=0, high=9), bands=[Band("1", interpretation="palette")])
    with pytest.raises(InputError, match="-expand rgb"):
        geomedsr.upscale(palette, tiny)
    kept = replace(palette, bands=(replace(palette.bands[0], kind="nearest"),))
    assert geomedsr.upscale(kept, tiny).shape == (1, 1, 36, 36)


def test_a_lazy_array_is_never_computed_whole(tiny: Model, tmp_path: Path) -> None:

    sizes = []

    def block(block_info: dict[None, dict[str, tuple[int, ...]]]) -> np.ndarray:
        sizes.append(block_info[None]["chunk-location"])
        return np.full(block_info[None]["chunk-shape"], 5, np.uint16)

    lazy = da.map_blocks(
        block, chunks=((1,), (64,) * 4, (64,) * 4), dtype=np.uint16, meta=np.empty((0, 0, 0), np.uint16)
    )
    sr = geomedsr.upscale(Scene.from_array(lazy).with_range(0, 10), tiny, tile=64)
    assert sizes == []
    geomedsr.write(sr.crop(Window(0, 0, 256, 256)), tmp_path / "corner.tif")
    assert len(set(sizes)) == 4  # the corner's chunk and the halo's, not 16


@pytest.mark.parametrize("blocks", [0, 3])
@pytest.mark.parametrize("scale", [2, 3])
def test_leaving_out_the_halo_layer_by_layer_changes_nothing(blocks: int, scale: int) -> None:
    torch.manual_seed(0)
    network = Compact(scale, 2, 8, blocks).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.2)
    image, edge = torch.rand(2, 2, 60, 50), network.receptive_radius * scale
    with torch.inference_mode():
        whole, part = network(image), merged(network.planes({IMAGE: image})[IMAGE])
    assert part.shape == (2, 2, 60 * scale - 2 * edge, 50 * scale - 2 * edge)
    torch.testing.assert_close(part, whole[..., edge:-edge, edge:-edge], rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["compact", "srresnet", "rrdb"])
def test_reduced_precision_is_seamless_and_conserved(architecture: str, tmp_path: Path) -> None:
    """On any CPU: where it has no bfloat16, torch computes the same more slowly."""
    options = {"compact": {"width": 16, "blocks": 2}, "srresnet": {"width": 8, "blocks": 1}}
    path = save_tiny(
        tmp_path / "m.safetensors",
        architecture=architecture,
        options=options.get(architecture, {"width": 8, "growth": 4, "blocks": 1}),
        size=0.05,
    )
    model = load_model(path)
    array = texture(1, 150, 170)
    scene = Scene.from_array(array)
    one, other = (geomedsr.upscale(scene, model, tile=t, precision="bfloat16") for t in (64, 1000))
    exact = geomedsr.upscale(scene, model, precision="float32").data.values
    assert one.provenance["GEOMEDSR_PRECISION"] == "bfloat16"
    low, high = one.data.values, other.data.values
    assert (block_sums(low[0], 4) == 16 * array.astype(object)).all()
    assert (low != high).mean() < 1e-3
    assert np.abs(low.astype(int) - high).max() <= 1
    span = float(array.max()) - float(array.min())
    assert 0 < np.abs(low.astype(float) - exact).max() < 0.02 * span


def test_the_card_decides_the_precision(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene.from_array(texture(1, 40, 40))
    tolerant = load_model(save_tiny(tmp_path / "m.safetensors", precision="bfloat16"))
    for fast, wanted in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr("geomedsr.inference.runtime.fast_bfloat16", lambda place, fast=fast: fast)
        assert geomedsr.upscale(scene, tolerant).provenance["GEOMEDSR_PRECISION"] == wanted
        assert geomedsr.upscale(scene, tiny).provenance["GEOMEDSR_PRECISION"] == "float32"
    with pytest.raises(DeviceError, match="the precision 'float8'"):
        geomedsr.upscale(scene, tiny, precision="float8")
