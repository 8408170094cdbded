"""The dial: two sets of weights in one file, and any point between them."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLE, save_tiny
from safetensors.torch import load_file, save_file

import geomedsr
from geomedsr.cli import main
from geomedsr.errors import ModelError
from geomedsr.models import load_model, save_model


def save_dual(path: Path, realism: float = 0.0, **card: object) -> Path:
    """Two random sets of weights for one network."""
    content = load_model(save_tiny(path.with_name("c.safetensors"), seed=1, **card))
    other = load_model(save_tiny(path.with_name("a.safetensors"), seed=2, **card))
    descriptor = content.descriptor.model_copy(update={"adversarial": True, "realism": realism})
    save_model(content.module, descriptor, path, other.module.state_dict())
    return path


def test_the_dial_moves_every_weight(tmp_path: Path) -> None:
    path = save_dual(tmp_path / "m.safetensors")
    first, last = (load_file(tmp_path / f"{name}.safetensors") for name in "ca")
    for realism in (0.0, 0.3, 1.0):
        model = load_model(path, realism)
        assert model.realism == realism
        for key, value in model.module.state_dict().items():
            expected = (1 - realism) * first[key] + realism * last[key]
            torch.testing.assert_close(value, expected, atol=1e-6, rtol=0)
            if realism in (0.0, 1.0):
                assert torch.equal(value, (first if realism == 0 else last)[key])
    assert load_model(path).realism == 0
    assert load_model(save_dual(tmp_path / "half.safetensors", realism=0.5)).realism == 0.5


def test_a_pickled_model_keeps_its_place_on_the_dial(tmp_path: Path) -> None:
    model = load_model(save_dual(tmp_path / "m.safetensors"), 0.7)
    again = pickle.loads(pickle.dumps(model))
    assert again.realism == 0.7
    assert all(torch.equal(v, again.module.state_dict()[k]) for k, v in model.module.state_dict().items())


def test_results_differ_and_say_so(tmp_path: Path) -> None:
    path = save_dual(tmp_path / "m.safetensors")
    scene = geomedsr.open(SAMPLE / "input.tif").crop(geomedsr.Window(0, 0, 24, 20))
    faithful, lifelike = (geomedsr.upscale(scene, path, realism=r) for r in (0, 1))
    assert not np.array_equal(faithful.data.values, lifelike.data.values)
    assert lifelike.provenance["GEOMEDSR_REALISM"] == "1"
    again = geomedsr.upscale(scene, load_model(path), realism=1)
    np.testing.assert_array_equal(again.data.values, lifelike.data.values)
    for sr in (faithful, lifelike):  # both conserve
        blocks = sr.data.values.reshape(1, 4, 20, 4, 24, 4).astype(int).sum((3, 5))
        np.testing.assert_array_equal(blocks, 16 * scene.data.values.astype(int))


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_dual(tmp_path / "m.safetensors")
    words = ["upscale", str(SAMPLE / "input.tif"), str(tmp_path / "o.tif"), "--model", str(path), "--window", "0,0,9,9"]
    assert main([*words, "--realism", "0.4"]) == 0
    assert "×4 by tiny 0.0.1, realism 0.4" in capsys.readouterr().out
    assert geomedsr.open(tmp_path / "o.tif").tags[""]["GEOMEDSR_REALISM"] == "0.4"
    for value in ("2", "-0.5", "nan"):
        assert main([*words, "--overwrite", "--realism", value]) == 2
        assert "0 (most faithful) … 1 (most lifelike)" in capsys.readouterr().err


def test_a_model_without_a_second_set_has_no_dial(tiny_path: Path) -> None:
    with pytest.raises(ModelError, match="which has content weights alone"):
        load_model(tiny_path, 0.5)
    assert load_model(tiny_path).realism == 0


def test_a_file_that_lacks_what_it_declares_is_refused(tmp_path: Path) -> None:
    path = save_dual(tmp_path / "m.safetensors")
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        blob = json.loads(file.metadata()["geomedsr"])
    state = load_file(path)
    for spoilt, facts in (
        ({k: v for k, v in state.items() if k != "adversarial.head.weight"}, blob),
        (state, blob | {"adversarial": False}),
    ):
        save_file(spoilt, tmp_path / "x.safetensors", {"geomedsr": json.dumps(facts)})
        with pytest.raises(ModelError, match="weights do not fit"):
            load_model(tmp_path / "x.safetensors")
