"""The interpolation methods that a model is compared with."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

#: Pixels on each side of a window that both methods need.
REACH = 3


def bicubic(coarse: torch.Tensor, scale: int) -> torch.Tensor:
    """torch's bicubic interpolation (Keys 1981 with a = −0.75), pixel areas aligned; ``(B, C, H, W)`` float."""
    return F.interpolate(coarse, scale_factor=float(scale), mode="bicubic", align_corners=False)


def lanczos(coarse: torch.Tensor, scale: int) -> torch.Tensor:
    """Lanczos interpolation with three lobes, weights normalised to sum 1, edge pixels repeated; ``(B, C, H, W)``.

    ``L(d) = sinc(d) · sinc(d / 3)`` for ``|d| < 3`` (Duchon 1979; GDAL's ``lanczos``).
    """
    offsets = (np.arange(scale) + 0.5) / scale - 0.5  # from the coarse centre to the fine ones
    distance = np.arange(-REACH, REACH + 1)[None, :] - offsets[:, None]
    taps = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    taps /= taps.sum(1, keepdims=True)
    kernel = torch.from_numpy(np.einsum("iy,jx->ijyx", taps, taps).reshape(scale * scale, 1, *[2 * REACH + 1] * 2))
    batch, channels, height, width = coarse.shape
    planes = F.pad(coarse.reshape(batch * channels, 1, height, width), (REACH,) * 4, mode="replicate")
    fine = F.pixel_shuffle(F.conv2d(planes, kernel.to(coarse)), scale)
    return fine.reshape(batch, channels, height * scale, width * scale)
