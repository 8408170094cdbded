"""SAM: the angle between a pixel's spectrum and the reference's."""

from __future__ import annotations

import numpy as np
import torch

from geomedsr.errors import GeomedsrError
from geomedsr.scene.sources import Array


def spectral_angles(result: Array, reference: Array) -> Array:
    """The angle in degrees between two spectra at each pixel, by torchmetrics; NaN where one of them is zero.

    ``acos(⟨x, y⟩ / (‖x‖ ‖y‖))`` over bands (Yuhas et al. 1992): 0 where spectra differ in brightness alone.
    ``result`` and ``reference`` are ``(band, y, x)``, two bands or more, physical; the angles are ``(y, x)``.

    Raises:
        GeomedsrError: torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.image import spectral_angle_mapper as measure
    except ImportError as error:
        raise GeomedsrError("no torchmetrics", "it for SAM", "pip install 'geomedsr[evaluate]'") from error
    one, other = (torch.from_numpy(v.astype(np.float64))[None] for v in (result, reference))
    angles: Array = np.degrees(measure(one, other, reduction="none")[0].numpy())
    return angles
