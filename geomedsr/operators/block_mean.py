"""The block mean: a coarse pixel is the mean of the ``s × s`` fine pixels it covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F

from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.operators.block_error import block_error
from geomedsr.operators.conserve import conserve
from geomedsr.operators.operator import Observation, Operator
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


class BlockMean(Operator):
    """``forward(x)[i, j]`` = mean of a block; exact for stored values (:mod:`geomedsr.operators.conserve`)."""

    name = "block-mean"
    keeps = "block means"
    reduction = "block-mean"
    held = 8

    def forward(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """Float tensor ``(B, C, s·H, s·W)`` to ``(B, C, H, W)``."""
        return F.avg_pool2d(fine, scale)

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """The image nearest to ``fine`` (least squares) whose block means are ``coarse``.

        ``fine`` is ``(B, C, s·H, s·W)``, ``coarse`` ``(B, C, H, W)``. Each block keeps its deviations from its own
        mean; the mean is replaced.
        """
        return fine + F.interpolate(coarse - self.forward(fine, scale), scale_factor=scale, mode="nearest")

    def agree(self, seen: Observation, planes: Array, out: Array) -> float | None:
        """Keep block means: bit for bit for integers, within one ulp for floats."""
        conserve(seen.stored, planes, seen.factors, seen.span, seen.nodata, seen.limits, out)
        return None

    def promise(self, factors: Factors) -> str:
        """What is kept, in words."""
        return f"the mean of each {_block(factors)} is the source's pixel"

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """Whether block means are kept: exactly for integers, within one ulp for floats."""
        worst = 0.0
        for box in boxes:
            before, valid = source.source.read(box), source.source.valid(box)
            after = result.source.read(box.refined(factors))
            if valid.any():
                worst = max(worst, float(block_error(before, after, factors)[valid].max()))
        name = self.promise(factors)
        if not asked:
            return Check(name, None, f"not asked for; largest difference {worst:.3g}")
        return Check(name, worst == 0, "bit for bit" if worst == 0 else f"largest difference {worst:.3g}")


def _block(factors: Factors) -> str:
    """The size of a block, in words."""
    area = f"{factors.y} × {factors.x} block"
    return area if factors.frame == 1 else f"{area} of {factors.frame} slices"
