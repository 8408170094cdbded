"""Context slices: which neighbouring frames a 2.5-D network sees, and how they become channels.

A network with ``k`` neighbours on each side gets ``2k + 1`` frames for each frame that it makes: the ones before, the
frame itself in the middle, and the ones after. At the ends of a series, and of each volume in it, the first and the
last frame are repeated (docs/decisions/0012). Neighbours are adjacent in the scene's order, however far apart they lie.
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
    """Which of ``count`` frames to read to make ``frames``, and the positions of each frame's neighbours among these.

    The positions are ``(frame, 2 · each_side + 1)``, with the frame itself in the middle. ``planes`` tell where volumes
    end: the last slice of a volume is no neighbour of the first slice of the next.
    """
    wanted = np.arange(count)[frames][:, None]
    length = volume_length(planes) if each_side and planes else count
    begins = wanted // length * length
    neighbours = np.clip(wanted + np.arange(-each_side, each_side + 1), begins, begins + length - 1)
    first = int(neighbours.min(initial=count))
    return slice(first, int(neighbours.max(initial=-1)) + 1), neighbours - first


def descended(older: Lineage, count: int, planes: Sequence[Plane], factor: int, each_side: int) -> Lineage:
    """The lineage of a result with ``factor`` frames from each of ``count``, and ``each_side`` neighbours that count.

    ``older`` is the lineage of the ``count`` frames.
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
    """Frames ``(F, C, H, W)`` as the network's input ``(B, (2k + 1) · C, H, W)``, one frame after the other.

    ``places`` are positions ``(B, 2k + 1)``; see :func:`around`.
    """
    return images[torch.from_numpy(places)].flatten(1, 2)


def middle(image: torch.Tensor, channels: int) -> torch.Tensor:
    """The middle frame ``(B, C, H, W)`` of an input that :func:`as_channels` made; ``channels`` is ``C``."""
    before = (image.shape[1] - channels) // 2
    return image[:, before : before + channels] if before else image
