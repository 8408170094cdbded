"""The slice mean: a thick slice is the mean of the new slices in its place."""

from __future__ import annotations

from geomedsr.geometry import Factors
from geomedsr.operators.block_mean import BlockMean


class SliceMean(BlockMean):
    """The block mean along frames: for slices that are boxes, side by side. Exact for stored values."""

    name = "slice-mean"
    keeps = "slice means"

    def promise(self, factors: Factors) -> str:
        """What is kept, in words."""
        if factors.x == factors.y == 1:
            return f"the mean of each {factors.frame} new slices is the source's slice"
        return super().promise(factors)
