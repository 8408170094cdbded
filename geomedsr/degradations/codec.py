"""Lossy compression of an image: the part that is the same for all codecs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from geomedsr.scene.sources import Array


def compressed(
    coarse: torch.Tensor, dtype: type[np.unsignedinteger[Any]], code: Callable[[Array], Array]
) -> torch.Tensor:
    """Encode and decode each band of a normalised image ``(B, C, H, W)`` as a grey image of an unsigned integer type.

    0 … 1 on the value scale becomes the type's range. Values below 0 or above 1 are coded as 0 or 1, and their excess
    is added again afterwards, so that nothing is clipped. ``code`` encodes and decodes an image ``(H, W)`` of that
    type.
    """
    top = np.iinfo(dtype).max
    values = coarse.double().cpu().numpy()
    inside = np.clip(values, 0, 1)
    stored = np.rint(inside * top).astype(dtype)
    decoded = np.empty_like(stored)
    for place in np.ndindex(stored.shape[:2]):
        decoded[place] = code(stored[place])
    return torch.from_numpy(decoded / top + (values - inside)).to(coarse)
