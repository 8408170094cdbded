"""Tiny models with a head of half-widths."""

from pathlib import Path

import torch
from conftest import save_tiny

from geomedsr.models import Model, load_model
from geomedsr.models.descriptor import NOMINALS, IntervalFacts
from geomedsr.models.store import new_head, with_card, write_model

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
