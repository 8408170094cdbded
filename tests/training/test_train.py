import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS, SAMPLE, recipe_file, save_tiny
from safetensors.torch import load_file
from torch import nn

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import DeviceError, GeomedsrError, ModelError, OutputError, RecipeError, SceneWarning
from geomedsr.training import load_recipe, train
from geomedsr.training.recipe import OptimiserPart
from geomedsr.training.run import Run
from geomedsr.training.schedule import learning_rate
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
    terms = step(run, fine, torch.nn.functional.avg_pool2d(fine, 4))
    assert set(terms) == {"l1", "consistency", "relativistic", "discriminator"}
    assert terms["relativistic"] == pytest.approx(2 * np.log(2), abs=0.2)  # neither knows anything yet
    after = run.discriminator.state_dict()
    moved = max(float((after[k] - v).abs().max()) for k, v in before.items())
    assert 0 < moved <= 1.1e-4  # one step of Adam at 1e-4
    losses = [step(run, fine, torch.nn.functional.avg_pool2d(fine, 4))["discriminator"] for _ in range(6)]
    assert losses[-1] < losses[0]


def test_parts_of_a_batch_add_up_to_its_gradient(tmp_path: Path) -> None:
    moved = []
    fine = torch.rand(4, 1, 32, 32)
    for parts in (1, 2):
        recipe = load_recipe(recipe_file(tmp_path, **SMALL), [f"content.accumulate={parts}"])
        run = Run(recipe, torch.device("cpu"))
        run.begin_stage()
        terms = step(run, fine, torch.nn.functional.avg_pool2d(fine, 4))
        moved.append((terms["l1"], run.generator.state_dict()))
    assert moved[0][0] == pytest.approx(moved[1][0], rel=1e-5)
    for key, value in moved[0][1].items():
        torch.testing.assert_close(value, moved[1][1][key], atol=1e-6, rtol=0)


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


@pytest.mark.parametrize(("at", "when"), [(4, "after"), (8, "after"), (8, "before"), (12, "before")])
def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path, at: int, when: str) -> None:
    """In the content stage's last checkpoint, in the adversarial stage, and between its last step and the model."""
    path = recipe_file(tmp_path, **BOTH)
    whole = train(load_recipe(path), tmp_path / "whole", quiet=True)
    words = [sys.executable, "-c", KILLED, str(path), str(tmp_path / "killed"), str(at), when]
    assert subprocess.run(words, timeout=300).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert main(["train", str(path), "--out", str(tmp_path / "killed"), "--quiet"]) == 0
    assert same(whole, tmp_path / "killed" / "model.safetensors")
    assert same(tmp_path / "whole/best.safetensors", tmp_path / "killed/best.safetensors")
    one, other = rows(tmp_path / "whole"), rows(tmp_path / "killed")
    assert [r["step"] for r in one] == [r["step"] for r in other]
    if when == "before" or at == 4:
        columns = ("l1", "relativistic", "discriminator")
        assert [[r[c] for c in columns] for r in one[:2]] == [[r[c] for c in columns] for r in other[:2]]


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
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
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
    with pytest.raises(RecipeError, match=r"generator.start .* of compact 4 1 .*expected the recipe's compact 4 1"):
        Run(load_recipe(path, [words[0]]), torch.device("cpu"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_recipe_starts(config: Path, tmp_path: Path) -> None:
    """Through the command line, a step of each stage, on the sample in place of each scene it names."""
    scene = "[{path: reference.tif, attribution: x, window: [0, 0, 384, 192]}]"
    small = "[{path: reference.tif, attribution: x, window: [0, 192, 96, 96]}]"
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
