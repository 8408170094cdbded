"""Upsampling layers from the coarse grid to the fine one, in steps of 2 and 3."""

from __future__ import annotations

from torch import nn

#: The factor of each step, by scale.
STEPS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}


def steps(scale: int) -> tuple[int, ...]:
    """The factors whose product is the scale.

    Raises:
        ValueError: the scale is not 2, 3, 4 or 8.
    """
    if scale not in STEPS:
        raise ValueError(f"scale {scale}: this architecture has {', '.join(map(str, STEPS))}")
    return STEPS[scale]


def sub_pixel(width: int, scale: int) -> nn.Sequential:
    """Convolution, PixelShuffle, PReLU for each step (Shi et al. 2016, arXiv:1609.05158; SRGAN, fig. 4)."""
    layers: list[nn.Module] = []
    for factor in steps(scale):
        layers += [nn.Conv2d(width, width * factor**2, 3, padding=1), nn.PixelShuffle(factor), nn.PReLU()]
    return nn.Sequential(*layers)


def nearest(width: int, scale: int) -> nn.Sequential:
    """Nearest-neighbour repetition, convolution, LeakyReLU for each step (Odena et al. 2016; ESRGAN's code)."""
    layers: list[nn.Module] = []
    for factor in steps(scale):
        layers += [
            nn.Upsample(scale_factor=factor, mode="nearest"),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers)
