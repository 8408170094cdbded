"""Training with a guide: Wald's protocol, grids that are apart, guides mixed of bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from affine import Affine
from conftest import texture

import geomedsr
from geomedsr import Band, Grid, Scene
from geomedsr.errors import RecipeError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.inference import process
from geomedsr.models import load_model
from geomedsr.models.ports import Port
from geomedsr.training import Patches, load_recipe, train
from geomedsr.training.augment import Augment, Change
from geomedsr.training.guides import Guide, GuideDraw, beside, mixing
from geomedsr.training.patches import Draw
from geomedsr.training.run import identity

GUIDE = Port(name="guide", bands=("red", "nir"), factors=(1, 2, 2))
CRS = "EPSG:32618"


def placed(bands: int, height: int, width: int, pixel: float, west: float = 0.0, seed: int = 0) -> Scene:
    """A raster whose upper left corner lies so far east of 500 000."""
    grid = Grid((height, width), affine=Affine(pixel, 0, 500_000 + west, 0, -pixel, 4_000_000), crs=CRS)
    return Scene.from_array(texture(bands, height, width, seed=seed), grid=grid)


def test_a_guides_block_means_lie_on_the_images_pixels() -> None:
    image, guide = placed(3, 20, 24, 20), placed(2, 40, 48, 10, west=10, seed=5)
    both = beside(image, guide, 2)
    assert both.shape == (1, 5, 20, 23)  # the first column of the image begins before the guide
    assert both.grid.affine == Affine(20, 0, 500_020, 0, -20, 4_000_000)
    values = both.source.read(Box.whole(both.shape))[0]
    np.testing.assert_array_equal(values[:3], image.data.values[0, :, :, 1:])
    blocks = guide.data.values[0, :, :, 1:47].reshape(2, 20, 2, 23, 2).mean((2, 4))
    np.testing.assert_allclose(values[3:], blocks, rtol=1e-6)
    part = beside(image, guide, 2, Window(0, 4, 10, 8))
    np.testing.assert_array_equal(part.data.values[0], values[:, 4:12, :9])


def test_pixels_that_lie_half_beside_count_by_half() -> None:
    image, guide = placed(1, 20, 24, 20), placed(1, 40, 47, 10, west=5, seed=5)
    values = beside(image, guide, 2).data.values[0, 1]
    fine = guide.data.values[0, 0].astype(float)
    rows = fine.reshape(20, 2, 47).mean(1)
    means = (rows[:, 1:-2:2] / 2 + rows[:, 2:-1:2] + rows[:, 3::2] / 2) / 2
    np.testing.assert_allclose(values, means, rtol=1e-6)


def test_where_a_part_of_a_mean_is_no_data_it_is_none() -> None:
    image, guide = placed(1, 20, 24, 20), placed(1, 40, 48, 10)
    holed = guide.data.values[0].copy()
    holed[0, 11, 7] = 0
    holed = Scene.from_array(holed, grid=guide.grid, bands=[Band("pan", nodata=0)])
    valid = beside(image, holed, 2).valid.values[0]
    assert valid[0].all()
    assert not valid[1, 5, 3]
    assert valid[1].sum() == valid[1].size - (guide.data.values == 0).any() - 1


def test_image_and_guide_are_cut_and_turned_together() -> None:
    values = texture(4, 60, 60)
    scene = Scene.from_array(values.astype(np.float32))
    patches = Patches([scene], 16, 2, channels=2, ports=[GUIDE], guides=[Guide(2, 2)])
    draw = Draw(0, 0, slice(0, 2), Window(5, 9, 16, 16), Change(1, True, 2.0, 0.5), guide=GuideDraw((), 0.0, 3.0, -1.0))
    example = patches.cut(draw)
    assert example is not None
    assert [*example] == ["target", "image", "guide"]
    normal = scene.values.normalise(scene.source.read(Box.of(0, draw.window)))[0]
    turned = torch.rot90(normal, 1, (1, 2)).flip(2)
    torch.testing.assert_close(example["target"], turned[:2] * 2 + 0.5)
    torch.testing.assert_close(example["guide"], turned[2:] * 3 - 1)
    torch.testing.assert_close(example["image"], torch.nn.functional.avg_pool2d(turned[:2] * 2 + 0.5, 2))


def test_a_mixed_guide_has_the_contrast_of_its_bands() -> None:
    scene = Scene.from_array(texture(4, 80, 80).astype(np.float32))
    guide, rng = mixing(scene, 4, 0), np.random.default_rng(0)
    normal = scene.values.normalise(scene.source.read(Box.whole(scene.shape)))
    wanted = float(normal[0].flatten(1).std(1).mean())
    drawn = [guide.draw(rng, (), 1.0, 0.0) for _ in range(4)]
    assert len({d.weights for d in drawn}) == 4
    assert all(min(d.weights) >= 0 for d in drawn)
    for each in drawn:
        made = guide.of(normal, each)
        assert made.shape == (1, 1, 80, 80)
        assert float(made.std()) == pytest.approx(wanted, rel=0.02)
        assert float(made.mean()) == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(RecipeError, match="mixed of 1 band"):
        mixing(scene.select([1]), 1, 0)


def test_another_sharpness_and_spectrum_change_the_guide_and_all_bands() -> None:
    scene = Scene.from_array(texture(4, 60, 60).astype(np.float32))
    patches = Patches([scene], 16, 2, channels=2, ports=[GUIDE], guides=[Guide(2, 2)])
    window = Window(5, 9, 16, 16)
    plain, soft, mixed = (
        patches.cut(Draw(0, 0, slice(0, 2), window, **more))
        for more in ({}, {"guide": GuideDraw((), -1.0)}, {"spectrum": 2 * np.eye(4)})
    )
    assert plain is not None
    assert soft is not None
    assert mixed is not None
    torch.testing.assert_close(soft["target"], plain["target"])
    assert float(soft["guide"].std()) < 0.95 * float(plain["guide"].std())
    for name in plain:
        torch.testing.assert_close(mixed[name], 2 * plain[name] - 0.5)
    assert Augment(spectral=0.2).draw_spectrum(np.random.default_rng(0), 4).shape == (4, 4)
    np.testing.assert_array_equal(Augment().draw_spectrum(np.random.default_rng(0), 4), np.eye(4))


def recipe(folder: Path, **changes: Any) -> Path:
    """Of a small guided network."""
    geomedsr.write(placed(2, 60, 64, 20), folder / "coarse.tif")
    geomedsr.write(placed(2, 120, 128, 10, west=10, seed=4), folder / "fine.tif")
    entry = {"path": "coarse.tif", "guide": {"path": "fine.tif"}, "attribution": "none"}
    content = {
        "name": "guided",
        "version": "0.1",
        "generator": {
            "architecture": "guided",
            "scale": 2,
            "channels": 2,
            "options": {"width": 8, "blocks": 1},
            "ports": {"inputs": [{"name": "guide", "bands": ["red", "nir"], "factors": [1, 2, 2]}]},
        },
        "data": {
            "root": str(folder),
            "train": [{**entry, "window": [0, 0, 64, 40]}],
            "validation": [{**entry, "window": [0, 40, 64, 20]}],
        },
        "content": {"steps": 4, "batch": 2, "patch": 16, "losses": [{"kind": "l1"}]},
        "device": "cpu",
        "validate_every": 2,
        **changes,
    }
    path = folder / "guided.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_model_is_trained_and_keeps_block_means(tmp_path: Path) -> None:
    model = load_model(train(load_recipe(recipe(tmp_path)), tmp_path / "run", quiet=True))
    assert model.descriptor.training_data == ("coarse.tif", "fine.tif")
    assert model.descriptor.metrics["psnr"] != model.descriptor.metrics["psnr_bicubic"]
    image, guide = geomedsr.open(tmp_path / "coarse.tif"), geomedsr.open(tmp_path / "fine.tif")
    made = process(model, image=image, guide=guide, precision="float32")["image"].data.values[0].astype(int)
    np.testing.assert_array_equal(made.reshape(2, 60, 2, 64, 2).sum((2, 4)), image.data.values[0].astype(int) * 4)


def test_a_band_by_itself_beside_a_mixed_guide_is_trained(tmp_path: Path) -> None:
    port = {"name": "guide", "bands": ["pan"], "factors": [1, 2, 2]}
    generator = {
        "architecture": "guided",
        "scale": 2,
        "options": {"width": 8, "blocks": 1, "window": 2},
        "ports": {"inputs": [port]},
    }
    path = recipe(tmp_path, generator=generator)
    content = yaml.safe_load(path.read_text())
    for entries in (content["data"]["train"], content["data"]["validation"]):
        entries[0]["guide"]["mixed"] = True
        entries.append({**entries[0], "guide": {"mixed": True}})
    content["data"]["validation"][1]["window"] = [0, 40, 64, 20]
    path.write_text(yaml.safe_dump(content))
    model = load_model(train(load_recipe(path), tmp_path / "run", quiet=True))
    image, guide = geomedsr.open(tmp_path / "coarse.tif"), geomedsr.open(tmp_path / "fine.tif").select([1])
    made = process(model, image=image, guide=guide, precision="float32")["image"].data.values[0].astype(int)
    np.testing.assert_array_equal(made.reshape(2, 60, 2, 64, 2).sum((2, 4)), image.data.values[0].astype(int) * 4)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a guide for none": (
        {"generator": {"architecture": "compact", "scale": 2, "channels": 2}},
        r"data with guides for a network without one: .* \[1, 2, 2\]",
    ),
    "a scene without": (
        {"data": {"train": [{"path": "coarse.tif", "attribution": "none"}]}},
        "the input guide: every scene of data.train and data.validation needs a guide",
    ),
    "mixed for two": (
        {"data": {"train": [{"path": "a", "guide": {"mixed": True}, "attribution": ""}]}},
        "the input guide of 2 bands: a mixed guide is one",
    ),
    "of nothing": (
        {"data": {"train": [{"path": "a", "guide": {"bands": [1]}, "attribution": ""}]}},
        "a guide without a path is mixed",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together_is_refused(case: str, tmp_path: Path) -> None:
    changes, said = WRONG[case]
    with pytest.raises(RecipeError, match=said):
        load_recipe(recipe(tmp_path, **changes))


def test_runs_of_before_are_the_same_runs() -> None:
    text = identity(load_recipe("quick"))
    assert "guide" not in text
    assert "spectral" not in text
