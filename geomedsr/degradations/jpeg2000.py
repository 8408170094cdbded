"""JPEG 2000 compression."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator

from geomedsr.degradations.codec import compressed
from geomedsr.degradations.degradation import Disturbance
from geomedsr.scene.sources import Array


class JPEG2000(Disturbance):
    """JPEG 2000 (ITU-T T.800) with the irreversible 9/7 wavelet, truncated by OpenJPEG to a given PSNR.

    ``psnr`` is this PSNR in dB for a peak of 1 on the value scale, a range to draw from; it is met within 2 dB. A
    compression ratio would not work: headers take too large a share of an image as small as a patch. Each band is coded
    as a 16-bit grey image; see :func:`geomedsr.degradations.codec.compressed` for values beyond 0 … 1.
    """

    kind: Literal["jpeg2000"] = "jpeg2000"
    psnr: tuple[float, float] = (35.0, 50.0)

    @model_validator(mode="after")
    def _ordered(self) -> JPEG2000:
        if not 20 <= self.psnr[0] <= self.psnr[1] <= 90:
            raise ValueError("psnr needs two numbers 20 <= low <= high <= 90, in dB")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        """A PSNR."""
        return float(rng.uniform(*self.psnr))

    def apply(self, coarse: torch.Tensor, drawn: float) -> torch.Tensor:
        """The image after encoding and decoding."""
        from PIL import Image  # needed only by recipes with this corruption

        def code(band: Array) -> Array:
            file = io.BytesIO()
            options = {"irreversible": True, "quality_mode": "dB", "quality_layers": [drawn], "no_jp2": True}
            Image.fromarray(band).save(file, "JPEG2000", **options)
            return np.asarray(Image.open(file))

        return compressed(coarse, np.uint16, code)
