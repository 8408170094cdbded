"""The figures of an evaluation: name, unit, and a one-line explanation of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A value, and the ends of its 95 % bootstrap interval if there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class About:
    """``best`` tells which values are better: ``"high"``, ``"low"``, or empty for neither."""

    title: str
    unit: str
    digits: int
    best: str
    meaning: str

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


#: In the order of their columns; docs/metrics.md tells how each is computed.
ABOUT = {
    "psnr": About("PSNR", "dB", 2, "high", "how small the squared error is beside the peak; +6 dB is half the error"),
    "ssim": About("SSIM", "", 4, "high", "how alike local patterns are; 1 is equal"),
    "vgg": About("VGG-19 distance", "", 3, "low", "how unlike it looks to a network that sees shapes; 0 is equal"),
    "gain": About("gain over bicubic", "dB", 2, "high", "PSNR less that of bicubic interpolation"),
    "fitted": About(
        "gain after a fit",
        "dB",
        2,
        "high",
        "gain of a real pair, after the best line in each square: calibration apart",
    ),
    "sam": About("SAM", "°", 2, "low", "the angle between a pixel's spectrum and the true one; brightness apart"),
    "fringe": About("fringe", "°", 2, "low", "SAM at strong edges alone: wrong colours there"),
    "ergas": About("ERGAS", "%", 2, "low", "the error of all bands, each relative to its mean"),
    "drift": About("drift", "", 3, "low", "how far the result, brought down again, is from its input, in its units"),
    "improvement": About("improved", "%", 1, "high", "of the detail that differs: nearest to the truth"),
    "omission": About("omitted", "%", 1, "low", "of the detail that differs: left as interpolation has it"),
    "hallucination": About("hallucinated", "%", 1, "low", "of the detail that differs: far from truth and input"),
    "spectrum": About(
        "spectrum", "dB", 2, "low", "how far the power of detail finer than the input's pixels is from the truth's"
    ),
    "grid": About(
        "grid", "", 3, "", "steps across borders of the input's pixels over those within; 1 where those do not show"
    ),
}

#: Figures in which bicubic is best by definition; their best value is not marked.
_BICUBICS = ("omission", "hallucination")


def is_best(name: str, figure: Figure, peers: Sequence[Figure | None]) -> bool:
    """Whether a figure is the best among ``peers``, itself included, and being best is meaningful."""
    known = [peer.value for peer in peers if peer is not None]
    best = ABOUT[name].best
    return bool(best) and name not in _BICUBICS and figure.value == (max(known) if best == "high" else min(known))
