import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from affine import Affine
from conftest import CONFIGS, SAMPLE, recipe_file, save_tiny, texture
from safetensors.torch import load_file
from torch import nn

import geomedsr
from geomedsr import Band, Grid, Scene
from geomedsr.cli import main
from geomedsr.errors import DeviceError, GeomedsrError, ModelError, OutputError, RecipeError, SceneWarning
from geomedsr.geometry.grid import Window
from geomedsr.losses import AnyLoss
from geomedsr.training import load_recipe, train
from geomedsr.training.folder import alone, made
from geomedsr.training.run import Run, unsealed
from geomedsr.training.schedule import learning_rate
from geomedsr.training.stages import OptimiserPart
from geomedsr.training.step import step
from geomedsr.training.validation import Validation

SCENE = {"path": "reference.tif", "attribution": "Contains modified Copernicus Sentinel data"}
UPPER, LOWER = {**SCENE, "window": [0, 0, 384, 192]}, {**SCENE, "window": [0, 192, 384, 96]}
SMALL = {
    "data": {"root": str(SAMPLE), "train": [UPPER], "validation": [LOWER], "licence": "Apache-2.0"},
    "content": {"steps": 12, "patch": 32, "batch": 4},
    "log_every": 3,
    "validate_every": 6,
    "checkpoint_every": 4,
}
#: Told until the next validation: after a resume, from that on.
SCORES = ("psnr", "psnr_bicubic", "vgg", "vgg_bicubic", "grid", "grid_native")
ADVERSARIAL = {
    "steps": 8,
    "patch": 32,
    "batch": 4,
    "ramp": 4,
    "losses": [{"kind": "l1"}, {"kind": "consistency"}, {"kind": "relativistic", "weight": 0.01}],
    "discriminator": {"architecture": "unet", "options": {"width": 4}},
}
BOTH = {**SMALL, "content": {"steps": 4, "patch": 32, "batch": 4}, "adversarial": ADVERSARIAL}


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def same(one: Path, other: Path) -> bool:
    states = load_file(one), load_file(other)
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_a_run_leaves_a_model_that_upscale_runs(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, **SMALL))
    path = train(recipe, tmp_path / "run", quiet=True)
    assert path == tmp_path / "run" / "model.safetensors"
    model = geomedsr.load_model(path)
    card = model.descriptor
    assert (card.name, card.scale, card.training["stages"]["content"]["steps"]) == ("test-x4", 4, 12)
    assert re.fullmatch(r"\d+ CPU cores?, \w+", card.training["hardware"])
    assert card.training["commit"] is None or re.fullmatch(r"[0-9a-f]{12}\+?", card.training["commit"])
    assert card.training_data == ("reference.tif",)
    assert card.attribution == ("Contains modified Copernicus Sentinel data",)
    assert card.metrics["psnr"] != card.metrics["psnr_bicubic"]
    assert not card.adversarial
    assert isinstance(model.module, nn.Module)
    assert [r["step"] for r in rows(tmp_path / "run")] == ["3", "6", "9", "12"]
    scene = geomedsr.open(SAMPLE / "input.tif")
    assert geomedsr.upscale(scene, path).shape == (1, 4, 288, 384)


def test_training_improves_on_bicubic(tmp_path: Path) -> None:
    optimiser = {"learning_rate": 2e-3, "warmup_steps": 5}
    content = {"steps": 150, "batch": 8, "patch": 32, "optimiser": optimiser}
    path = train(
        load_recipe(recipe_file(tmp_path, **{**SMALL, "content": content, "validate_every": 150})),
        tmp_path / "run",
        quiet=True,
    )
    metrics = geomedsr.load_model(path).descriptor.metrics
    assert metrics["psnr"] > metrics["psnr_bicubic"] + 0.2


