import json
import pickle
from pathlib import Path

import pytest
import torch
from conftest import save_tiny
from safetensors.torch import load_file, save_file

from geomedsr.errors import ModelError
from geomedsr.models import Model, available, load_model


def test_what_is_saved_is_loaded(tiny_path: Path) -> None:
    model = load_model(tiny_path)
    assert model.descriptor.name == "tiny"
    assert model.descriptor.options == {"width": 8, "blocks": 2}
    state = load_file(tiny_path)
    assert all(torch.equal(state[k], v) for k, v in model.module.state_dict().items())
    assert not model.module.training
    assert model.radius == 1 + 2 * 2 + 1


def test_shipped_models_load_and_are_small() -> None:
    assert "satellite-x4" in available()
    for name, path in available().items():
        model = load_model(name)
        assert model.descriptor.name == name
        assert path.stat().st_size <= 4_000_000
        assert model.descriptor.licence
        assert model.descriptor.attribution
        assert model.descriptor.metrics["psnr"] > model.descriptor.metrics["psnr_bicubic"]
        assert path.with_suffix(".md").exists()


def test_another_file_elsewhere_is_refused(tiny_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(tiny_path.read_bytes())
    data = pickle.dumps(load_model(path))
    path.write_bytes(available()["satellite-x2"].read_bytes())
    with pytest.raises(ModelError, match="another file in this process"):
        pickle.loads(data)
    shipped = load_model("satellite-x2")
    assert shipped.path.encode() not in pickle.dumps(shipped)  # workers look for their own


def test_a_model_is_pickled_as_its_file(tiny: Model) -> None:
    data = pickle.dumps(tiny)
    assert len(data) < 1000
    assert pickle.loads(data).sha256 == tiny.sha256


def test_a_file_that_changed_is_loaded_again(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "m.safetensors", seed=0)
    first = load_model(path).sha256
    save_tiny(path, seed=1)
    assert load_model(path).sha256 != first


def _rewrite(path: Path, state: dict[str, torch.Tensor], **changes: object) -> Path:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        blob = json.loads(file.metadata()["geomedsr"])
    target = path.with_name("changed.safetensors")
    save_file(state, target, {"geomedsr": json.dumps(blob | changes)})
    return target


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "resnet99"}, "resnet99"),
        ({"options": {"depth": 3}}, "options"),
        ({"options": {"width": 16, "blocks": 2}}, "weights do not fit"),
        ({"scale": 0}, "scale"),
        ({"options": {"width": 10**5, "blocks": 10**3}}, "weights do not fit"),
        ({"options": {"width": -8, "blocks": 2}}, "at least 1"),
        ({"value_range": [2, 98]}, "percentiles"),
        ({"surprise": 1}, "surprise"),
        ({"format": 2}, "format"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path = save_tiny(tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match=said):
        load_model(_rewrite(path, load_file(path), **changes))


def test_broken_files_are_refused(tmp_path: Path) -> None:
    whole = save_tiny(tmp_path / "m.safetensors").read_bytes()
    plain = tmp_path / "plain.safetensors"
    save_file({"x": torch.zeros(1)}, plain)
    cases = {"truncated": whole[:-100], "short": whole[:5], "empty": b"", "text": b"hello " * 40}
    for name, content in cases.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not readable as safetensors"):
            load_model(path)
    with pytest.raises(ModelError, match="without geomedsr's description"):
        load_model(plain)
    with pytest.raises(ModelError, match="directory"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="geomedsr models"):
        load_model("no-such-model")


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    path = tmp_path / "bomb.safetensors"
    torch.save({"x": Bomb()}, path)
    with pytest.raises(ModelError):
        load_model(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", sorted(available()))
def test_every_shipped_model_is_small_and_has_its_card(name: str) -> None:
    model, path = load_model(name), available()[name]
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert model.descriptor.name == name
    assert model.sha256 in card
    assert f"# {name} {model.descriptor.version}" in card
    assert f"{sum(p.numel() for p in model.module.parameters()):,}".replace(",", " ") in card.replace("\u202f", " ")
    assert f"receptive field of radius {model.radius} pixels" in card
