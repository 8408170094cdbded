"""A model of new slices that goes on training on the volume itself."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from making import volume

import geomedsr
from geomedsr import Model, Scene
from geomedsr.cli import main
from geomedsr.errors import InputError, ModelError, OutputError, SceneWarning
from geomedsr.inference.adapting import Adapting
from geomedsr.models import Descriptor, load_model, save_model
from geomedsr.models.store import build
from geomedsr.training import adapting


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """As new: cubic interpolation; for 2 or 3 slices."""
    card = Descriptor(
        name="small-slices",
        version="1.2",
        architecture="slices",
        options={"width": 8, "blocks": 1},
        scale=1,
        frame_factor=3,
        heads=((3, 1, 1), (2, 1, 1)),
        neighbours=2,
        value_range=(1, 99),
        operator="slice-profile",
        attribution=("Somebody's data",),
    )
    save_model(build(card), card, tmp_path / "small.safetensors")
    return load_model(tmp_path / "small.safetensors")


@pytest.fixture
def thick() -> Scene:
    """20 slices, 3 times as far apart as pixels, of a pattern that is alike along all axes."""
    z, y, x = np.mgrid[:60, :48, :48].astype(float)
    fine = 500 + 200 * np.sign(np.sin(y / 2.1) + np.sin(x / 1.7) + np.sin(z / 1.9))
    planes = tuple(
        replace(plane, position=(0.0, 0.0, 3.0 * number), thickness=3.0)
        for number, plane in enumerate(volume(20).grid.planes)
    )
    values = fine.reshape(20, 3, 48, 48).mean(1)[:, None].round().astype(np.int16)
    scene = replace(volume(20, 48, 48), source=Scene.from_array(values).source)
    return replace(scene, grid=replace(scene.grid, planes=planes), scale=None).with_range(0, 1000)


def test_it_learns_the_volume_and_says_so(thick: Scene, model: Model, tmp_path: Path) -> None:
    how = Adapting(tmp_path / "own.safetensors", steps=60, seed=4)
    made = geomedsr.upscale(thick, model, slices=3, profile="box", adapt=how)
    own = load_model(how.path)
    card = own.descriptor
    assert (card.name, card.version) == ("small-slices-adapted", "1.2+60steps")
    assert card.heads == ((3, 1, 1),)  # others were not trained on
    assert card.metrics["psnr"] > card.metrics["psnr_before"]
    assert card.metrics["psnr_before"] == pytest.approx(card.metrics["psnr_bicubic"], abs=1)
    assert card.training["seed"] == 4
    assert card.training["adapted"]["of"] == model.sha256
    assert card.attribution == ("Somebody's data",)
    assert made.provenance.model.sha256 == own.sha256 != model.sha256
    values = made.data.values.astype(int)
    np.testing.assert_array_equal(values.reshape(20, 3, 48, 48).sum(1), 3 * thick.data.values[:, 0])
    before = geomedsr.upscale(thick, model, slices=3, profile="box")
    assert np.abs(values - before.data.values).max() > 5


def test_seed_and_steps_and_profile_give_the_model(
    thick: Scene, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = {}
    for name, seed, profile in (("one", 0, "box"), ("two", 0, "box"), ("three", 1, "box"), ("four", 0, 3.0)):
        how = Adapting(tmp_path / f"{name}.safetensors", steps=40, seed=seed)
        geomedsr.upscale(thick, model, slices=3, profile=profile, adapt=how)
        hashes[name] = load_model(how.path).sha256
    assert hashes["one"] == hashes["two"]
    assert len(set(hashes.values())) == 3
    how = Adapting(tmp_path / "one.safetensors", steps=40)
    for slices, profile in ((2, "box"), (3, 3.0)):
        with pytest.raises(OutputError, match="add --overwrite"):
            geomedsr.upscale(thick, model, slices=slices, profile=profile, adapt=how)
    monkeypatch.setattr(adapting, "_train", None)  # no more is trained
    again = geomedsr.upscale(thick, model, slices=3, profile="box", adapt=how)
    assert again.provenance.model.sha256 == hashes["one"]


def test_what_cannot_be_adapted_is_told(
    thick: Scene, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Adapting(tmp_path / "own.safetensors", steps=2)
    with pytest.raises(InputError, match="adapt without slices"):
        geomedsr.upscale(thick, model, adapt=how)
    with pytest.raises(InputError, match="of 8 × 8 pixels, to adapt a model to, expected at least 9 × 9"):
        geomedsr.upscale(thick.crop(geomedsr.Window(0, 0, 8, 8)), model, slices=3, profile="box", adapt=how)
    with pytest.raises(ModelError, match="none of new slices from a file"):
        geomedsr.upscale(thick, replace(model, path="memory"), slices=3, profile="box", adapt=how)
    monkeypatch.setattr(adapting, "_train", lambda *of: None)
    with pytest.warns(SceneWarning, match=r"2 steps of adapting gained nothing .* small-slices is used as it is"):
        made = geomedsr.upscale(thick, model, slices=3, profile="box", adapt=how)
    assert made.provenance.model.sha256 == model.sha256
    assert not os.path.exists(how.path)


def test_the_command_leaves_the_model_and_goes_on_with_it(
    thick: Scene, model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    geomedsr.write(thick, tmp_path / "thick.nii", progress=False)
    source, out = str(tmp_path / "thick.nii"), tmp_path / "thin.nii.gz"
    words = ["upscale", source, str(out), "--slices", "3", "--model", model.path, "--profile", "box"]
    words += ["--adapt", "30steps"]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    own = load_model(tmp_path / "thin.model.safetensors")
    assert report["adapted"]["steps"] == 30
    assert report["adapted"]["psnr"] > report["adapted"]["psnr_before"]
    assert report["provenance"]["GEOMEDSR_MODEL_SHA256"] == own.sha256
    first = out.read_bytes()
    assert main(["verify", source, str(out)]) == 0
    assert "steps across faces of the source's slices are" in capsys.readouterr().out
    assert main(words) == 2
    assert "thin.nii.gz, which exists" in capsys.readouterr().err
    out.unlink()
    assert main([*words, "--quiet"]) == 0  # by the model that is there
    assert out.read_bytes() == first
    assert main(["upscale", source, str(tmp_path / "other.nii"), "--model", model.path, "--adapt"]) == 2
    assert "without slices" in capsys.readouterr().err