def test_both_stages_end_in_one_file_with_a_dial(tmp_path: Path) -> None:
    path = train(load_recipe(recipe_file(tmp_path, **BOTH, realism=0.25)), tmp_path / "run", quiet=True)
    content_alone = train(load_recipe(recipe_file(tmp_path, **{**BOTH, "adversarial": None})), tmp_path / "c", True)
    models = {realism: geomedsr.load_model(path, realism) for realism in (0.0, 0.25, 0.5, 1.0)}
    states = {realism: model.module.state_dict() for realism, model in models.items()}
    content = load_file(content_alone)
    for key, value in content.items():
        assert torch.equal(states[0.0][key], value)  # the first stage is what it is alone
        torch.testing.assert_close(states[0.5][key], (states[0.0][key] + states[1.0][key]) / 2)
    assert any(not torch.equal(states[0.0][k], states[1.0][k]) for k in content)
    best = geomedsr.load_model(tmp_path / "run" / "best.safetensors", 0.0)  # of the stage that makes things up
    assert best.descriptor.adversarial
    assert all(torch.equal(best.module.state_dict()[k], v) for k, v in content.items())
    default = geomedsr.load_model(path)
    assert default.realism == default.descriptor.realism == 0.25
    log = rows(tmp_path / "run")
    assert [(r["step"], r["stage"]) for r in log] == [
        *[("3", "content"), ("4", "content")],
        *[("6", "adversarial"), ("9", "adversarial"), ("12", "adversarial")],
    ]
    assert log[1]["relativistic"] == log[1]["discriminator"] == ""
    assert 0.5 < float(log[-1]["relativistic"]) < 3
    assert {r["stage"] for r in map(json.loads, (tmp_path / "run/log.jsonl").read_text().splitlines())} == {
        "content",
        "adversarial",
    }
    picture = geomedsr.open(tmp_path / "run/validation/step-0000012.png")
    assert picture.shape == (1, 1, 96, 384)
    metrics = default.descriptor.metrics
    assert {"psnr", "psnr_bicubic", "psnr_adversarial"} <= metrics.keys()


def test_the_discriminator_learns_and_is_still_in_the_generators_turn(tmp_path: Path) -> None:
    run = Run(load_recipe(recipe_file(tmp_path, **BOTH), ["content.steps=0"]), torch.device("cpu"))
    run.begin_stage()
    assert run.discriminator is not None
    before = {k: v.clone() for k, v in run.discriminator.state_dict().items() if "original" in k or "head" in k}
    torch.manual_seed(0)
    fine = torch.rand(4, 1, 32, 32)
    terms = step(run, {"target": fine, "image": torch.nn.functional.avg_pool2d(fine, 4)})
    assert set(terms) == {"l1", "consistency", "relativistic", "discriminator"}
    assert terms["relativistic"] == pytest.approx(2 * np.log(2), abs=0.2)  # neither knows anything yet
    after = run.discriminator.state_dict()
    moved = max(float((after[k] - v).abs().max()) for k, v in before.items())
    assert 0 < moved <= 1.1e-4  # one step of Adam at 1e-4
    losses = [
        step(run, {"target": fine, "image": torch.nn.functional.avg_pool2d(fine, 4)})["discriminator"] for _ in range(6)
    ]
    assert losses[-1] < losses[0]


def test_parts_of_a_batch_add_up_to_its_gradient(tmp_path: Path) -> None:
    fine = torch.rand(4, 1, 32, 32)
    (whole, terms), (parts, same) = (gradient(tmp_path, fine, f"content.accumulate={n}") for n in (1, 2))
    assert terms["l1"] == pytest.approx(same["l1"], rel=1e-5)
    assert float(whole.abs().max()) > 1e-4
    torch.testing.assert_close(parts, whole, atol=1e-7, rtol=1e-4)


def gradient(folder: Path, fine: torch.Tensor, *words: str) -> tuple[torch.Tensor, dict[str, float]]:
    """What the generator's optimiser is given in a run's first step, in one piece; and the losses."""
    run = Run(load_recipe(recipe_file(folder, **BOTH), words), torch.device("cpu"))
    run.begin_stage()
    given: list[torch.Tensor] = []
    run.optimiser.register_step_pre_hook(
        lambda optimiser, *_: given.append(torch.cat([p.grad.ravel() for p in run.generator.parameters()]))
    )
    terms = step(run, {"target": fine, "image": torch.nn.functional.avg_pool2d(fine, 4)})
    return given[0].clone(), terms


