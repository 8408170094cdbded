"""Observation operators: how a low-resolution image comes from a high-resolution one.

Training degrades with them, inference makes results agree with the input by them, `verify` checks that they
do. Each has a name that a model's card states; :func:`get` finds it.
"""

from geomedsr.operators.block_mean import BlockMean
from geomedsr.operators.k_space import KSpaceCrop
from geomedsr.operators.keep_valid import KeepValid
from geomedsr.operators.operator import Observation, Operator
from geomedsr.operators.stack import Stack
from geomedsr.operators.unconstrained import Unconstrained
from geomedsr.plugins import Registry

__all__ = [
    "OPERATORS",
    "BlockMean",
    "KSpaceCrop",
    "KeepValid",
    "Observation",
    "Operator",
    "Stack",
    "Unconstrained",
    "constrains",
    "get",
    "keeps",
]


#: By name; others add theirs by ``OPERATORS.register(operator.name, operator)``.
OPERATORS: Registry[Operator] = Registry(
    "observation operator", {o.name: o for o in (BlockMean(), KeepValid(), KSpaceCrop(), Unconstrained())}
)


def keeps(name: str) -> str:
    """What the operator of a name keeps, in words; the name itself of one that is not known here."""
    return OPERATORS[name].keeps if name in OPERATORS else name


def constrains(name: str) -> bool:
    """Whether the operator of a name makes results agree with their input, as far as is known here."""
    return name not in OPERATORS or OPERATORS[name].constrains


def get(name: str) -> Operator:
    """The operator of a name.

    Raises:
        ModelError: no operator has that name.
    """
    return OPERATORS.find(name)
