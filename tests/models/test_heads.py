"""Cards that name several factors, a head for each."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from dask.base import tokenize
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toys import saved_toy, toy

from geomedsr.errors import InputError, ModelError
from geomedsr.geometry import Factors
from geomedsr.models import Descriptor, load_model, save_model

HEADS: Mapping[str, Any] = {"architecture": "toy-heads", "frame_factor": 2, "heads": ((2, 1, 1), (3, 1, 1), (2, 2, 2))}


def card(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["geomedsr"])
    return facts


def test_they_are_saved_and_loaded(tmp_path: Path) -> None:
    model = saved_toy(tmp_path, **HEADS)
    assert model.descriptor.heads == HEADS["heads"]
    assert model.descriptor.factors == model.module.factors == Factors(2, 1, 1)
    assert card(Path(model.path))["heads"] == [[2, 1, 1], [3, 1, 1], [2, 2, 2]]
    assert repr(model) == "<geomedsr.Model toy 0: ×2 slices (or ×3 slices; ×2, ×2 slices), band by band, toy-heads>"
    other = model.with_factors((2, 2, 2))
    save_model(other.module, other.descriptor, tmp_path / "again.safetensors")  # which is chosen is no part of a file
    assert (tmp_path / "again.safetensors").read_bytes() == Path(model.path).read_bytes()


def test_cards_of_one_head_say_nothing_of_heads(tmp_path: Path) -> None:
    model = saved_toy(tmp_path, frame_factor=3)
    assert model.descriptor.heads == ()
    assert "heads" not in card(Path(model.path))
    assert "heads" not in model.descriptor.model_dump_json()
    assert model.descriptor.offered == "×3 slices"


def test_one_is_chosen_of_the_same_weights() -> None:
    model = toy(**HEADS)
    image = torch.rand(2, 1, 9, 8)
    for factors, shape in (((2, 1, 1), (2, 2, 9, 8)), (Factors(3, 1, 1), (2, 3, 9, 8)), ([2, 2, 2], (2, 2, 18, 16))):
        chosen = model.with_factors(factors)
        assert chosen.descriptor.factors == chosen.module.factors == Factors.of(factors)
        assert chosen.module(image).shape == shape
        assert chosen.sha256 == model.sha256
        for mine, its in zip(chosen.module.parameters(), model.module.parameters(), strict=True):
            assert mine is its
    assert model.module(image).shape == (2, 2, 9, 8)
    assert model.with_factors(Factors(2, 1, 1)) is model


@pytest.mark.parametrize(
    ("facts", "asked", "said"),
    [
        (
            HEADS,
            (4, 1, 1),
            "got factors (4, 1, 1) for the model toy 0, expected one of (2, 1, 1), (3, 1, 1), (2, 2, 2): "
            "choose one of these, or use another model",
        ),
        (
            {"scale": 2},
            (3, 1, 1),
            "got factors (3, 1, 1) for the model toy 0, expected its own, (1, 2, 2): "
            "leave them out, or use another model",
        ),
        *(
            (HEADS, wrong, "expected three whole numbers from 1, for frames, rows and columns: such as (3, 1, 1)")
            for wrong in ((3, 1), (3, 1, 1, 1), 3, "311", (0, 1, 1), (2.0, 1, 1), (2, True, 1), (None, 1, 1))
        ),
    ],
)
def test_others_are_refused(facts: Mapping[str, Any], asked: Any, said: str) -> None:
    with pytest.raises(InputError) as told:
        toy(**facts).with_factors(asked)
    assert said in str(told.value)


def test_a_card_of_one_head_may_be_asked_for_its_own() -> None:
    model = toy(scale=2)
    assert model.with_factors((1, 2, 2)) is model


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        (((2, 1, 1), (2, 1, 1)), "each once"),
        (((2, 1, 1), (2, 1, 2)), "made finer alike"),
        (((3, 1, 1), (4, 1, 1)), r"for \(2, 1, 1\), among the heads \(3, 1, 1\), \(4, 1, 1\)"),
        (((2, 1, 1), (17, 1, 1)), "less than or equal to 16"),
        (((2, 1, 1), (0, 1, 1)), "greater than or equal to 1"),
        (((2, 1, 1), (3, 1)), "Field required"),
    ],
)
def test_wrong_sets_are_refused(heads: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Descriptor(**{**toy(**HEADS).descriptor.model_dump(), "heads": heads})


def test_a_file_begins_with_its_first(tmp_path: Path) -> None:
    path = Path(saved_toy(tmp_path, **HEADS).path)
    facts = card(path) | {"frame_factor": 3}
    save_file(load_file(path), path, {"geomedsr": json.dumps(facts)})
    with pytest.raises(ModelError, match=r"frame_factor for \(3, 1, 1\), not for the first of its heads"):
        load_model(path)


def test_networks_of_one_head_are_not_given_several() -> None:
    with pytest.raises(ModelError, match="unexpected keyword argument 'heads'"):
        toy(**{**HEADS, "architecture": "toy"})


def test_a_pickled_model_keeps_its_choice(tmp_path: Path) -> None:
    model = saved_toy(tmp_path, **HEADS)
    chosen = model.with_factors((3, 1, 1))
    again = pickle.loads(pickle.dumps(chosen))
    assert again.descriptor == chosen.descriptor
    assert again.module.factors == Factors(3, 1, 1)
    assert tokenize(again) == tokenize(chosen) != tokenize(model)
    assert pickle.loads(pickle.dumps(model)).descriptor.factors == Factors(2, 1, 1)


def test_realism_and_factors_are_chosen_in_any_order(tmp_path: Path) -> None:
    content, path = toy(**HEADS, adversarial=True), tmp_path / "m.safetensors"
    adversarial = {key: value + 0.1 for key, value in content.module.state_dict().items()}
    save_model(content.module, content.descriptor, path, adversarial)
    once = load_model(path, 0.5).with_factors((3, 1, 1))
    other = load_model(path).with_factors((3, 1, 1)).with_realism(0.5)
    image = torch.rand(1, 1, 8, 8)
    assert other.realism == once.realism == 0.5
    assert other.descriptor == once.descriptor
    assert torch.equal(once.module(image), other.module(image))
    assert not torch.equal(once.module(image), load_model(path).with_factors((3, 1, 1)).module(image))
