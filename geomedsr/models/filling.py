"""``filling``: pixels that are missing, from those around them.

A smooth fill is the beginning: normalised convolution (Knutsson and Westin 1993, doi 10.1109/CVPR.1993.341081) at
several widths, the narrowest that finds enough pixels. A residual network of dilated convolutions (Yu and Koltun 2016,
arXiv:1511.07122) adds what the smooth fill lacks. Its numbers are relative to the mean and the spread of the known
pixels around, so that a line through the values of an image makes the same line through its fill, whatever the sensor.

Wide gaps are filled in several passes, each ``reach`` pixels deeper than the one before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from geomedsr.models.compact import cropped
from geomedsr.models.network import Network
from geomedsr.models.ports import IMAGE, Ports
from geomedsr.models.receptive_field import radius

#: Standard deviations of the windows of the smooth fill, in pixels; each reaches two and a half of them.
SIGMAS = (1.0, 2.0, 4.0, 8.0)

#: The share of a window's weight on known pixels from which the window is used alone.
_ENOUGH = 0.25

#: Dilations of the blocks, from the first to the last, as often as they are needed.
_DILATIONS = (1, 2, 3, 3, 2, 1)

#: Added to the spread of known pixels, of values about 0 … 1: calm ground has hardly any.
_CALM = 3e-3

#: The inputs: what is to be filled, and what is not known, which holds it.
MASK, MISSING = "mask", "missing"


class DilatedBlock(nn.Module):
    """Convolution, ReLU, convolution, added to the input; ``(B, width, H, W)`` in and out."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        change: torch.Tensor = self.second(F.relu(self.first(x)))
        return x + change

    def trimmed(self, x: torch.Tensor) -> torch.Tensor:
        """The same without padding: the result is two dilations smaller on each side."""
        return _unpadded(self.second, _unpadded(self.first, x).relu_()).add_(cropped(x, 2 * self.first.dilation[0]))


