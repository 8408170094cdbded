"""The central crop of k-space: a coarser MR acquisition."""

from __future__ import annotations

from typing import Any, Literal

import torch

from geomedsr import operators
from geomedsr.degradations.degradation import Reduction


class KSpaceCrop(Reduction):
    """The coarse image is the centre of the fine one's k-space: the operator of the same name, on whole frames."""

    kind: Literal["k-space-crop"] = "k-space-crop"

    @property
    def whole(self) -> bool:
        """True: every pixel depends on the whole frame."""
        return True

    def apply(self, fine: torch.Tensor, scale: int, drawn: Any = None) -> torch.Tensor:
        """The coarse frame."""
        return operators.get(self.kind).forward(fine, scale)