def test_gradients_are_clipped_to_the_norm(tmp_path: Path) -> None:
    fine = torch.rand(4, 1, 32, 32)
    (free, _), (held, _) = (gradient(tmp_path, fine, f"content.optimiser.clip_norm={n}") for n in (1e9, 1e-3))
    assert float(free.norm()) > 1e-2
    assert float(held.norm()) == pytest.approx(1e-3, rel=1e-3)
    torch.testing.assert_close(held / held.norm(), free / free.norm(), atol=1e-5, rtol=0)


def test_the_adversarial_loss_grows_to_its_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = torch.rand(4, 1, 32, 32)
    words = ["content.steps=0", "adversarial.optimiser.clip_norm=1e9", "adversarial.ramp=8"]
    run = Run(load_recipe(recipe_file(tmp_path, **BOTH), words), torch.device("cpu"))
    ramps = []
    for run.step in (0, 2, 8, 20):
        ramps.append(run.adversarial_ramp)
    assert ramps == [0, 0.25, 1, 1]
    given = []
    for ramp in (0.0, 0.5, 1.0):
        monkeypatch.setattr(Run, "adversarial_ramp", ramp)
        given.append(gradient(tmp_path, fine, *words, "adversarial.losses.2.weight=1")[0])
    assert float((given[2] - given[0]).norm()) > 1e-3
    torch.testing.assert_close(given[1] - given[0], (given[2] - given[0]) / 2, atol=1e-6, rtol=1e-3)


def test_the_average_is_exponential_and_young_ones_forget_their_start(tmp_path: Path) -> None:
    run = Run(load_recipe(recipe_file(tmp_path, **SMALL), ["ema=0.2"]), torch.device("cpu"))
    run.begin_stage()
    expected = run.average.state_dict()["head.weight"].clone()
    fine = torch.rand(2, 1, 32, 32)
    for done in range(1, 5):
        step(run, {"target": fine, "image": torch.nn.functional.avg_pool2d(fine, 4)})
        keep = min(0.2, done / (done + 10))
        expected = keep * expected + (1 - keep) * run.generator.state_dict()["head.weight"]
        torch.testing.assert_close(run.average.state_dict()["head.weight"], expected)


KILLED = """
import os, sys
from geomedsr.training import loop, load_recipe
from geomedsr.training.run import Run
save, at, when = Run.save, int(sys.argv[3]), sys.argv[4]
def save_and_die(self, folder):
    if when == "after":
        save(self, folder)
    if self.step >= at:
        os.kill(os.getpid(), 9)
    if when == "before":
        save(self, folder)
Run.save = save_and_die
loop.train(load_recipe(sys.argv[1]), sys.argv[2], quiet=True)
"""


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recipe, and the folder of a run of it that nothing stopped."""
    folder = tmp_path_factory.mktemp("unkilled")
    path = recipe_file(folder, **BOTH)
    train(load_recipe(path), folder / "whole", quiet=True)
    return path, folder / "whole"


@pytest.mark.parametrize(("at", "when"), [(4, "after"), (8, "after"), (8, "before"), (12, "before")])
def test_a_killed_run_ends_with_the_same_weights(
    tmp_path: Path, unkilled: tuple[Path, Path], at: int, when: str
) -> None:
    """In the content stage's last checkpoint, in the adversarial stage, and between its last step and the model."""
    path, whole = unkilled
    words = [sys.executable, "-c", KILLED, str(path), str(tmp_path / "killed"), str(at), when]
    assert subprocess.run(words, timeout=300).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert main(["train", str(path), "--out", str(tmp_path / "killed"), "--quiet"]) == 0
    assert same(whole / "model.safetensors", tmp_path / "killed" / "model.safetensors")
    assert same(whole / "best.safetensors", tmp_path / "killed/best.safetensors")
    one, other = rows(whole), rows(tmp_path / "killed")
    timeless = [column for column in one[0] if column not in ("images_per_second", *SCORES)]
    assert [[r[c] for c in timeless] for r in one] == [[r[c] for c in timeless] for r in other]


def test_a_finished_run_is_left_alone_and_another_recipe_is_refused(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **SMALL)
    out = tmp_path / "run"
    model = train(load_recipe(path, ["content.steps=4"]), out, quiet=True)
    stamp = model.stat().st_mtime_ns
    train(load_recipe(path, ["content.steps=4"]), out, quiet=True)
    assert model.stat().st_mtime_ns == stamp
    with pytest.raises(RecipeError, match="another recipe"):
        train(load_recipe(path, ["content.steps=5"]), out, quiet=True)


