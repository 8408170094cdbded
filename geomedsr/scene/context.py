"""Neighbouring frames as the network sees them: which those are, and how they become channels.

A network that sees ``k`` neighbours gets ``2k + 1`` frames for each that it makes: those before, the frame itself in
the middle, those after. At the ends of a series, and of each of several volumes in it, its first and last frame are
repeated (docs/decisions/0012). Neighbours are the next frames in the scene's order, however far apart they lie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from geomedsr.geometry.grid import Plane
from geomedsr.geometry.stacking import volume_length
from geomedsr.scene.frames import Lineage
from geomedsr.scene.sources import Array


def around(frames: slice, count: int, each_side: int, planes: Sequence[Plane] = ()) -> tuple[slice, Array]:
    """Which frames, of ``count``, to read for some of them, and where among those read each one's neighbours are.

    The positions are ``(frame, 2 · each_side + 1)``, the frame itself in the middle. ``planes`` say where the frames
    lie: of several volumes, one's last slice is no neighbour of the next one's first.
    """
    wanted = np.arange(count)[frames][:, None]
    length = volume_length(planes) if each_side and planes else count
    begins = wanted // length * length
    neighbours = np.clip(wanted + np.arange(-each_side, each_side + 1), begins, begins + length - 1)
    first = int(neighbours.min(initial=count))
    return slice(first, int(neighbours.max(initial=-1)) + 1), neighbours - first


def descended(older: Lineage, count: int, planes: Sequence[Plane], factor: int, each_side: int) -> Lineage:
    """The lineage of what a model makes of ``count`` frames: ``factor`` of each, which sees so many neighbours.

    ``older`` is that of those frames.
    """
    if factor == 1 and not each_side:
        return older
    read, places = around(slice(0, count), count, each_side, planes)
    made: list[tuple[int, ...]] = []
    for number, near in enumerate((places + read.start).tolist()):
        seen = [of for frame in (number, *near) for of in (older[frame] if older else (frame,))]
        made += [tuple(dict.fromkeys(seen))] * factor
    return tuple(made)


def as_channels(images: torch.Tensor, places: Array) -> torch.Tensor:
    """Frames ``(F, C, H, W)`` as a network sees them: ``(B, (2k + 1) · C, H, W)``, frame by frame, each with its bands.

    ``places`` are positions ``(B, 2k + 1)``; see :func:`around`.
    """
    return images[torch.from_numpy(places)].flatten(1, 2)


def middle(image: torch.Tensor, channels: int) -> torch.Tensor:
    """The frame itself, ``(B, C, H, W)``, of what :func:`as_channels` made of frames of ``channels`` bands."""
    before = (image.shape[1] - channels) // 2
    return image[:, before : before + channels] if before else image
