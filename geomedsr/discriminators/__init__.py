"""Discriminators: networks that distinguish real high-resolution images from generated ones. Used only in training."""

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

#: Discriminators by their name in recipes. Each returns logits, positive for real images.
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "dcgan": DCGANDiscriminator,
    "patchgan": PatchGANDiscriminator,
    "srgan": SRGANDiscriminator,
    "unet": UNetDiscriminator,
}


def build_discriminator(architecture: str, channels: int, options: Mapping[str, int]) -> nn.Module:
    """A new discriminator for images with ``channels`` channels.

    Besides an architecture's own options there is ``wavelets``: with a number of levels, the discriminator sees wavelet
    details instead of the image; see :class:`Wavelets`.

    Raises:
        RecipeError: unknown architecture, or options that it does not accept.
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
    """Whether its logits for an image depend on other images in the batch, because of batch normalisation.

    Raises:
        RecipeError: unknown architecture, or options that it does not accept.
    """
    with torch.device("meta"):
        network = build_discriminator(architecture, 1, options)
    return any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
