"""Observation operators: how a low-resolution image comes from a high-resolution one.

Training degrades with them, inference makes results agree with the input by them, `verify` checks that they
do. Each has a name that a model's card states; :func:`get` finds it.
"""

from typing import Literal, Protocol

import torch

from geomedsr.errors import ModelError
from geomedsr.operators.block_mean import BlockMean
from geomedsr.operators.k_space import KSpaceCrop
from geomedsr.operators.unconstrained import Unconstrained

__all__ = ["NAMES", "BlockMean", "KSpaceCrop", "Operator", "Unconstrained", "get"]


class Operator(Protocol):
    """What an observation operator does, on float tensors.

    ``reach`` says what a coarse pixel depends on: its own ``"block"`` of ``s × s`` fine pixels, so that any
    window can be treated alone, or the whole ``"frame"``.
    """

    name: str
    reach: Literal["block", "frame"]

    def down(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """``(B, C, s·H, s·W)`` to ``(B, C, H, W)``."""

    def project(self, fine: torch.Tensor, coarse: torch.Tensor, scale: int) -> torch.Tensor:
        """The image nearest to ``fine`` (least squares) that ``down`` makes ``coarse``."""


_OPERATORS: dict[str, Operator] = {o.name: o for o in (BlockMean(), KSpaceCrop(), Unconstrained())}

#: Their names.
NAMES = tuple(_OPERATORS)


def get(name: str) -> Operator:
    """The operator of a name.

    Raises:
        ModelError: no operator has that name.
    """
    if name not in _OPERATORS:
        raise ModelError(
            f"the observation operator {name!r}", f"one of {sorted(_OPERATORS)}", "update geomedsr or the model"
        )
    return _OPERATORS[name]
