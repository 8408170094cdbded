"""The head that makes half-widths of intervals from the features of a generator's trunk, which stays as it is.

It predicts a quantile of the absolute error at each pixel (quantile regression: Koenker and Bassett 1978, Econometrica
46(1); for images Angelopoulos et al. 2022, arXiv:2202.05265). Calibration on scenes that nobody trained on then sets
how many times as wide an interval must be: :mod:`geomedsr.metrics.coverage`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.models.network import Network
from geomedsr.models.ports import IMAGE, Port, Shapes

#: The port of half-widths.
PORT = Port(name="halfwidth", meaning="half-width")

#: The port that tells where the delivered image leaves the interval around the most faithful one. What a network gives
#: for it are sub-pixel planes of that image; the mask follows once both images are stored.
INVENTED = Port(name="invented", meaning="mask")

#: Logarithms of half-widths are kept in this range, on the network's value scale.
_LOWEST, _HIGHEST = -12.0, 3.0


class HalfWidthHead(nn.Module):
    """Features ``(B, width, H, W)`` → half-widths as sub-pixel channels ``(B, made, H, W)``, positive, float32.

    A convolution of 3 × 3, as the trunk's own last one, so that the receptive field stays the same; ReLU; and a
    convolution of 1 × 1, whose result is the logarithm.
    """

    def __init__(self, width: int, made: int, hidden: int = 24) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, hidden, 3, padding=1)
        self.last = nn.Conv2d(hidden, made, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(self.last.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """With zeros around."""
        return self._wide(self.first(features))

    def trimmed(self, features: torch.Tensor) -> torch.Tensor:
        """The same without padding: the result is one pixel smaller on each side."""
        return self._wide(F.conv2d(features, self.first.weight, self.first.bias))

    def _wide(self, hidden: torch.Tensor) -> torch.Tensor:
        logarithm = self.last(hidden.relu_() if not hidden.requires_grad else hidden.relu())
        widths: torch.Tensor = logarithm.float().clamp(_LOWEST, _HIGHEST).exp()
        return widths


class FaithfulBeside(Network):
    """The image of one network, and beside it the half-widths of another, its most faithful form, with its image."""

    def __init__(self, image: Network, faithful: Network) -> None:
        super().__init__()
        self.image, self.faithful = image, faithful
        self.scale, self.frame_factor = image.scale, image.frame_factor
        self.tiling, self.trims = image.tiling, image.trims
        self.precisions, self.any_layout, self.exports = image.precisions, image.any_layout, False

    @property
    def receptive_radius(self) -> int:
        """Both have the same."""
        return self.image.receptive_radius

    def held(self, shapes: Shapes) -> float:
        """They run one after the other."""
        return max(self.image.held(shapes), self.faithful.held(shapes))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Both."""
        around = self.faithful(image)
        return {IMAGE: self.image(image), PORT.name: around[PORT.name], INVENTED.name: around[IMAGE]}

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Both, as sub-pixel planes."""
        made, around = self.image.planes(inputs), self.faithful.planes(inputs)
        return {**made, PORT.name: around[PORT.name], INVENTED.name: around[IMAGE]}


def attached(network: Network, head: HalfWidthHead) -> Network:
    """A copy of a network that makes half-widths, too.

    Raises:
        TypeError: its architecture has no place for a head.
    """
    if not hasattr(network, "half_width"):
        raise TypeError(type(network).__name__)
    other = copy.deepcopy(network)
    other.half_width = head
    return other
