"""Models that see neighbouring slices: which they see, and that a slice alone is that slice of the whole."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FLOAT32, block_sums, save_tiny, texture

import geomedsr
from geomedsr import Band, Grid, Model, Scene, Window
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.grid import Plane
from geomedsr.inference.memory import Need
from geomedsr.models import load_model, save_model
from geomedsr.models.store import build
from geomedsr.operators.conserve import conserve
from geomedsr.operators.sub_pixel import split
from geomedsr.scene.sources import Source


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "three.safetensors"
    return load_model(save_tiny(path, 2, name="three", neighbours=1, size=0.12))


def slices(count: int, height: int = 30, width: int = 26, bands: int = 1) -> Scene:
    planes = tuple(Plane((0, 0, 3 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(count))
    values = np.stack([texture(bands, height, width, seed=i, low=20000, high=24000) for i in range(count)])
    grid = Grid((height, width), planes=planes)
    return Scene.from_array(values, grid=grid, bands=[Band(str(i)) for i in range(bands)])


def copier(path: Path, frame: int, **card: object) -> Model:
    """×2 and two slices on each side, by weights that show slice ``frame`` of the five, as it is, and nothing else.

    The middle slice's bicubic skip is made 0, so that only what the convolutions pass on is left.
    """
    facts = {"architecture": "compact", "options": {"width": 1, "blocks": 0}, "neighbours": 2}
    save_tiny(path, 2, size=0.0, **(facts | card))
    descriptor = load_model(path).descriptor
    module = build(descriptor)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.head.weight[0, frame, 1, 1] = 1
        module.tail.weight[:, 0, 1, 1] = 0.5  # deep and shallow are the same without blocks, and are added
    save_model(module, descriptor, path)
    model = load_model(path)
    model.module.skip.kernel.zero_()
    return model


@pytest.mark.parametrize(
    ("frame", "shown"), [(0, [0, 0, 0, 1]), (1, [0, 0, 1, 2]), (2, [0, 1, 2, 3]), (3, [1, 2, 3, 3]), (4, [2, 3, 3, 3])]
)
def test_weights_that_copy_a_neighbour_show_it(tmp_path: Path, frame: int, shown: list[int]) -> None:
    """The first and the last slice are repeated past the ends."""
    model = copier(tmp_path / f"copy{frame}.safetensors", frame)
    scene = slices(4).with_range(20000, 24000)
    got = geomedsr.upscale(scene, model, conserve=False).data.values
    np.testing.assert_allclose(got, scene.data.values[shown].repeat(2, -2).repeat(2, -1), atol=1)


def test_a_slice_alone_is_that_slice_of_the_series_bit_for_bit(three: Model) -> None:
    sr = geomedsr.upscale(slices(5, bands=2), three)
    whole = sr.source.read(Box.of(slice(0, 5), Window(0, 0, 52, 60)))
    np.testing.assert_array_equal(sr.data.values, whole)
    for frame in range(5):
        np.testing.assert_array_equal(sr.source.read(Box.of(frame, Window(0, 0, 52, 60)))[0], whole[frame])
    part = sr.source.read(Box.of(slice(2, 4), Window(7, 11, 20, 31)))
    np.testing.assert_array_equal(part, whole[2:4, :, 11:42, 7:27])
    np.testing.assert_array_equal(sr.select([2]).data.values, whole[:, 1:])


def test_each_of_several_volumes_is_as_alone(three: Model) -> None:
    first = slices(3)
    both = np.concatenate([first.data.values, first.data.values[::-1] + 900])
    grid = Grid(first.grid.shape, planes=first.grid.planes * 2)
    scene = Scene.from_array(both, grid=grid).with_range(20000, 25000)
    second = Scene.from_array(both[3:], grid=first.grid).with_range(20000, 25000)
    got = geomedsr.upscale(scene, three).data.values
    np.testing.assert_array_equal(got[:3], geomedsr.upscale(first.with_range(20000, 25000), three).data.values)
    np.testing.assert_array_equal(got[3:], geomedsr.upscale(second, three).data.values)


def by_hand(scene: Scene, model: Model, frame: int) -> np.ndarray:
    """A slice by one call of the module, its neighbours gathered and padded with numpy."""
    last, halo = scene.shape[0] - 1, model.radius
    values = scene.data.values.astype(np.float64)
    low, span = scene.values.bounds()
    fine = []
    for band in range(scene.shape[1]):
        seen = [values[min(max(i, 0), last), band] for i in (frame - 1, frame, frame + 1)]
        seen = [(plane - low[0, band]) / span[0, band] for plane in seen]
        padded = np.stack([np.pad(plane, halo, mode="reflect") for plane in seen]).astype(np.float32)
        with torch.inference_mode():
            made = model.module(torch.from_numpy(padded)[None]).numpy()
        fine.append(made[:, :, 2 * halo : -2 * halo, 2 * halo : -2 * halo])
    return conserve(
        scene.data.values[frame : frame + 1],
        split(np.concatenate(fine, 1), Factors.in_plane(2)),
        Factors.in_plane(2),
        span,
    )[0]


@pytest.mark.parametrize("frame", [0, 1, 3])
def test_the_engine_gives_the_network_what_stands_beside_a_slice(three: Model, frame: int) -> None:
    scene = slices(4, bands=2)
    got = geomedsr.upscale(scene, three).data.values[frame]
    difference = np.abs(got.astype(int) - by_hand(scene, three, frame).astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_the_tile_changes_no_bit_and_the_slice_itself_is_conserved(three: Model) -> None:
    scene = slices(3, 70, 53)
    whole = geomedsr.upscale(scene, three).data.values
    for tile in (16, 29):
        np.testing.assert_array_equal(geomedsr.upscale(scene, three, tile=tile).data.values, whole)
    assert (block_sums(whole, 2) == scene.data.values.astype(object) * 4).all()


def test_a_neighbour_changes_the_prediction_and_slices_further_away_do_not(three: Model) -> None:
    scene = slices(5).with_range(20000, 24000)
    before = geomedsr.upscale(scene, three).data.values
    values = scene.data.values.copy()
    values[3] = values[3, :, ::-1]
    after = geomedsr.upscale(Scene.from_array(values, grid=scene.grid).with_range(20000, 24000), three).data.values
    assert [(a != b).any() for a, b in zip(before, after, strict=True)] == [False, False, True, True, True]


def test_what_lies_under_a_neighbours_mask_changes_nothing(three: Model) -> None:
    scene = slices(3)
    hole = np.zeros(scene.shape, bool)
    hole[1, :, 5:12, 8:20] = True
    results = []
    for under in (0, 65535):
        values = np.where(hole, np.uint16(under), scene.data.values)
        masked = Scene.from_array(values, valid=~hole, grid=scene.grid).with_range(20000, 24000)
        results.append(geomedsr.upscale(masked, three).data.values)
    fine = hole.repeat(2, -2).repeat(2, -1)
    np.testing.assert_array_equal(results[0][~fine], results[1][~fine])


def test_k_space_of_the_slice_itself_is_kept(tmp_path: Path) -> None:
    card = {"operator": "k-space-crop", "neighbours": 1, "size": 0.12}
    model = load_model(save_tiny(tmp_path / "crop.safetensors", 2, name="crop", **card))
    sr = geomedsr.upscale(slices(3, 22, 30), model)
    made, deviation = sr.source.compute(Box.of(1, Window(0, 0, 60, 44)))
    values = made["image"]
    assert deviation is not None
    assert 0 < deviation < 1  # rounding alone
    np.testing.assert_array_equal(sr.data.values[1:2], values)


def test_only_slices_beside_it_are_read(three: Model) -> None:
    class Watched(Source):
        shape, dtype, block = (9, 1, 20, 20), np.dtype("uint16"), (20, 20)

        def __init__(self) -> None:
            self.noted: list[tuple[int, int]] = []

        def read(self, box: Box) -> np.ndarray:
            self.noted.append((box.start[0], box.stop[0]))
            return np.zeros((box.shape[0], 1, *box.shape[1:]), np.uint16)

        def valid(self, box: Box) -> np.ndarray:
            return np.ones((box.shape[0], 1, *box.shape[1:]), bool)

        def select(self, bands: object) -> "Watched":
            return self

    source = Watched()
    scene = Scene(source, Grid((20, 20)), (Band("1"),)).with_range(0, 9)
    geomedsr.upscale(scene, three).data[4].compute()
    assert set(source.noted) == {(4, 5), (3, 6)}


def test_files_and_threads_give_the_same_slices(three: Model, tmp_path: Path) -> None:
    scene = slices(4)
    sr = geomedsr.upscale(scene, three)
    for workers in (1, 3):
        geomedsr.write(sr, tmp_path / f"{workers}.nrrd", workers=workers, progress=False)
        result = geomedsr.open(tmp_path / f"{workers}.nrrd", force=True)
        np.testing.assert_array_equal(result.data.values, sr.data.values)
    assert sr.provenance["GEOMEDSR_NEIGHBOURS"] == "1"
    assert "GEOMEDSR_NEIGHBOURS" not in geomedsr.upscale(scene, "ct-x2").provenance


def test_memory_is_planned_for_neighbours(three: Model, tiny_x2: Model) -> None:
    assert three.halo == (1, three.radius, three.radius)
    beside, alone = (Need.of(model, FLOAT32, 1, 2).worker(256) for model in (three, tiny_x2))
    assert beside - alone == 2 * 512**2 * (4 + 2)  # two frames more of a region of 1024 × 1024, float32 and uint16


def test_the_models_words(three: Model) -> None:
    assert repr(three) == "<geomedsr.Model three 0.0.1: ×2, band by band, with 1 slice before and after, compact>"
    assert "band by band, with 1 slice before and after" in three._repr_html_()
