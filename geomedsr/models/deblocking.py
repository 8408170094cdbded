"""``deblocking``: an image as it was before JPEG compression, at the same size, for all qualities at once.

The table of quantisation steps is an input, laid out over each block of 8 × 8 pixels: so the network knows how coarse
the steps are and where blocks begin. It sees pixels relative to what lies around them in units of the mean step, and
its numbers are in these units, too. Residual blocks (Lim et al. 2017, arXiv:1707.02921) work at half the size, on four
pixels at once, which widens what they see at a quarter of the work.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.models.compact import ResidualBlock, begin_as_skip
from geomedsr.models.network import Network
from geomedsr.models.ports import Ports

#: The input that holds the quantisation steps.
STEPS = "steps"

#: The side of a JPEG block.
BLOCK = 8

#: The smallest step in units of the value scale, of 12 bits, and half the range of logarithms (base 2) of all.
_SMALLEST, _HALF = 1 / 4096, 6.0

#: How many pixels around a pixel its surroundings reach.
_AROUND = 4


class Deblocking(Network):
    """Generator of an image and its ``steps``, each ``(B, 1, H, W)`` → the image without artefacts, float32.

    Values are 0 … 1 for what a file can store, and steps in the same units. Blocks begin at the first row and column.
    Before training it changes nothing.

    Raises:
        ValueError: other inputs than the steps, several channels, a scale, or sizes that are none.
    """

    stride = BLOCK
    exports = False  # its blocks must begin at the first pixel, which an exported tile cannot know

    def __init__(
        self, scale: int = 1, channels: int = 1, width: int = 48, blocks: int = 8, ports: Ports | None = None
    ) -> None:
        super().__init__()
        inputs = ports.inputs if ports else ()
        if [(port.name, port.meaning, port.bands) for port in inputs] != [(STEPS, "value", ())]:
            raise ValueError(f"a deblocking network takes one input besides the image, {STEPS}, for each band")
        if scale != 1 or channels != 1:
            raise ValueError(f"scale {scale} and channels {channels} of a deblocking network must be 1")
        if width < 1 or blocks < 0:
            raise ValueError(f"width {width} and blocks {blocks} of a deblocking network")
        self.scale, self.channels = scale, channels
        self.head = nn.Conv2d(4 * 3, width, 3, padding=1)
        self.body = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.tail = nn.Conv2d(width, 4, 3, padding=1)
        begin_as_skip(self.body, self.tail)

    @property
    def receptive_radius(self) -> int:
        """How many pixels away a pixel can still change another, in whole blocks."""
        reach = 2 * (2 * len(self.body) + 2) + 1 + max(_AROUND, BLOCK)
        return -(-reach // BLOCK) * BLOCK

    def forward(self, image: torch.Tensor, **others: torch.Tensor) -> torch.Tensor:
        """Clean a batch; its sides need not be whole blocks."""
        steps, (height, width) = others[STEPS], image.shape[-2:]
        edge = (0, -width % BLOCK, 0, -height % BLOCK)
        with torch.autocast(image.device.type, enabled=False):
            image, steps = (F.pad(x.float(), edge, mode="replicate") for x in (image, steps))
            mean = F.avg_pool2d(steps, BLOCK).clamp(min=_SMALLEST)
            mean = F.interpolate(mean, scale_factor=float(BLOCK), mode="nearest")
            around = F.avg_pool2d(image, 2 * _AROUND + 1, 1, _AROUND, count_include_pad=False)
            scale = mean.log2() / _HALF + 1
            seen = torch.cat([(image - around) / mean, steps.clamp(min=_SMALLEST).log2() / _HALF + 1, scale], 1)
            seen = F.pixel_unshuffle(seen, 2)
        shallow = self.head(seen.to(self.head.weight.dtype))
        deep = shallow
        for block in self.body:
            deep = block(deep)
        change = F.pixel_shuffle(self.tail(deep + shallow), 2).float()
        return (image + mean * change)[..., :height, :width]
