"""A model that goes on training on the scene that it is to sharpen."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from guided import fine_and_coarse, placed
from sharpening.test_product import COARSE, FINE, made, read

import geomedsr
from geomedsr import Model, Scene
from geomedsr.cli import main
from geomedsr.errors import InputError, ModelError, OutputError, SceneWarning
from geomedsr.inference.adapting import Adapting
from geomedsr.models import Descriptor, load_model, save_model
from geomedsr.models.ports import Port, Ports
from geomedsr.models.store import build
from geomedsr.training import adapting


def guided(folder: Path, channels: int, bands: tuple[str, ...], guide: tuple[str, ...], **options: int) -> Model:
    """A small network that is as new: bicubic."""
    card = Descriptor(
        name="small",
        version="1.2",
        architecture="guided",
        scale=2,
        channels=channels,
        bands=bands,
        ports=Ports(inputs=(Port(name="guide", bands=guide, factors=(1, 2, 2)),)),
        value_range=(1, 99),
        options={"width": 8, "blocks": 1, **options},
        attribution=("Somebody's data",),
    )
    save_model(build(card), card, folder / "small.safetensors")
    return load_model(folder / "small.safetensors")


@pytest.fixture
def pair() -> tuple[Scene, Scene]:
    fine, few = fine_and_coarse(side=80, bands=3)
    return placed(few, 20, names="B05 B06 B07"), placed(fine.mean(0, keepdims=True).astype(np.uint16), 10, names="pan")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return guided(tmp_path, 1, (), ("pan",))


def test_it_learns_the_scene_and_says_so(pair: tuple[Scene, Scene], model: Model, tmp_path: Path) -> None:
    coarse, guide = pair
    how = Adapting(tmp_path / "own.safetensors", steps=25, seed=4)
    result = geomedsr.sharpen(coarse, guide, model, adapt=how)
    own = load_model(how.path)
    card = own.descriptor
    assert (card.name, card.version) == ("small-adapted", "1.2+25steps")
    assert card.metrics["psnr"] > card.metrics["psnr_before"]
    assert card.training["stages"]["content"]["steps"] == 25
    assert (card.training["seed"], card.training["adapted"]["of"]) == (4, model.sha256)
    assert card.attribution == ("Somebody's data",)
    provenance = result.provenance.model
    assert (provenance.name, provenance.sha256) == (card.name, own.sha256)
    assert own.sha256 != model.sha256
    few = read(result).reshape(3, 80, 2, 80, 2).astype(int).sum((2, 4))
    np.testing.assert_array_equal(few, read(coarse).astype(int) * 4)
    before = geomedsr.sharpen(coarse, guide, model)
    truth = fine_and_coarse(side=80, bands=3)[0]
    errors = [np.abs(read(scene).astype(float) - truth).mean() for scene in (result, before)]
    assert errors[0] < 0.95 * errors[1]  # at the fine scale, which nobody trained on


def test_the_same_seed_and_steps_give_the_same_model(pair: tuple[Scene, Scene], model: Model, tmp_path: Path) -> None:
    coarse, guide = pair
    hashes = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        how = Adapting(tmp_path / f"{name}.safetensors", steps=12, seed=seed)
        geomedsr.sharpen(coarse, guide, model, adapt=how)
        hashes.append(load_model(how.path).sha256)
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


def test_a_model_that_was_made_alike_is_taken_as_it_is(
    pair: tuple[Scene, Scene], model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse, guide = pair
    how = Adapting(tmp_path / "own.safetensors", steps=12)
    first = geomedsr.sharpen(coarse, guide, model, adapt=how)
    other = placed(read(coarse) + 7, 20, names="B05 B06 B07")
    with pytest.raises(OutputError, match="add --overwrite"):
        geomedsr.sharpen(other, guide, model, adapt=how)
    with pytest.raises(OutputError, match="add --overwrite"):
        geomedsr.sharpen(coarse, guide, model, adapt=Adapting(how.path, steps=13))
    monkeypatch.setattr(adapting, "_train", None)  # no more is trained
    again = geomedsr.sharpen(coarse, guide, model, adapt=how)
    assert again.provenance.model == first.provenance.model


def test_where_nothing_is_gained_the_model_stays(
    pair: tuple[Scene, Scene], model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapting, "_train", lambda *of: None)
    how = Adapting(tmp_path / "own.safetensors", steps=2)
    with pytest.warns(SceneWarning, match=r"2 steps of adapting gained nothing .* small is used as it is"):
        result = geomedsr.sharpen(*pair, model, adapt=how)
    assert result.provenance.model.sha256 == model.sha256
    assert not os.path.exists(how.path)


def test_minutes_become_steps(pair: tuple[Scene, Scene], model: Model, tmp_path: Path) -> None:
    how = Adapting(tmp_path / "own.safetensors", minutes=0.02)
    geomedsr.sharpen(*pair, model, adapt=how)
    card = load_model(how.path).descriptor
    steps = card.training["stages"]["content"]["steps"]
    assert 10 <= steps < 2000
    assert card.version == f"1.2+{steps}steps"
    alike = Adapting(tmp_path / "alike.safetensors", steps=steps)
    geomedsr.sharpen(*pair, model, adapt=alike)
    weights = [load_model(path).module.state_dict() for path in (how.path, alike.path)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_what_cannot_be_adapted_is_told(pair: tuple[Scene, Scene], model: Model, tmp_path: Path) -> None:
    coarse, guide = pair
    how = Adapting(tmp_path / "own.safetensors", steps=2)
    with pytest.raises(ModelError, match="regression, which is not trained"):
        geomedsr.sharpen(coarse, guide, "regression", adapt=how)
    with pytest.raises(InputError, match="of 12 × 12 pixels, to adapt a model to"):
        geomedsr.sharpen(coarse.crop(geomedsr.Window(0, 0, 12, 12)), guide, model, adapt=how)
    with pytest.raises(OutputError, match="a folder that does not exist"):
        geomedsr.sharpen(coarse, guide, model, adapt=Adapting(tmp_path / "no" / "own.safetensors", steps=2))
    for wrong in ({"steps": 0}, {"minutes": 0.0}, {"minutes": float("nan")}):
        with pytest.raises(InputError, match="of adapting"):
            Adapting(tmp_path / "own.safetensors", **wrong)  # type: ignore[arg-type]


def test_a_command_adapts_a_product_and_leaves_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    product = made("2A", tmp_path)
    model = guided(tmp_path, 6, COARSE, FINE)
    out = tmp_path / "out.tif"
    words = ["sharpen", str(product), str(out), "--model", model.path, "--adapt", "12steps"]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    own = load_model(tmp_path / "out.model.safetensors")
    assert report["adapted"]["steps"] == 12
    assert report["adapted"]["psnr"] > report["adapted"]["psnr_before"]
    assert report["provenance"]["GEOMEDSR_MODEL_SHA256"] == own.sha256
    assert main(["verify", str(product), str(out)]) == 0
    capsys.readouterr()
    for more, said in (
        ([], "out.tif, which exists"),
        (["--overwrite", "--adapt", "soon"], "got 'soon', expected minutes, such as 5, or steps"),
        (["--overwrite", "--bands", "B01"], "of whose bands none is made by a trained model"),
    ):
        assert main([*words, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