class Filling(Network):
    """Generator of an image, a ``mask`` and ``missing``, each ``(B, 1, H, W)`` → the filled image, float32.

    Pixels that ``missing`` marks are not looked at. ``mask`` marks those among them whose fill is wanted; where it
    marks none, nothing is computed. Pixels that are not missing stay what they are. A missing pixel that has none that
    is known within ``passes · reach`` rows and columns gets no sensible value.

    Raises:
        ValueError: other inputs than these two masks, several channels, a scale, or sizes that are none.
    """

    trims = True
    exports = False  # how many passes it takes depends on the masks

    def __init__(
        self,
        scale: int = 1,
        channels: int = 1,
        width: int = 40,
        blocks: int = 6,
        reach: int = 12,
        passes: int = 3,
        ports: Ports | None = None,
    ) -> None:
        super().__init__()
        inputs = ports.inputs if ports else ()
        if [(port.name, port.meaning, port.bands) for port in inputs] != [(MASK, "mask", ()), (MISSING, "mask", ())]:
            raise ValueError(
                f"a filling network takes two masks besides the image, {MASK} and {MISSING}, for each band"
            )
        if scale != 1 or channels != 1:
            raise ValueError(f"scale {scale} and channels {channels} of a filling network must be 1")
        if width < 1 or not 0 <= blocks <= len(_DILATIONS) or passes < 1 or not 1 <= reach <= _half(SIGMAS[-1]):
            raise ValueError(f"width {width}, blocks {blocks}, reach {reach} and passes {passes} of a filling network")
        self.scale, self.channels, self.reach, self.passes = scale, channels, reach, passes
        self.head = nn.Conv2d(2 + 2 * len(SIGMAS), width, 3, padding=1)
        self.body = nn.ModuleList(DilatedBlock(width, dilation) for dilation in _DILATIONS[:blocks])
        self.tail = nn.Conv2d(width, 1, 3, padding=1)
        for block in self.body:
            assert isinstance(block, DilatedBlock)
            with torch.no_grad():
                block.second.weight.mul_(0.1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    @property
    def pass_radius(self) -> int:
        """How many pixels away a pixel can still change what one pass fills."""
        return _half(SIGMAS[-1]) + radius([self.head, *self.body, self.tail])

    @property
    def receptive_radius(self) -> int:
        """How many pixels away a pixel can still change a pixel's fill, after all passes."""
        return self.passes * self.pass_radius

    @property
    def depth(self) -> int:
        """How many rows and columns from the next known pixel a pixel may lie."""
        return self.passes * self.reach

    def forward(self, image: torch.Tensor, **others: torch.Tensor) -> torch.Tensor:
        """Fill a batch; beyond its edges nothing is known."""
        known = 1 - torch.maximum(others[MASK], others[MISSING])
        for _ in range(max(1, self._needed(known, others[MASK]))):
            edge = (_half(SIGMAS[-1]),) * 4
            smooth = self._smooth(F.pad(image, edge), F.pad(known, edge))
            filled = self._filled(smooth, self._detail(smooth.seen, trimmed=False))
            image = torch.where(known > 0, image, filled)
            known = _grown(known, self.reach)
        return image

    def planes(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The same as planes, in as many passes as the deepest pixel needs, each on what the next one needs."""
        image, mask, whole = inputs[IMAGE], inputs[MASK], self.receptive_radius
        known = 1 - torch.maximum(mask, inputs[MISSING])
        wanted = cropped(mask, whole)
        needed = self._needed(known, wanted, whole) if bool(wanted.any()) else 0
        around = needed * self.pass_radius
        image, known = (cropped(x, whole - around) for x in (image, known))
        for _ in range(needed):
            smooth = self._smooth(image, known)
            detail = self._detail(smooth.seen, trimmed=True)
            edge = self.pass_radius - _half(SIGMAS[-1])
            filled = self._filled(smooth.within(edge), detail)
            before = cropped(known, self.pass_radius)
            image = torch.where(before > 0, cropped(image, self.pass_radius), filled)
            known = cropped(_grown(known, self.reach), self.pass_radius)
        return {IMAGE: image[:, :, None]}

    def _needed(self, known: torch.Tensor, wanted: torch.Tensor, margin: int = 0) -> int:
        """How many passes fill all wanted pixels, if that many are allowed; ``known`` has a margin around them."""
        for count in range(self.passes):
            if not bool((wanted * (1 - cropped(known, margin))).any()):
                return count
            known = _grown(known, self.reach)
        return self.passes

    def _smooth(self, image: torch.Tensor, known: torch.Tensor) -> _Smooth:
        """The smooth fill of an image that has the widest window's radius around it, and what the network sees."""
        with torch.autocast(image.device.type, enabled=False):
            return self._smoothed(image.float(), known.float())

    def _smoothed(self, image: torch.Tensor, known: torch.Tensor) -> _Smooth:
        widest = _half(SIGMAS[-1])
        shown = torch.where(known > 0, image - 0.5, 0.0)  # about the middle: fewer digits are lost
        sums = [(_window(shown, sigma, widest), _window(known, sigma, widest)) for sigma in SIGMAS]
        means = [total / weight.clamp(min=1e-6) for total, weight in sums]
        square = _window(shown.square(), SIGMAS[-1], widest) / sums[-1][1].clamp(min=1e-6)
        mean = means[-1]
        spread = (square - mean.square()).clamp(min=0).sqrt() + _CALM
        base = mean
        for value, (_, weight) in zip(means[-2::-1], sums[-2::-1], strict=True):
            share = (weight / _ENOUGH).clamp(max=1)
            base = share * value + (1 - share) * base
        inner = cropped(known, widest)
        relative = [
            (cropped(shown, widest) - mean) / spread * inner,
            *((value - mean) / spread for value in means[:-1]),
        ]
        seen = torch.cat([*relative, (base - mean) / spread, inner, *(weight for _, weight in sums)], 1)
        return _Smooth(base + 0.5, spread, seen)

    def _detail(self, seen: torch.Tensor, trimmed: bool) -> torch.Tensor:
        """What the network adds to the smooth fill, in units of the spread."""
        seen = seen.to(self.head.weight.dtype)
        if not trimmed:
            x = shallow = self.head(seen)
            for block in self.body:
                x = block(x)
            padded: torch.Tensor = self.tail(x + shallow)
            return padded.float()
        x = shallow = _unpadded(self.head, seen)
        for block in self.body:
            assert isinstance(block, DilatedBlock)
            x = block.trimmed(x)
        edge = (shallow.shape[-1] - x.shape[-1]) // 2
        return _unpadded(self.tail, x + cropped(shallow, edge)).float()

    def _filled(self, smooth: _Smooth, detail: torch.Tensor) -> torch.Tensor:
        return smooth.base + smooth.spread * detail


class _Smooth:
    """The smooth fill ``base``, the ``spread`` of known pixels, each ``(B, 1, H, W)``, and what the network sees."""

    def __init__(self, base: torch.Tensor, spread: torch.Tensor, seen: torch.Tensor) -> None:
        self.base, self.spread, self.seen = base, spread, seen

    def within(self, edge: int) -> _Smooth:
        """Without so many pixels on each side, as what the network makes of it."""
        return _Smooth(cropped(self.base, edge), cropped(self.spread, edge), self.seen)


def _half(sigma: float) -> int:
    """The radius of a window."""
    return math.ceil(2.5 * sigma)


def _window(x: torch.Tensor, sigma: float, margin: int) -> torch.Tensor:
    """Gaussian means ``(B, 1, H − 2m, W − 2m)`` of an image ``(B, 1, H, W)``, zeros counted."""
    half = _half(sigma)
    place = torch.arange(-half, half + 1, device=x.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (place / sigma).square())
    kernel = (kernel / kernel.sum()).to(x.dtype)
    x = cropped(x, margin - half)
    rows = F.conv2d(x, kernel.reshape(1, 1, -1, 1))
    return F.conv2d(rows, kernel.reshape(1, 1, 1, -1))


def _grown(known: torch.Tensor, by: int) -> torch.Tensor:
    """Known pixels, 1, and those within so many rows and columns of one."""
    rows = F.max_pool2d(known, (2 * by + 1, 1), 1, (by, 0))
    return F.max_pool2d(rows, (1, 2 * by + 1), 1, (0, by))


def _unpadded(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """A layer's convolution without padding."""
    return F.conv2d(x, layer.weight, layer.bias, dilation=layer.dilation)
