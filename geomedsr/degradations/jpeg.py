"""JPEG compression."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import model_validator

from geomedsr.degradations.codec import compressed
from geomedsr.degradations.degradation import Disturbance
from geomedsr.jpeg.tables import luminance
from geomedsr.scene.sources import Array


class JPEG(Disturbance):
    """Baseline JPEG (ITU-T T.81); ``quality``, on libjpeg's scale, is a range to draw from.

    Each band is coded as an 8-bit grey image of 0 … 1 on the value scale. The quantisation table is K.1, scaled. There
    is no colour transform and no chroma subsampling. See :func:`geomedsr.degradations.codec.compressed` for values
    beyond 0 … 1. The port ``steps`` holds the table, laid out over each block of 8 × 8 pixels, in units of the value
    scale.
    """

    makes: ClassVar[tuple[str, ...]] = ("steps",)

    kind: Literal["jpeg"] = "jpeg"
    quality: tuple[int, int] = (30, 95)

    @model_validator(mode="after")
    def _ordered(self) -> JPEG:
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError("quality needs two whole numbers 1 <= low <= high <= 100")
        return self

    def draw(self, rng: np.random.Generator) -> int:
        """A quality."""
        return int(rng.integers(self.quality[0], self.quality[1] + 1))

    def apply(self, coarse: torch.Tensor, drawn: int) -> torch.Tensor:
        """The image after encoding and decoding."""
        from PIL import Image  # needed only by recipes with this corruption

        def code(band: Array) -> Array:
            file = io.BytesIO()
            Image.fromarray(band).save(file, "JPEG", quality=drawn)
            return np.asarray(Image.open(file))

        return compressed(coarse, np.uint8, code)

    def marks(self, coarse: torch.Tensor, drawn: int) -> Mapping[str, torch.Tensor]:
        """The port ``steps``; see the class docstring."""
        height, width = coarse.shape[-2:]
        table = np.tile(luminance(drawn) / 255, (-(-height // 8), -(-width // 8)))[:height, :width]
        return {"steps": torch.from_numpy(table).to(coarse).expand(coarse.shape).contiguous()}
