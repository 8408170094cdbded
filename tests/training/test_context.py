"""Pairs with neighbouring frames, and joint ones of named bands: one draw for all frames, noise of their own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import SAMPLE, recipe_file, save_tiny, texture

import geomedsr
from geomedsr import Band, Grid, Scene, Window, operators
from geomedsr.degradations import BlockMean, KSpaceCrop, PoissonGaussian
from geomedsr.errors import RecipeError
from geomedsr.geometry.grid import Plane
from geomedsr.models import load_model
from geomedsr.training import Augment, Patches, load_recipe, train
from geomedsr.training.augment import Change
from geomedsr.training.data import validation_scenes
from geomedsr.training.patches import Draw
from geomedsr.training.run import Run
from geomedsr.training.step import step
from geomedsr.training.validation import Validation

BLOCK, CROP = operators.get("block-mean"), operators.get("k-space-crop")
WINDOW = Window(6, 4, 8, 8)


def stack(count: int = 4, bands: int = 1, height: int = 24, width: int = 28) -> Scene:
    values = np.stack([texture(bands, height, width, seed=i) for i in range(count)])
    return Scene.from_array(values).with_range(0, 5000)


def pair(patches: Patches, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
    found = patches.cut(draw)
    assert found is not None
    return found["target"], found["image"]


@pytest.mark.parametrize(("frame", "seen"), [(0, [0, 0, 1]), (1, [0, 1, 2]), (3, [2, 3, 3])])
@pytest.mark.parametrize(("reduction", "operator"), [(BlockMean(), BLOCK), (KSpaceCrop(), CROP)])
def test_coarse_images_are_of_the_frame_and_its_neighbours(
    frame: int, seen: list[int], reduction: BlockMean | KSpaceCrop, operator: operators.Operator
) -> None:
    scene = stack()
    patches = Patches([scene], 8, 2, (reduction,), neighbours=1)
    whole = scene.tensor()
    down = operator.forward(whole, 2)[:, 0, 2:6, 3:7]
    change = Change(1, True, 2.0, 0.5)
    fine, coarse = pair(patches, Draw(0, frame, slice(0, 1), WINDOW))
    torch.testing.assert_close(fine, whole[frame, :, 4:12, 6:14])
    torch.testing.assert_close(coarse, down[seen])
    moved_fine, moved = pair(patches, Draw(0, frame, slice(0, 1), WINDOW, change))
    torch.testing.assert_close(moved_fine, change.move(fine))
    torch.testing.assert_close(moved, torch.rot90(down[seen], 1, (1, 2)).flip(2) * 2 + 0.5)


def test_joint_bands_stay_together_in_each_frame() -> None:
    scene = stack(3, bands=2)
    fine, coarse = pair(Patches([scene], 8, 2, channels=2, neighbours=1), Draw(0, 1, slice(0, 2), WINDOW))
    down = BLOCK.forward(scene.tensor(), 2)[..., 2:6, 3:7]
    torch.testing.assert_close(fine, scene.tensor()[1, :, 4:12, 6:14])
    torch.testing.assert_close(coarse, torch.cat([down[0], down[1], down[2]]))


def test_each_frame_has_noise_of_its_own_and_a_repeated_one_the_same() -> None:
    noisy = (BlockMean(), PoissonGaussian(gain=(0, 0), sigma=(0.1, 0.1)))
    patches = Patches([stack()], 8, 2, noisy, neighbours=1)
    draw = patches.draw(np.random.default_rng(1), 0)
    draw = Draw(0, 0, draw.bands, WINDOW, Change(), draw.degradation)
    _, clean = pair(Patches([stack()], 8, 2, neighbours=1), Draw(0, 0, slice(0, 1), WINDOW))
    _, coarse = pair(patches, draw)
    noise = coarse - clean
    assert torch.equal(coarse[0], coarse[1])  # the first frame, repeated before itself
    assert float((noise[1] - noise[2]).abs().max()) > 0.05
    assert abs(float(np.corrcoef(noise[1].ravel(), noise[2].ravel())[0, 1])) < 0.7


@pytest.mark.parametrize("augment", [Augment(sharpness=(-0.5,)), Augment(zoom=(0.8, 1.3)), Augment(padding=(-2.0,))])
def test_every_change_is_the_same_for_all_frames(augment: Augment) -> None:
    """Where all frames are equal, so are all coarse images."""
    one = texture(1, 40, 44)
    scene = Scene.from_array(np.stack([one] * 3)).with_range(0, 5000)
    patches = Patches([scene], 16, 2, augment=augment, neighbours=1, seed=3)
    for index in range(12):
        fine, coarse = patches[index].values()
        assert torch.equal(coarse[0], coarse[1])
        assert torch.equal(coarse[2], coarse[1])
        torch.testing.assert_close(coarse[1:2], BLOCK.forward(fine[None], 2)[0])


def test_draws_are_those_without_neighbours() -> None:
    alone, beside = (Patches([stack()], 8, 2, neighbours=k, seed=5, augment=Augment(gain=(0.5, 2))) for k in (0, 2))
    for index in range(6):
        (fine, coarse), (same, more) = alone[index].values(), beside[index].values()
        assert torch.equal(fine, same)
        assert more.shape == (5, 4, 4)
        assert torch.equal(coarse, more[2:3])


def test_named_bands_are_cut_in_the_models_order() -> None:
    bands = [Band(n) for n in ("B02", "B03", "B04", "SWIR", "B08")]
    scene = Scene.from_array(texture(5, 24, 28), bands=bands).with_range(0, 5000)
    patches = Patches([scene], 8, 2, bands=("nir", "red"))
    fine, coarse = pair(patches, Draw(0, 0, slice(0, 2), WINDOW))
    torch.testing.assert_close(fine, scene.tensor()[0, [4, 2], 4:12, 6:14])
    torch.testing.assert_close(coarse, BLOCK.forward(fine[None], 2)[0])
    with pytest.raises(RecipeError, match=r"do not identify nir, for generator\.bands.*as in bands: \[red=1, nir=2\]"):
        Patches([scene.select([1, 2, 3])], 8, 2, bands=("red", "nir"))


def recipe_of(folder: Path, **changes: object) -> Path:
    root, entry = str(SAMPLE), {"path": "reference.tif", "attribution": "x"}
    data = {"root": root, "train": [{**entry, "window": [0, 0, 96, 64]}]}
    data["validation"] = [{**entry, "window": [0, 64, 64, 64]}]
    small = {"content": {"steps": 2, "patch": 32, "batch": 2}, "data": data}
    return recipe_file(folder, **{**small, **changes})


def test_a_recipe_of_named_bands_makes_a_model_of_them(tmp_path: Path) -> None:
    generator = {"scale": 4, "options": {"width": 8, "blocks": 1}, "bands": ["nir", "red", "green"]}
    recipe = load_recipe(recipe_of(tmp_path, generator=generator))
    assert recipe.generator.channels == 3
    assert [band.name for band in validation_scenes(recipe)[0].bands] == ["B08", "B04", "B03"]
    model = load_model(train(recipe, tmp_path / "run", quiet=True))
    assert (model.descriptor.bands, model.descriptor.channels) == (("nir", "red", "green"), 3)
    sr = geomedsr.upscale(geomedsr.open(SAMPLE / "input.tif").select(["B03", "B04", "B08"]), model)
    assert json.loads(sr.provenance["GEOMEDSR_MODEL_BANDS"]) == {"nir": "B08", "red": "B04", "green": "B03"}
    entry = {"path": "reference.tif", "attribution": "x", "bands": ["nir=1", "red=2", "green=3"]}
    told = recipe_of(tmp_path, generator=generator, data={"root": str(SAMPLE), "train": [entry], "validation": [entry]})
    with pytest.warns(geomedsr.errors.SceneWarning):
        assert [band.name for band in validation_scenes(load_recipe(told))[0].bands] == ["B02", "B03", "B04"]


def test_a_model_of_other_bands_or_neighbours_is_no_start(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "s.safetensors", channels=2, bands=("red", "nir"))
    part = {"scale": 4, "options": {"width": 8, "blocks": 2}, "bands": ["red", "nir"], "start": str(start)}
    assert Run(load_recipe(recipe_of(tmp_path, generator=part)), torch.device("cpu")).step == 0
    for change in ({"bands": ["nir", "red"]}, {"neighbours": 1}):
        with pytest.raises(RecipeError, match=r"generator\.start"):
            Run(load_recipe(recipe_of(tmp_path, generator=part | change)), torch.device("cpu"))


def volume(folder: Path) -> str:
    """A series that recipes can open."""
    planes = tuple(Plane((0, 0, 3 * i), (1, 0, 0), (0, 1, 0), (1, 1)) for i in range(4))
    values = np.stack([texture(1, 32, 32, "int16", seed=i) for i in range(4)])
    geomedsr.write(Scene.from_array(values, grid=Grid((32, 32), planes=planes)), folder / "v.nrrd", progress=False)
    return "v.nrrd"


def test_a_step_compares_with_the_frame_itself(tmp_path: Path) -> None:
    """A new network is bicubic of the middle frame, so its losses are those of bicubic, projected onto that frame."""
    generator = {"scale": 2, "options": {"width": 8, "blocks": 1}, "neighbours": 1}
    run = Run(load_recipe(recipe_of(tmp_path, generator=generator)), torch.device("cpu"))
    run.begin_stage()
    hr, lr = torch.rand(2, 1, 32, 32), torch.rand(2, 3, 16, 16)
    prediction = run.generator(lr).detach()
    projected = prediction + F.interpolate(lr[:, 1:2] - F.avg_pool2d(prediction, 2), scale_factor=2)
    terms = step(run, {"target": hr, "image": lr})
    assert terms["l1"] == pytest.approx(float((projected - hr).abs().mean()), rel=1e-5)
    assert terms["consistency"] == pytest.approx(
        float((F.avg_pool2d(prediction, 2) - lr[:, 1:2]).square().mean()), rel=1e-5
    )


def test_validation_is_on_the_frame_itself(tmp_path: Path) -> None:
    scene = stack(3, bands=2, height=32, width=32)
    scores = {}
    for neighbours in (0, 1):
        generator = {"scale": 2, "options": {"width": 8, "blocks": 1}, "neighbours": neighbours}
        recipe = load_recipe(recipe_of(tmp_path, generator=generator))
        validation = Validation(recipe, [scene], torch.device("cpu"))
        run = Run(recipe, torch.device("cpu"))
        scores[neighbours] = (validation.bicubic, validation.scores(run.average))
        validation.picture(run.average, tmp_path / "pictures" / f"{neighbours}.png")
    assert scores[0][1].pop("grid_native") > 0  # told of networks that see one frame
    assert scores[0] == scores[1]  # a new network is bicubic of the frame, whatever stands beside it

    class Next(torch.nn.Module):
        """Shows the frame after, pixels repeated."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.interpolate(x[:, 2:3], scale_factor=2)

    tensor = scene.tensor()
    coarse = F.avg_pool2d(tensor, 2)
    after = F.interpolate(coarse[[1, 2, 2]], scale_factor=2)
    projected = after + F.interpolate(coarse - F.avg_pool2d(after, 2), scale_factor=2)
    errors = (projected - tensor).square().mean((0, 2, 3))
    wanted = float((-10 * errors.log10()).mean())
    assert validation.scores(Next())["psnr"] == pytest.approx(wanted, abs=1e-3)


