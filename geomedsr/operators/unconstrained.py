"""No observation operator: the forward model is unknown, or results cannot be projected onto it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.operators.block_mean import BlockMean
from geomedsr.operators.conserve import unconserved
from geomedsr.operators.operator import Observation, by_fine_frame
from geomedsr.operators.sub_pixel import merged
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


class Unconstrained(BlockMean):
    """Results stay as the network makes them, for example those of models that undo a blur; nothing is guaranteed.

    ``forward`` is the block mean, as a stand-in.
    """

    name = "none"
    keeps = "none"
    constrains = False
    held = 24

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """``fine``, unchanged."""
        return fine

    def agree(self, seen: Observation, planes: Array, out: Array) -> None:
        """The prediction, only rounded and clipped."""
        fine = merged(planes, seen.factors)
        low, span = (by_fine_frame(values, seen.factors) for values in (seen.low, seen.span))
        out[...] = unconserved(fine, low, span, out.dtype, seen.nodata, seen.limits)

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """There is nothing to check."""
        return Check("agreement with the source", None, "the model guarantees none")
