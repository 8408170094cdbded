"""Observation operators: how a low-resolution image comes from a high-resolution one.

Training degrades with them, inference makes results agree with the input by them. Each has a name that a
model's card states; :func:`get` finds it.
"""

from geomedsr.errors import ModelError
from geomedsr.operators.block_mean import BlockMean

__all__ = ["BlockMean", "get"]

_OPERATORS = {BlockMean.name: BlockMean()}


def get(name: str) -> BlockMean:
    """The operator of a name.

    Raises:
        ModelError: no operator has that name.
    """
    if name not in _OPERATORS:
        raise ModelError(
            f"the observation operator {name!r}", f"one of {sorted(_OPERATORS)}", "update geomedsr or the model"
        )
    return _OPERATORS[name]