def test_a_checkpoint_cut_short_falls_back_on_the_one_before(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **SMALL)
    whole = train(load_recipe(path), tmp_path / "whole", quiet=True)
    recipe, out = load_recipe(path), tmp_path / "run"
    train(recipe, out, quiet=True)
    (out / "model.safetensors").unlink()
    newest = out / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(SceneWarning, match="going on from the one before it, step 8"):
        train(recipe, out, quiet=True)
    assert same(whole, out / "model.safetensors")
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        (out / name).write_bytes(b"x" * 100)
    with pytest.raises(RecipeError, match="delete it to start over"):
        train(recipe, out, quiet=True)


@pytest.mark.parametrize("damage", ["flip", "hole", "foreign"])
def test_a_damaged_checkpoint_is_never_trusted(tmp_path: Path, damage: str) -> None:
    recipe, out = load_recipe(recipe_file(tmp_path, **SMALL)), tmp_path / "run"
    out.mkdir()
    run = Run(recipe, torch.device("cpu"))
    run.begin_stage()
    run.save(out)
    run.step = 3
    run.save(out)
    path = out / "checkpoint.pt"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 4  # among the weights, where torch would not notice
        path.write_bytes(data)
    elif damage == "hole":
        data[2000:6000] = bytes(4000)
        path.write_bytes(data)
    else:
        torch.save({"step": 4}, path)
    again = Run(recipe, torch.device("cpu"))
    with pytest.warns(SceneWarning, match="the one before it, step 0"):
        again.load(out)
    again.save(out)  # the damaged one does not take the good one's place
    assert [unsealed((out / n).read_bytes())["step"] for n in ("checkpoint.pt", "checkpoint.previous.pt")] == [0, 0]


def test_other_data_of_the_same_name_are_another_run(tmp_path: Path, raster: Callable[..., Path]) -> None:
    entry = {"path": "s.tif", "attribution": ""}
    for index, side in enumerate((48, 64)):
        (tmp_path / str(index)).mkdir()
        raster(texture(1, side, side), f"{index}/s.tif")
    path = recipe_file(tmp_path, data={"train": [entry]}, content={"steps": 1, "patch": 32, "batch": 1})
    train(load_recipe(path, [f"data={tmp_path}/0"]), tmp_path / "run", quiet=True)
    with pytest.raises(RecipeError, match="other data"):
        train(load_recipe(path, [f"data={tmp_path}/1"]), tmp_path / "run", quiet=True)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, **SMALL), ["content.steps=1"])
    with alone(made(tmp_path / "run")), pytest.raises(RecipeError, match="another run is going on"):
        train(recipe, tmp_path / "run", quiet=True)
    train(recipe, tmp_path / "run", quiet=True)


def test_what_the_second_stage_lacks_is_told_before_the_first(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **BOTH)
    losses = "[{kind: perceptual, file: /none.pth}, {kind: vanilla}]"
    for words, said, kind in (
        (["adversarial.discriminator.architecture=nope"], "discriminator 'nope'", RecipeError),
        (["adversarial.discriminator.options={depth: 3}"], "options it takes", RecipeError),
        ([f"adversarial.losses={losses}"], "none.pth, which cannot be read", ModelError),
    ):
        with pytest.raises(kind, match=said):
            train(load_recipe(path, words), tmp_path / "run", quiet=True)
        assert not (tmp_path / "run" / "log.csv").exists()


def test_a_folder_where_a_log_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run" / "log.csv").mkdir(parents=True)
    with pytest.raises(OutputError, match="Is a directory"):
        train(load_recipe(recipe_file(tmp_path, **SMALL)), tmp_path / "run", quiet=True)


def test_validation_without_data_is_named(tmp_path: Path) -> None:
    scene = Scene.from_array(texture(1, 64, 64), valid=np.zeros((1, 64, 64), bool), name="empty.tif")
    with pytest.raises(RecipeError, match=r"the validation scene empty\.tif, in which no window"):
        Validation(load_recipe(recipe_file(tmp_path)), [scene], torch.device("cpu"))


