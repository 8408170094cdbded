"""Total variation of the result, without reference to the real image."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample


class TotalVariation(Loss):
    """``mean √((∂x SR)² + (∂y SR)²)``, where ∂ is the difference to the next pixel, 0 at the last: smoothness.

    Rudin, Osher and Fatemi 1992, doi:10.1016/0167-2789(92)90242-F, eq. 2.2a; for upsampling, Aly and Dubois
    2005, doi:10.1109/TIP.2005.851684. It removes texture as well as noise, so use small weights. Its gradient is 0
    where an image is flat.
    """

    kind: Literal["total-variation"] = "total-variation"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over all pixels."""
        across = F.pad(sample.sr.diff(dim=-1), (0, 1))
        down = F.pad(sample.sr.diff(dim=-2), (0, 0, 0, 1))
        length: torch.Tensor = torch.linalg.vector_norm(torch.stack((across, down)), dim=0)
        return length.mean()
