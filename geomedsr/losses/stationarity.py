"""Equal statistics at the borders and inside of the input's pixels, so that the input's grid does not show."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from geomedsr.losses.loss import Loss, Sample


class Stationarity(Loss):
    """``mean ((B − A) / (M + ε))²`` over windows, rows and columns: steps as large at borders as inside.

    B is the mean step ``|SR[i + 1] − SR[i]|`` in a window across borders of the input's pixels, A the mean step inside
    them, and M the mean of all steps. The mean of all images with given block means is blocky, and so are the images
    that ``l1`` and ``mse`` favour; real images do not depend on the input's grid. B and A are the blockiness and the
    activity of Wang, Sheikh and Bovik 2002, "No-reference perceptual quality assessment of JPEG compressed images",
    ICIP. Here they are taken in windows, each relative to its own M, so that strong edges do not mask a grid that shows
    in smooth areas. Combine it with a pixel loss.

    Where slices are made of one, steps are those from slice to slice, and borders are the faces of the old slices.
    """

    kind: Literal["stationarity"] = "stationarity"
    window: int = Field(default=4, ge=1)  # side of a window in the input's pixels; windows overlap by half
    floor: float = Field(default=0.01, gt=0)  # ε, on the value scale: much smaller steps hardly count

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The sum of both directions, or that along slices; each a mean over windows."""
        if sample.slices > 1:
            return self._of(sample.sr.transpose(1, 2).flatten(1, 2)[:, None].mT, sample.slices)
        return sum((self._of(image, sample.scale) for image in (sample.sr, sample.sr.mT)), sample.sr.new_zeros(()))

    def _of(self, image: torch.Tensor, scale: int) -> torch.Tensor:
        """The loss for steps from left to right. The last block is left out: its right border is not in the image."""
        height, width = image.shape[-2] // scale, image.shape[-1] // scale - 1
        if not width:
            return image.new_zeros(())
        each = image.diff(dim=-1).abs()[..., : height * scale, : width * scale]
        blocks = each.reshape(-1, height, scale, width, scale).mean(2)  # mean step at each position in a block
        side = min(self.window, height, width)
        local = F.avg_pool2d(blocks.permute(0, 3, 1, 2), side, max(side // 2, 1))
        border, inside = local[:, -1], local[:, :-1].mean(1)
        return ((border - inside) / (local.mean(1) + self.floor)).square().mean()
