"""No observation operator: nothing is known of how the input came about, or it cannot be projected on."""

from __future__ import annotations

import torch

from geomedsr.operators.block_mean import BlockMean


class Unconstrained(BlockMean):
    """Results are left as the network makes them, as those of models that undo a blur are; nothing is promised.

    ``down`` is the block mean, for want of better.
    """

    name = "none"

    def project(self, fine: torch.Tensor, coarse: torch.Tensor, scale: int) -> torch.Tensor:
        """``fine`` as it is."""
        return fine
