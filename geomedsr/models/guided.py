"""``guided``: coarse bands made finer by the detail of a finer image of the same place.

The guide comes down to the coarse grid by PixelUnshuffle (Shi et al. 2016, arXiv:1609.05158, backwards), so that all
convolutions are on coarse pixels, as in Lanaras et al. 2018 (arXiv:1803.04271) they are on fine ones. Of the same
features two things are made for each coarse pixel: detail as such, and how much of the guide's detail each band gets,
which is what pansharpening by injection calls a gain (Vivone et al. 2015, doi 10.1109/TGRS.2014.2361734). With a single
band as guide the gain can begin at the slope of a local regression of the image on the guide's block means, as in He,
Sun and Tang 2013 (doi 10.1109/TPAMI.2012.213), which holds for sensors that training never saw.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.models.compact import ResidualBlock, begin_as_skip, cropped, unpadded
from geomedsr.models.interpolation import BicubicSkip, merged
from geomedsr.models.network import Network
from geomedsr.models.ports import IMAGE, Ports, Shapes
from geomedsr.models.receptive_field import radius

#: Added to a local variance, of values about 0 … 1: calm ground has no slope.
_CALM = 1e-4


class Guided(Network):
    """Generator of an image ``(B, C, H, W)`` and a guide ``(B, G, s·H, s·W)`` → ``(B, C, s·H, s·W)``, float32.

    Values are normalised, the guide's on a value scale of its own. ``window`` is how many coarse pixels around one a
    local regression on the guide's one band looks at; 0 is none. A new network is exactly bicubic, but for the detail
    that such a regression gives.

    Raises:
        ValueError: other inputs than one guide, which is as fine as the result, or a regression on several bands.
    """

    trims = True

    def __init__(
        self,
        scale: int,
        channels: int = 1,
        width: int = 48,
        blocks: int = 6,
        window: int = 0,
        ports: Ports | None = None,
    ) -> None:
        super().__init__()
        inputs = ports.inputs if ports else ()
        if len(inputs) != 1 or inputs[0].factors != (1, scale, scale) or inputs[0].meaning != "value":
            raise ValueError(f"a guided network takes one input besides the image, of factors [1, {scale}, {scale}]")
        if width < 1 or blocks < 1:
            raise ValueError(f"width {width} and blocks {blocks} must be at least 1")
        self.scale, self.channels, self.guide = scale, channels, inputs[0].name
        self.beside, self.window = len(inputs[0].bands) or channels, window
        if window < 0 or (window and self.beside != 1):
            raise ValueError(f"a window of {window} for {self.beside} bands of a guide: 0, or more for one band")
        seen = channels * (3 if window else 1) + self.beside * (1 + scale * scale)
        self.head = nn.Conv2d(seen, width, 3, padding=1)
        self.body = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.tail = nn.Conv2d(width, channels * (scale * scale + self.beside), 3, padding=1)
        self.skip = BicubicSkip(scale)
        begin_as_skip(self.body, self.tail)

    @property
    def receptive_radius(self) -> int:
        """How many input pixels away a pixel can still change an output pixel's block."""
        return max(radius([self.head, *self.body, self.tail]) + self.window, self.skip.radius)

    def held(self, shapes: Shapes) -> float:
        """As any network, and float32 numbers: the image, and four copies of the guide on the way to its planes."""
        fine = self.beside * self.scale**2
        return super().held(shapes) + 2 * (self.channels + 4 * fine + self.beside)

    def forward(self, image: torch.Tensor, **others: torch.Tensor) -> torch.Tensor:
        """Sharpen a batch."""
        planes, means = self._coarse(others[self.guide])
        fit = self._fit(*(F.pad(x, (self.window,) * 4, mode="replicate") for x in (image, means)))
        shallow = self.head(self._seen(image, planes, means, fit))
        deep = shallow
        for block in self.body:
            deep = block(deep)
        edge = (self.skip.radius,) * 4
        image, means = (F.pad(x, edge, mode="replicate") for x in (image, means))
        return merged(self._fine(self.tail(deep + shallow), image, planes, means, fit))

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The same as planes, without computing what only the halo's pixels need, as ``compact`` does."""
        image = inputs[IMAGE]
        planes, means = self._coarse(inputs[self.guide])
        fit = self._fit(image, means)
        around = self.window
        seen = self._seen(cropped(image, around), cropped(planes, around), cropped(means, around), fit)
        shallow = unpadded(self.head, seen)
        del seen
        deep = shallow
        for block in self.body:
            assert isinstance(block, ResidualBlock)
            deep = block.trimmed(deep)
        made = unpadded(self.tail, deep + cropped(shallow, 2 * len(self.body)))
        whole = self.receptive_radius
        image, means = (cropped(x, whole - self.skip.radius) for x in (image, means))
        fit = cropped(fit, whole - self.window)
        return {IMAGE: self._fine(made, image, cropped(planes, whole), means, fit)}

    def _coarse(self, guide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The guide's sub-pixel planes ``(B, G, s², H, W)``, and its block means ``(B, G, H, W)``."""
        planes = F.pixel_unshuffle(guide, self.scale)
        planes = planes.reshape(len(guide), self.beside, self.scale**2, *planes.shape[2:])
        return planes, planes.mean(2)

    def _fit(self, image: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
        """Slope and R² of each band on the guide's means around each pixel that has ``window`` neighbours on each side:
        ``(B, 2 · C, H − 2w, W − 2w)``; no channels without a window.
        """
        if not self.window:
            return image[:, :0]
        around = 2 * self.window + 1
        image, means = image - 0.5, means - 0.5  # about the middle of the value scale: fewer digits are lost
        band, pan = (F.avg_pool2d(x, around, 1) for x in (image, means))
        both = F.avg_pool2d(image * means, around, 1) - band * pan
        spread = F.avg_pool2d(means * means, around, 1) - pan * pan
        own = F.avg_pool2d(image * image, around, 1) - band * band
        slope = both / (spread.clamp(min=0) + _CALM)
        share = both * slope / (own.clamp(min=0) + _CALM)
        return torch.cat([slope.clamp(-4, 4), share.clamp(0, 1)], 1)

    def _seen(self, image: torch.Tensor, planes: torch.Tensor, means: torch.Tensor, fit: torch.Tensor) -> torch.Tensor:
        """What the first convolution sees: the image, the guide's means, what its pixels have beyond them, the fit."""
        beyond = (planes - means[:, :, None]).flatten(1, 2)
        return torch.cat([image, means, beyond, fit], 1).to(self.head.weight.dtype)

    def _fine(
        self,
        made: torch.Tensor,
        image: torch.Tensor,
        planes: torch.Tensor,
        means: torch.Tensor,
        fit: torch.Tensor,
    ) -> torch.Tensor:
        """Planes ``(B, C, s², H, W)`` of the result; image and means have the skip's radius around them.

        It is made band by band: float32 on the fine grid is what takes most memory.
        """
        area = self.scale**2
        gains = made[:, self.channels * area :].to(image.dtype)
        gains = gains.reshape(len(made), self.channels, self.beside, *made.shape[2:])
        if self.window:
            slope, share = fit.chunk(2, 1)
            gains = gains + (slope * share)[:, :, None]
        detail = planes - self.skip.subpixels(means)
        found = []
        for band in range(self.channels):
            fine = self.skip.subpixels(image[:, band : band + 1])[:, 0]
            fine += made[:, band * area : (band + 1) * area].to(image.dtype)
            for other in range(self.beside):
                fine += gains[:, band, other, None] * detail[:, other]
            found.append(fine)
        return torch.stack(found, 1)
