"""Methods that super-resolve a scene, by name: interpolation, other upscalers, models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.inference.upscale import upscale
from geomedsr.metrics.interpolation import REACH, bicubic, lanczos
from geomedsr.metrics.peers.realesrgan import RealESRGAN
from geomedsr.metrics.reduced import stored
from geomedsr.metrics.regions import physical
from geomedsr.models import Model
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: Methods that a model can be compared with; bicubic is always included, since gains are relative to it.
PEERS = ("bicubic", "lanczos", "realesrgan")

#: Methods that a model is compared with by default.
USUAL = ("bicubic", "lanczos")


@dataclass(frozen=True)
class Method:
    """``read(box)`` returns values in stored units, ``(frame, band, y, x)``, for a box of fine pixels.

    Values are stored as in ``like``, which has the same bands, type and scale; a real pair's reference may have others.
    ``bands`` are the bands that it makes, by position in the scene, in the order in which ``read`` returns them; None:
    all. ``note`` is a sentence that readers of its figures need. ``scene`` is the result, if it is a scene.
    """

    name: str
    read: Callable[[Box], Array]
    like: Scene
    bands: tuple[int, ...] | None = None
    note: str = ""
    scene: Scene | None = None

    def physical(self, box: Box) -> Array:
        """The values of a box in physical units, after rounding to the type."""
        values = stored(self.read(box), self.like.dtype, self.like.bands)
        return physical(self.like, box.frames, values)


def check_peers(names: Iterable[str]) -> tuple[str, ...]:
    """The names in their usual order, bicubic first.

    Raises:
        InputError: a name that is not in :data:`PEERS`.
    """
    asked = {name.casefold() for name in names}
    unknown = sorted(asked - set(PEERS))
    if unknown:
        raise InputError(f"the peer {unknown[0]!r}", f"some of {', '.join(PEERS)}", "correct it")
    return tuple(name for name in PEERS if name in asked or name == "bicubic")


def peers(names: Sequence[str], coarse: Scene, scale: int) -> list[Method]:
    """The methods with these names, for a scene.

    Raises:
        InputError: a method does not support the scale or the scene.
        GeomedsrError: a method is not installed.
    """
    found = {"bicubic": interpolation("bicubic", bicubic, coarse, scale)}
    if "lanczos" in names:
        found["lanczos"] = interpolation("Lanczos", lanczos, coarse, scale)
    if "realesrgan" in names:
        peer = RealESRGAN.of(coarse, scale)
        found["realesrgan"] = Method(peer.name, peer.read, peer.scene, peer.bands, peer.note)
    return list(found.values())


def results(models: Sequence[Model], coarse: Scene) -> list[Method]:
    """The models' results, each at its own realism."""
    made = []
    for model in models:
        label = model.descriptor.name
        if model.descriptor.adversarial:
            label += f", realism {model.realism:g}"
        scene = upscale(coarse, model, fitness=False)
        note = "" if model.tiling == "exact" else f"{label}: {model.tiling}"
        made.append(Method(label, scene.source.read, scene, note=note, scene=scene))
    return made


def interpolation(name: str, method: Callable[[torch.Tensor, int], torch.Tensor], coarse: Scene, scale: int) -> Method:
    """An interpolation, window by window; past the scene's edges, edge pixels are repeated."""

    factors = Factors.in_plane(scale)

    def read(box: Box) -> Array:
        kept = box.coarsened(factors).grown((0, REACH, REACH)) & Box.whole(coarse.shape)
        values = coarse.source.read(kept).astype(np.float64)
        fine: Array = method(torch.from_numpy(values), scale).numpy()
        return fine[box.within(kept.refined(factors)).index]

    return Method(name, read, coarse)