def test_no_room_for_a_checkpoint_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, out = load_recipe(recipe_file(tmp_path, **SMALL)), tmp_path / "run"
    out.mkdir()
    run = Run(recipe, torch.device("cpu"))
    run.begin_stage()
    run.save(out)
    before = (out / "checkpoint.pt").read_bytes()

    def full(state: object, file: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="No space left on device"):
        run.save(out)
    assert [p.name for p in out.iterdir()] == ["checkpoint.pt"]
    assert (out / "checkpoint.pt").read_bytes() == before


def test_a_bad_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="one that can be made"):
        train(load_recipe(recipe_file(tmp_path, **SMALL)), tmp_path / "file", quiet=True)


def test_the_same_seed_gives_the_same_model_another_a_different_one(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **SMALL)
    models = [
        load_file(train(load_recipe(path, ["content.steps=3", f"seed={seed}"]), tmp_path / name, quiet=True))
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    assert all(torch.equal(models[0][k], models[1][k]) for k in models[0])
    assert not torch.equal(models[0]["head.weight"], models[2]["head.weight"])


def test_a_loss_that_is_not_finite_stops_with_its_name_and_step(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, **SMALL)
    wild = ["content.optimiser.learning_rate=1e20", "content.optimiser.clip_norm=1e30", "checkpoint_every=1"]
    with pytest.raises(
        RecipeError, match=r"(l1 loss|consistency loss|gradient's norm) of (nan|inf) at step \d+ \(cont"
    ):
        train(load_recipe(path, [*wild, "content.optimiser.warmup_steps=0"]), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    state = unsealed((tmp_path / "run" / "checkpoint.pt").read_bytes())
    assert all(torch.isfinite(v).all() for v in state["generator"].values())


def test_too_little_memory_says_which_knobs_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*batch: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("geomedsr.training.loop.step", greedy)
    with pytest.raises(DeviceError, match=r"raise content.accumulate, lower content.batch or content.patch"):
        train(load_recipe(recipe_file(tmp_path, **SMALL)), tmp_path / "run", quiet=True)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precisions_train(tmp_path: Path, precision: str) -> None:
    path = recipe_file(tmp_path, **BOTH)
    words = [f"precision={precision}", "content.steps=2", "adversarial.steps=2"]
    model = geomedsr.load_model(train(load_recipe(path, words), tmp_path / "run", quiet=True), 1.0)
    assert all(v.isfinite().all() for v in model.module.state_dict().values())


def test_training_goes_on_from_a_model_of_the_same_architecture(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "start.safetensors", seed=3)
    words = [f"generator.start={start}", "generator.options={width: 8, blocks: 2}"]
    path = recipe_file(tmp_path, **SMALL)
    run = Run(load_recipe(path, words), torch.device("cpu"))
    weights = load_file(start)
    assert all(torch.equal(v, weights[k]) for k, v in run.average.state_dict().items())
    kept = load_file(train(load_recipe(path, [*words, "generator.keep=0.25"]), tmp_path / "kept", quiet=True))
    made = load_file(train(load_recipe(path, words), tmp_path / "made", quiet=True))
    assert any((made[name] - weights[name]).abs().max() > 1e-5 for name in made)
    for name, weight in kept.items():
        torch.testing.assert_close(weight, 0.25 * weights[name] + 0.75 * made[name], rtol=0, atol=1e-7)
    for word, said in (("generator.start=null", "keep without start"), ("generator.keep=1", "less than 1")):
        with pytest.raises(RecipeError, match=said):
            load_recipe(path, [*words, "generator.keep=0.25", word])
    with pytest.raises(RecipeError, match=r"generator.start .* of compact 4 1 .*expected the recipe's compact 4 1"):
        Run(load_recipe(path, [words[0]]), torch.device("cpu"))


def _joint_with_guide(bands: Sequence[str], folder: Path) -> tuple[str, str]:
    """Entries of some bands at half the sample's resolution, made of the sample, which guides them."""
    fine = geomedsr.open(SAMPLE / "reference.tif")
    height, width = (n // 2 for n in fine.shape[2:])
    means = fine.data.values[0].reshape(4, height, 2, width, 2).mean((2, 4))
    affine = fine.grid.affine
    assert affine is not None
    grid = Grid((height, width), affine=affine @ Affine.scale(2), crs=fine.grid.crs)
    values = means[np.arange(len(bands)) % 4].astype(np.uint16)
    geomedsr.write(
        Scene.from_array(values, grid=grid, bands=[Band(name, description=name) for name in bands]),
        folder / "coarse.tif",
    )
    rest = f"path: {folder / 'coarse.tif'}, guide: {{path: reference.tif}}, attribution: x"
    return f"[{{{rest}, window: [0, 0, 192, 96]}}]", f"[{{{rest}, window: [0, 96, 64, 48]}}]"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_recipe_starts(config: Path, tmp_path: Path) -> None:
    """Through the command line, a step of each stage, on the sample in place of each scene it names."""
    guide = load_recipe(config).guide
    if guide is not None and len(guide.bands) > 1:
        scene, small = _joint_with_guide(load_recipe(config).generator.bands, tmp_path)
    else:
        beside = ", guide: {mixed: true}" if guide else ""
        scene = f"[{{path: reference.tif, attribution: x, window: [0, 0, 384, 192]{beside}}}]"
        small = f"[{{path: reference.tif, attribution: x, window: [0, 192, 96, 96]{beside}}}]"
    words = [f"data={SAMPLE}", f"data.train={scene}", f"data.validation={small}", "content.steps=1"]
    words += ["content.batch=2", "foreground=null"]
    if load_recipe(config).adversarial:
        words += ["adversarial.steps=1", "adversarial.batch=2"]
    assert main(["train", config.stem, "--out", str(tmp_path / "run"), "--quiet", *words]) == 0
    assert geomedsr.load_model(tmp_path / "run" / "model.safetensors").descriptor.name == config.stem


@pytest.mark.parametrize("architecture", ["srresnet", "rrdb"])
@pytest.mark.parametrize("discriminator", ["srgan", "unet"])
def test_every_architecture_trains(tmp_path: Path, architecture: str, discriminator: str) -> None:
    options = {"width": 4, "blocks": 1} | ({"growth": 2} if architecture == "rrdb" else {})
    judge = {"architecture": discriminator, "options": {"width": 4}}
    changes = {
        **BOTH,
        "generator": {"architecture": architecture, "scale": 2, "options": options},
        "content": {"steps": 2, "patch": 32, "batch": 2},
        "adversarial": {**ADVERSARIAL, "steps": 2, "discriminator": judge},
        "data": {**SMALL["data"], "validation": []},
    }
    path = train(load_recipe(recipe_file(tmp_path, **changes)), tmp_path / "run", quiet=True)
    scene = geomedsr.open(SAMPLE / "input.tif").crop(geomedsr.Window(0, 0, 20, 16))
    assert geomedsr.upscale(scene, path, realism=1).shape == (1, 4, 32, 40)


def test_several_bands_are_trained_together(tmp_path: Path) -> None:
    words = ["generator.channels=4", "content.steps=2"]
    path = train(load_recipe(recipe_file(tmp_path, **SMALL), words), tmp_path / "run", quiet=True)
    assert geomedsr.load_model(path).descriptor.channels == 4
    with pytest.raises(RecipeError, match=r"4 bands .*expected 3 in every scene"):
        train(load_recipe(recipe_file(tmp_path, **SMALL), ["generator.channels=3"]), tmp_path / "other", quiet=True)
    picked = [{**UPPER, "bands": ["B04", 2, "B02"]}]
    changes = {**SMALL, "data": {**SMALL["data"], "train": picked, "validation": []}}
    words = ["generator.channels=3", "content.steps=1"]
    train(load_recipe(recipe_file(tmp_path, **changes), words), tmp_path / "three", quiet=True)


def test_a_scale_that_an_architecture_lacks_is_refused(tmp_path: Path) -> None:
    words = ["generator.architecture=srresnet", "generator.scale=5", "content.patch=40"]
    with pytest.raises(ModelError, match="scale 5: this architecture has 2, 3, 4, 8"):
        train(load_recipe(recipe_file(tmp_path, **SMALL), words), tmp_path / "run", quiet=True)


def test_the_rate_warms_up_and_decays() -> None:
    part = OptimiserPart(learning_rate=1.0, final_learning_rate=0.1, warmup_steps=10)
    rates = [learning_rate(part, step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == 1.0
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)


def test_tensorboard_gets_what_the_log_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recipe = load_recipe(recipe_file(tmp_path, **SMALL), ["tensorboard=true", "content.steps=6"])
    train(recipe, tmp_path / "run", quiet=True)
    events = accumulator.EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    told = [(e.step, e.value) for e in events.Scalars("l1")]
    assert [step for step, _ in told] == [3, 6]
    assert [value for _, value in told] == pytest.approx([float(r["l1"]) for r in rows(tmp_path / "run")], rel=1e-4)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(GeomedsrError, match=r"pip install 'geomedsr\[tensorboard\]'"):
        train(recipe, tmp_path / "other", quiet=True)


def test_best_is_by_psnr_then_by_looks() -> None:
    judge = Validation.__new__(Validation)
    best: dict[str, float] = {}
    told = [judge.is_best("content", {"psnr": p, "vgg": 0.1}, best) for p in (30.0, 29.0, 31.0)]
    assert told == [True, False, True]
    told = [judge.is_best("adversarial", {"psnr": 20.0, "vgg": v}, best) for v in (0.4, 0.5, 0.3)]
    assert told == [True, False, True]
    assert judge.is_best("adversarial", {"psnr": 21.0}, {"adversarial": 20.0})
    assert not judge.is_best("content", {"psnr": float("nan")}, {})
    assert not judge.is_best("content", {}, best)
    assert best == {"content": 31.0, "adversarial": 0.3}


def test_bad_input_to_train_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recipe_file(tmp_path)
    assert main(["train", str(path), "--out", str(tmp_path / "run"), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "a.tif, which does not exist" in err
    words = ['data.train=[{path: "*.tif", attribution: x}]', f"data.root={tmp_path}"]
    assert main(["train", str(path), "--out", str(tmp_path / "run"), "--quiet", *words]) == 2
    assert "*.tif, which matches nothing" in capsys.readouterr().err


def test_validation_tells_the_grid_of_coarse_scenes_and_of_scenes_as_they_are(tmp_path: Path) -> None:
    scene = geomedsr.open(SAMPLE / "reference.tif").crop(Window(0, 192, 384, 96))
    recipe = load_recipe(recipe_file(tmp_path, **SMALL))

    class Blocky(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            fine = torch.nn.functional.interpolate(x, scale_factor=4, mode="bicubic")
            return fine + 0.3 * torch.nn.functional.interpolate(x, scale_factor=4, mode="nearest")

    def expected(pieces: torch.Tensor) -> float:  # (window, band, y, x)
        prediction = Blocky()(pieces)
        missing = pieces - torch.nn.functional.avg_pool2d(prediction, 4)
        prediction = prediction + missing.repeat_interleave(4, 2).repeat_interleave(4, 3)
        found = []
        for image in (prediction, prediction.transpose(2, 3)):
            step = image.double().diff(dim=2).abs().mean((0, 3))  # (band, y)
            border = torch.arange(step.shape[1]) % 4 == 3
            found.append(step[:, border].mean(1) / step[:, ~border].mean(1))
        return float(torch.stack(found).max())

    validation = Validation(recipe, [scene], torch.device("cpu"))
    scores = validation.scores(Blocky())
    windows = [scene.tensor(Window(col, 0, 96, 96))[0] for col in range(0, 384, 96)]
    fine = torch.stack(windows)
    assert scores["grid"] == pytest.approx(expected(torch.nn.functional.avg_pool2d(fine, 4)), rel=1e-4)
    assert scores["grid_native"] == pytest.approx(expected(fine[..., 36:60, 36:60]), rel=1e-4)
    assert min(scores["grid"], scores["grid_native"]) > 1.5
    assert validation.bicubic.keys() == {"psnr"}


def test_no_loss_is_called_as_a_score_is() -> None:
    kinds = {part.model_fields["kind"].default for part in get_args(get_args(AnyLoss)[0])}
    assert {"l1", "log-mse", "stationarity"} < kinds
    assert not kinds & set(SCORES)
