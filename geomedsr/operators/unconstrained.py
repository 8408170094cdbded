"""No observation operator: nothing is known of how the input came about, or it cannot be projected on."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F


class Unconstrained:
    """Results are left as the network makes them, as those of models that undo a blur are; nothing is promised."""

    name = "none"
    reach: Literal["block", "frame"] = "block"

    def down(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """The block mean, for want of better; ``(B, C, s·H, s·W)`` to ``(B, C, H, W)``."""
        return F.avg_pool2d(fine, scale)

    def project(self, fine: torch.Tensor, coarse: torch.Tensor, scale: int) -> torch.Tensor:
        """``fine`` as it is."""
        return fine