def test_a_series_trains_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    """Both stages, with neighbours: a run stopped in between ends with the same weights."""
    entry = {"path": volume(tmp_path), "attribution": "x"}
    judge = {"architecture": "unet", "options": {"width": 4}}
    losses = [{"kind": "l1"}, {"kind": "relativistic", "weight": 0.01}]
    path = recipe_of(
        tmp_path,
        generator={"scale": 2, "options": {"width": 4, "blocks": 1}, "neighbours": 1},
        data={"root": str(tmp_path), "train": [entry]},
        content={"steps": 2, "patch": 16, "batch": 2},
        adversarial={"steps": 2, "patch": 32, "batch": 2, "losses": losses, "discriminator": judge},
        checkpoint_every=1,
    )
    whole = load_model(train(load_recipe(path), tmp_path / "whole", quiet=True), 1.0)
    assert whole.descriptor.neighbours == 1

    class Stop(Exception):
        pass

    def stopping(*args: object) -> None:
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        done = []
        patch.setattr(
            "geomedsr.training.loop.step", lambda *a: stopping() if len(done) == 3 else done.append(1) or step(*a)
        )
        with pytest.raises(Stop):
            train(load_recipe(path), tmp_path / "parts", quiet=True)
    again = load_model(train(load_recipe(path), tmp_path / "parts", quiet=True), 1.0)
    for key, value in whole.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[key])
