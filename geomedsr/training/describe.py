"""The card of the model that a recipe makes."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch

from geomedsr._version import __version__
from geomedsr.devices import choose_device, cores
from geomedsr.models.descriptor import Descriptor
from geomedsr.models.store import build, count_parameters
from geomedsr.training.recipe import Recipe


def hardware(device: str) -> str:
    """What a recipe's device is here: a GPU's name, or how many cores of what."""
    place = choose_device(device)
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return f"{cores()} CPU core{'s' * (cores() != 1)}, {platform.machine()}"


def commit() -> str | None:
    """The commit of the checkout that this package is in, with ``+`` where files have been changed.

    In a copy without a checkout, what the environment variable ``GEOMEDSR_COMMIT`` says of where it came from; else
    None.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return os.environ.get("GEOMEDSR_COMMIT") or None
    try:
        words = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):  # no git
        return None


def describe(recipe: Recipe) -> Descriptor:
    """The descriptor of the model a recipe makes, without its metrics."""
    part = recipe.generator
    descriptor = Descriptor(
        name=recipe.name,
        version=recipe.version,
        architecture=part.architecture,
        options=part.options,
        scale=part.scale,
        channels=part.channels,
        bands=part.bands,
        neighbours=part.neighbours,
        frame_factor=part.heads[0][0] if part.heads else 1,
        heads=part.heads,
        ports=part.ports,
        domain=recipe.domain,
        value_scale=recipe.values.scale,
        value_range=recipe.values.range,
        operator=recipe.operator,
        adversarial=bool(recipe.adversarial and recipe.adversarial.steps),
        realism=recipe.realism,
        precision=recipe.inference_precision,
        description=recipe.description,
        training_data=tuple(dict.fromkeys(Path(path).name for path in recipe.data.paths)),
        licence=recipe.data.licence,
        attribution=tuple(dict.fromkeys(recipe.data.attributions)),
    )
    training = {
        "seed": recipe.seed,
        "stages": {
            name: {"steps": stage.steps, "batch": stage.batch, "patch": stage.patch} for name, stage in recipe.stages
        },
        "precision": recipe.precision,
        "parameters": count_parameters(build(descriptor)),
        "software": f"geomedsr {__version__}, torch {torch.__version__}",
        "hardware": hardware(recipe.device),
        "commit": commit(),
    }
    return descriptor.model_copy(update={"training": training})
