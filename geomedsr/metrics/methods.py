"""Ways of making a coarse scene fine, by name: interpolations, peers, models."""

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

#: What a model can be measured against; bicubic always is, since gains are over it.
PEERS = ("bicubic", "lanczos", "realesrgan")

#: What it is measured against unless the user says otherwise.
USUAL = ("bicubic", "lanczos")


@dataclass(frozen=True)
class Method:
    """``read(box)`` gives values in stored units, ``(frame, band, y, x)``, of a box of fine pixels.

    They are stored as ``like`` is, which has its bands, type and scale: a real pair's reference may have others.
    ``bands`` are those that it makes, by position in the scene, in the order in which ``read`` gives them; None: all.
    ``note`` says in a sentence what a reader must know of it. ``scene`` is the result where it is one.
    """

    name: str
    read: Callable[[Box], Array]
    like: Scene
    bands: tuple[int, ...] | None = None
    note: str = ""
    scene: Scene | None = None

    def physical(self, box: Box) -> Array:
        """The same in physical units, after rounding to the type."""
        values = stored(self.read(box), self.like.dtype, self.like.bands)
        return physical(self.like, box.frames, values)


def check_peers(names: Iterable[str]) -> tuple[str, ...]:
    """The names in their usual order, bicubic first.

    Raises:
        InputError: a peer that is none of :data:`PEERS`.
    """
    asked = {name.casefold() for name in names}
    unknown = sorted(asked - set(PEERS))
    if unknown:
        raise InputError(f"the peer {unknown[0]!r}", f"some of {', '.join(PEERS)}", "correct it")
    return tuple(name for name in PEERS if name in asked or name == "bicubic")


def peers(names: Sequence[str], coarse: Scene, scale: int) -> list[Method]:
    """The methods of these names for a scene.

    Raises:
        InputError: the peer does not serve the scale or the scene.
        GeomedsrError: the peer is not installed.
    """
    found = {"bicubic": interpolation("bicubic", bicubic, coarse, scale)}
    if "lanczos" in names:
        found["lanczos"] = interpolation("Lanczos", lanczos, coarse, scale)
    if "realesrgan" in names:
        peer = RealESRGAN.of(coarse, scale)
        found["realesrgan"] = Method(peer.name, peer.read, peer.scene, peer.bands, peer.note)
    return list(found.values())


def results(models: Sequence[Model], coarse: Scene) -> list[Method]:
    """The models' results, at the realism that each has."""
    made = []
    for model in models:
        label = model.descriptor.name
        if model.descriptor.adversarial:
            label += f", realism {model.realism:g}"
        scene = upscale(coarse, model)
        note = "" if model.tiling == "exact" else f"{label}: {model.tiling}"
        made.append(Method(label, scene.source.read, scene, note=note, scene=scene))
    return made


def interpolation(name: str, method: Callable[[torch.Tensor, int], torch.Tensor], coarse: Scene, scale: int) -> Method:
    """An interpolation, window by window; past the scene's edge the coarse image is continued by its value."""

    factors = Factors.in_plane(scale)

    def read(box: Box) -> Array:
        kept = box.coarsened(factors).grown((0, REACH, REACH)) & Box.whole(coarse.shape)
        values = coarse.source.read(kept).astype(np.float64)
        fine: Array = method(torch.from_numpy(values), scale).numpy()
        return fine[box.within(kept.refined(factors)).index]

    return Method(name, read, coarse)
