"""Inputs and outputs besides the image: how the network sees inputs, and how outputs are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from geomedsr.geometry import Box, Factors
from geomedsr.models.ports import Port
from geomedsr.operators import Observation
from geomedsr.operators.conserve import unconserved
from geomedsr.operators.operator import by_fine_frame
from geomedsr.operators.sub_pixel import merged
from geomedsr.scene.padding import read_reflected
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


def as_seen(port: Port, scene: Scene, box: Box) -> torch.Tensor:
    """An input over a box of the image, as float32 ``(frame, band, y, x)``, normalised on its own value scale.

    Masks are 0 and 1: 1 where a valid number is not 0. Rows and columns of the box may extend past the image; beyond
    its edges the input is continued as the image is, block by block.
    """
    there = box.refined(Factors(*port.factors))
    block = port.factors[1] if port.factors[1] == port.factors[2] else 1
    if port.meaning != "mask":
        return scene.tensor(there.window, there.frames, block)
    stored, valid = read_reflected(scene.source, there, block)
    return torch.from_numpy(((stored != 0) & valid).astype(np.float32))


def stored_type(port: Port, image: np.dtype[Any]) -> np.dtype[Any]:
    """The storage type of an output: the image's; bytes for masks."""
    return np.dtype(np.uint8) if port.meaning == "mask" else image


def store(port: Port, seen: Observation, planes: Array, out: Array, widening: tuple[float, ...] = ()) -> None:
    """Write an output's stored values into ``out``.

    Half-widths are multiplied by the ``widening`` of their band and rounded up, to 1 at least; without one, they are
    only rounded up. Masks are 0 and 1, and values are stored as the image's without agreement.
    """
    fine = merged(planes, seen.factors)
    if port.meaning == "mask":
        out[...] = fine > 0.5
        return
    low, span = (by_fine_frame(line, seen.factors) for line in (seen.low, seen.span))
    if port.meaning == "value":
        out[...] = unconserved(fine, low, span, out.dtype, seen.nodata, seen.limits)
        return
    widths = np.abs(fine).astype(np.float64) * np.abs(span)
    whole = out.dtype.kind != "f"
    if widening:
        widths *= np.asarray(widening)[:, None, None]
        widths = np.maximum(widths, 0.5) if whole else widths
    out[...] = unconserved(
        np.ceil(widths) if whole else widths, np.zeros(()), np.ones(()), out.dtype, seen.nodata, seen.limits
    )
    if not whole:
        short = out < widths
        out[short] = np.nextafter(out[short], out.dtype.type(np.inf))


def leaves(image: Array, around: Array, widths: Array) -> Array:
    """Where an image is further than half-widths from another, all in stored values of one shape; booleans."""
    away = np.abs(image.astype(np.float64) - around)
    return np.asarray(away > widths)
