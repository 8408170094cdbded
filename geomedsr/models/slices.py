"""``slices``: new slices between slices, from planes that cut across them.

The network sees the plane of slices and columns, and by the same weights the plane of slices and rows, as in-plane
super-resolution sees rows and columns (SMORE: Zhao et al. 2021, doi 10.1109/TMI.2020.3037187). In each it knows the
slices around one as channels, convolves along the row or column, and ends in a sub-pixel convolution along the slices.
The two predictions are averaged. A residual trunk is shared by all factors, and each factor has a head.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.geometry import Factors
from geomedsr.models.interpolation import keys_cubic
from geomedsr.models.network import Network
from geomedsr.models.ports import IMAGE
from geomedsr.models.receptive_field import radius

#: How far cubic interpolation looks, in slices.
_CUBIC = 2


class LineBlock(nn.Module):
    """Convolution, ReLU, convolution along rows, added to the input; ``(B, width, H, W)`` in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, (1, 3))
        self.second = nn.Conv2d(width, width, (1, 3))
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block without padding: two columns fewer on each side."""
        change: torch.Tensor = self.second(F.relu(self.first(x)))
        return change + x[..., 2:-2]


class Slices(Network):
    """Generator ``(B, 2k + 1, H, W)`` → ``(B, ff, H, W)``, float32, normalised values: a slice and ``k`` neighbours on
    each side to the ``ff`` new slices in its place.

    ``profile`` is how wide slices are (:class:`geomedsr.geometry.profile.Profile`), which the network is told. Before
    training it is exactly cubic interpolation along the slices: its last convolutions begin at zero.
    """

    trims = True
    exports = False
    knows_profile = True

    def __init__(
        self,
        scale: int = 1,
        channels: int = 1,
        frames: int = 7,
        frame_factor: int = 2,
        heads: Sequence[Factors] = (),
        width: int = 64,
        blocks: int = 8,
    ) -> None:
        super().__init__()
        offered = tuple(heads) or (Factors(frame_factor, 1, 1),)
        if scale != 1 or channels != 1 or any(of.y * of.x > 1 or of.frame < 2 for of in offered):
            raise ValueError("new slices alone, band by band: scale 1, channels 1, heads such as (5, 1, 1)")
        if frames < 2 * _CUBIC + 1 or width < 1 or blocks < 0:
            raise ValueError(f"neighbours of at least {_CUBIC}, width of at least 1 and blocks of at least 0")
        self.scale, self.frame_factor, self.profile = 1, frame_factor, 0.0
        self.neighbours = frames // 2
        self.head = nn.Conv2d(frames, width, (1, 3))
        self.told = nn.Linear(2, width, bias=False)
        self.body = nn.ModuleList(LineBlock(width) for _ in range(blocks))
        self.tails = nn.ModuleDict({str(of.frame): nn.Conv2d(width, of.frame, (1, 3)) for of in offered})
        nn.init.zeros_(self.told.weight)
        for tail in self.tails.values():
            assert isinstance(tail, nn.Conv2d)
            nn.init.zeros_(tail.weight)
            nn.init.zeros_(tail.bias)  # type: ignore[arg-type]

    @property
    def receptive_radius(self) -> int:
        """The largest distance in rows or columns at which an input pixel still affects an output pixel."""
        return radius([self.head, *self.body, next(iter(self.tails.values()))])

    def through(self, profile: float) -> Self:
        """The same network, with the same weights, told of another profile."""
        other = copy.copy(self)
        other.profile = profile
        return other

    def line(self, x: torch.Tensor, factor: int, profile: torch.Tensor) -> torch.Tensor:
        """The detail that one plane tells, beyond cubic interpolation, without padding.

        ``(B, 2k + 1, H, W + 2r)`` to ``(B, factor, H, W)``: each row is on its own. ``profile`` is ``(B,)`` or
        ``(1,)``.
        """
        kind = self.head.weight.dtype
        known = self.told(torch.stack([(profile == 0).float(), profile.float()], 1))
        shallow = self.head(x.to(kind))
        shallow = shallow + known[:, :, None, None].to(shallow.dtype)
        deep = shallow
        for block in self.body:
            deep = block(deep)
        margin = 2 * len(self.body)
        made: torch.Tensor = self.tails[str(factor)](deep + shallow[..., margin : shallow.shape[-1] - margin])
        return made.to(x.dtype)

    def cubic(self, x: torch.Tensor, factor: int) -> torch.Tensor:
        """Cubic interpolation along the slices: ``(B, 2k + 1, H, W)`` to ``(B, factor, H, W)``.

        Summed in one order: the last bit of a convolution in float32 depends on the number of threads.
        """
        along = (np.arange(factor) + 0.5) / factor - 0.5
        made = x.new_zeros((len(x), factor, *x.shape[2:]))
        for of in range(-_CUBIC, _CUBIC + 1):
            taps = torch.tensor(keys_cubic(of - along), dtype=x.dtype, device=x.device)
            made += taps[:, None, None] * x[:, self.neighbours + of, None]
        return made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The new slices of a batch; pixels at the edge are repeated beyond it."""
        edge = self.receptive_radius
        planes = self.planes({IMAGE: F.pad(x, (edge,) * 4, mode="replicate")})[IMAGE]
        return planes[:, 0]

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The mean of both planes' predictions, as sub-pixel planes; each sees only what it needs of the halo."""
        x, edge, factor = inputs[IMAGE], self.receptive_radius, self.frame_factor
        inner = slice(edge, -edge)
        profile = torch.tensor([self.profile], device=x.device)
        fine = self.cubic(x[..., inner, inner], factor)
        fine += self.line(x[..., inner, :], factor, profile) / 2
        fine += self.line(x[..., inner].transpose(2, 3), factor, profile).transpose(2, 3) / 2
        return {IMAGE: fine[:, None]}
