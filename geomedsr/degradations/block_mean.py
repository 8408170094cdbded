"""The block mean, an ideal detector."""

from __future__ import annotations

from typing import Any, Literal

import torch

from geomedsr import operators
from geomedsr.degradations.degradation import Reduction


class BlockMean(Reduction):
    """A coarse pixel is the mean of its ``s × s`` block: the operator of that name."""

    kind: Literal["block-mean"] = "block-mean"

    def apply(self, fine: torch.Tensor, scale: int, drawn: Any = None) -> torch.Tensor:
        """The means."""
        return operators.get(self.kind).forward(fine, scale)
