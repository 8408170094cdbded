"""Tiny models with a head of half-widths."""

import copy
from pathlib import Path

import torch
from conftest import save_tiny

from geomedsr.models import Model, load_model
from geomedsr.models.descriptor import NOMINALS, IntervalFacts
from geomedsr.models.files import save_model, with_card, write_model
from geomedsr.models.store import _head_in, new_head

#: A score of three units for each nominal share, and a typical scale.
SCORES = tuple(tuple(unit * (0.5 + nominal) for nominal in NOMINALS) for unit in (0.8, 1.0, 1.6))
TYPICAL = tuple(2 * nominal for nominal in NOMINALS)


def save_headed(path: Path, hidden: int = 4, calibrated: bool = True, **card: object) -> Path:
    """A tiny model with a head of random weights."""
    save_tiny(path, **card)
    model = load_model(path, 0.0 if card.get("adversarial") else None)
    torch.manual_seed(11)
    head = new_head(model, hidden)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
        head.last.bias.sub_(3)
    facts = IntervalFacts(hidden=hidden, **({"scores": SCORES, "typical": TYPICAL} if calibrated else {}))
    write_model(path, with_card(path, model.descriptor.model_copy(update={"interval": facts}), head.state_dict()))
    return path


def headed(folder: Path, **card: object) -> Model:
    return load_model(save_headed(folder / "headed.safetensors", **card))


def two_dials(tmp_path: Path) -> Model:
    """A model of realism 0 … 1 with a calibrated head."""
    base = load_model(save_headed(tmp_path / "content.safetensors", scale=2))
    other = copy.deepcopy(base.module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.02)
    card = base.descriptor.model_copy(update={"adversarial": True, "interval": None})
    save_model(base.module, card, tmp_path / "two.safetensors", other.state_dict())
    assert base.descriptor.interval is not None
    head = _head_in(base.path, base.descriptor.interval).state_dict()
    card = card.model_copy(update={"interval": base.descriptor.interval})
    write_model(tmp_path / "two.safetensors", with_card(tmp_path / "two.safetensors", card, head))
    return load_model(tmp_path / "two.safetensors")
