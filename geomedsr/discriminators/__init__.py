"""Discriminators: networks that tell real high-resolution images from made ones. Used in training only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from geomedsr.discriminators.dcgan import DCGANDiscriminator
from geomedsr.discriminators.patchgan import PatchGANDiscriminator
from geomedsr.discriminators.srgan import SRGANDiscriminator
from geomedsr.discriminators.unet import UNetDiscriminator
from geomedsr.discriminators.wavelets import Wavelets
from geomedsr.errors import RecipeError

__all__ = [
    "DISCRIMINATORS",
    "DCGANDiscriminator",
    "PatchGANDiscriminator",
    "SRGANDiscriminator",
    "UNetDiscriminator",
    "Wavelets",
    "build_discriminator",
    "mixes_images",
]

#: Discriminators by the name a recipe gives them. Each gives logits: positive for real.
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "dcgan": DCGANDiscriminator,
    "patchgan": PatchGANDiscriminator,
    "srgan": SRGANDiscriminator,
    "unet": UNetDiscriminator,
}


def build_discriminator(architecture: str, channels: int, options: Mapping[str, int]) -> nn.Module:
    """A new discriminator for images of so many channels.

    Besides an architecture's own options, ``wavelets`` says of how many levels it sees the details of an image, instead
    of the image; see :class:`Wavelets`.

    Raises:
        RecipeError: unknown architecture, or options it does not take.
    """
    if architecture not in DISCRIMINATORS:
        raise RecipeError(
            f"the discriminator {architecture!r}", f"one of {', '.join(sorted(DISCRIMINATORS))}", "correct the recipe"
        )
    try:
        own = dict(options)
        if (levels := own.pop("wavelets", 0)) == 0:
            return DISCRIMINATORS[architecture](channels=channels, **own)
        if levels < 0:
            raise ValueError(f"wavelets {levels} must be at least 0")
        return Wavelets(DISCRIMINATORS[architecture](channels=3 * levels * channels, **own), levels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(
            f"options {dict(options)} for the discriminator {architecture}", "options it takes", str(error)
        ) from error


def mixes_images(architecture: str, options: Mapping[str, int]) -> bool:
    """Whether what it says of an image depends on the others in a batch, as batch normalisation makes it.

    Raises:
        RecipeError: unknown architecture, or options it does not take.
    """
    with torch.device("meta"):
        network = build_discriminator(architecture, 1, options)
    return any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
