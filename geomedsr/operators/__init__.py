"""Observation operators: how a low-resolution image comes from a high-resolution one.

Training degrades with them, inference makes results agree with the input by them, `verify` checks that they
do. Each has a name that a model's card states; :func:`get` finds it.
"""

from geomedsr.errors import ModelError
from geomedsr.operators.block_mean import BlockMean
from geomedsr.operators.k_space import KSpaceCrop
from geomedsr.operators.keep_valid import KeepValid
from geomedsr.operators.operator import Observation, Operator
from geomedsr.operators.unconstrained import Unconstrained

__all__ = [
    "NAMES",
    "BlockMean",
    "KSpaceCrop",
    "KeepValid",
    "Observation",
    "Operator",
    "Unconstrained",
    "constrains",
    "get",
    "keeps",
]


_OPERATORS: dict[str, Operator] = {o.name: o for o in (BlockMean(), KeepValid(), KSpaceCrop(), Unconstrained())}

#: Their names.
NAMES = tuple(_OPERATORS)


def keeps(name: str) -> str:
    """What the operator of a name keeps, in words; the name itself of one that is not known here."""
    return _OPERATORS[name].keeps if name in _OPERATORS else name


def constrains(name: str) -> bool:
    """Whether the operator of a name makes results agree with their input, as far as is known here."""
    return name not in _OPERATORS or _OPERATORS[name].constrains


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
