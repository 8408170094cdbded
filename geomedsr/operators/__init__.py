"""Observation operators: the forward models that make a low-resolution image from a high-resolution one.

Training degrades images with them, inference uses them to make results agree with the input, and `verify` checks the
agreement. A model's card names its operator; :func:`get` finds it by name.
"""

from geomedsr.operators.block_mean import BlockMean
from geomedsr.operators.jpeg_bins import JPEGBins
from geomedsr.operators.k_space import KSpaceCrop
from geomedsr.operators.keep_valid import KeepValid
from geomedsr.operators.operator import Observation, Operator
from geomedsr.operators.slice_mean import SliceMean
from geomedsr.operators.slice_profile import SliceProfile
from geomedsr.operators.stack import Stack
from geomedsr.operators.unconstrained import Unconstrained
from geomedsr.plugins import Registry

__all__ = [
    "OPERATORS",
    "BlockMean",
    "JPEGBins",
    "KSpaceCrop",
    "KeepValid",
    "Observation",
    "Operator",
    "SliceMean",
    "SliceProfile",
    "Stack",
    "Unconstrained",
    "constrains",
    "get",
    "keeps",
]


#: All operators by name. Plugins add their own with ``OPERATORS.register(operator.name, operator)``.
OPERATORS: Registry[Operator] = Registry(
    "observation operator",
    {
        o.name: o
        for o in (BlockMean(), JPEGBins(), KeepValid(), KSpaceCrop(), SliceMean(), SliceProfile(), Unconstrained())
    },
)


def keeps(name: str) -> str:
    """What an operator keeps, in words; for an unknown operator, its name."""
    return OPERATORS[name].keeps if name in OPERATORS else name


def constrains(name: str) -> bool:
    """Whether an operator makes results agree with their input; True for an unknown operator."""
    return name not in OPERATORS or OPERATORS[name].constrains


def get(name: str) -> Operator:
    """The operator with a given name.

    Raises:
        ModelError: no operator has that name.
    """
    return OPERATORS.find(name)
