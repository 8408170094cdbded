"""The figures of fitness: what each is, when it counts as unusual, and what that may mean."""

from __future__ import annotations

from dataclasses import dataclass

#: The usual range of a figure: the 5th and the 95th percentile over a model's training and validation scenes.
Range = tuple[float, float]


@dataclass(frozen=True)
class About:
    """A figure, and the limits beyond which a scene is told to be unusual.

    A figure is unusual below ``low`` of a range and ``always_low``, whichever is lower, and above ``high`` of a range
    and ``always_high``, whichever is higher: a model that saw few scenes has a narrow range, which says little. ``low``
    and ``high`` are allowances: added to the ends of a range, or, if ``ratio``, factors. None: that side says nothing.
    ``domains`` are those in which it is measured; empty: all.
    """

    title: str
    unit: str
    digits: int
    too_low: str = ""
    too_high: str = ""
    low: float | None = None
    always_low: float = float("inf")
    high: float | None = None
    always_high: float = float("-inf")
    ratio: bool = False
    domains: tuple[str, ...] = ()

    def limits(self, usual: Range) -> Range:
        """Below the first and above the second, the figure is unusual."""
        start, end = usual
        low = high = None
        if self.low is not None:
            low = min(start * self.low if self.ratio else start + self.low, self.always_low)
        if self.high is not None:
            high = max(end * self.high if self.ratio else end + self.high, self.always_high)
        return float("-inf") if low is None else low, float("inf") if high is None else high

    def words(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:.{self.digits}f} {self.unit}".strip()

    def words_of(self, usual: Range) -> str:
        """A range with its unit."""
        start, end = (f"{value:.{self.digits}f}" for value in usual)
        return f"{start} … {end} {self.unit}".strip()


_SMOOTH = "blurred or interpolated, so it holds less detail than its pixels suggest"

#: In the order in which they are told. Limits of figures that a corruption in benchmarks/fitness.py is for are half-way
#: between training and validation scenes of all domains and these scenes corrupted (``--limits``; its ends are the 95th
#: and the 5th percentile); the others, and allowances, were chosen beforehand. Scenes that set nothing test them.
ABOUT = {
    "repeats": About(
        "steps between neighbours at every 2nd to 4th pixel over others",
        "×",
        2,
        too_high="enlarged before, by nearest neighbour or the like",
        high=1.5,
        always_high=12.5,
        ratio=True,
    ),
    "blocks": About(
        "steps across every 8th row or column over others",
        "×",
        2,
        too_high="compressed as JPEG, whose blocks show",
        high=1.1,
        always_high=1.16,
        ratio=True,
    ),
    "noise": About(
        "noise",
        "% of the value range",
        2,
        too_high="noisy: noise will be taken for detail",
        high=1.1,
        always_high=2.4,
        ratio=True,
    ),
    "edge": About(
        "power at 0.4–0.5 cycles a pixel beside that at 0.05–0.1",
        "dB",
        1,
        too_low=_SMOOTH,
        too_high="aliased, sharpened or noisy",
        low=-3.0,
        always_low=-37.0,
        high=3.0,
        always_high=-10.0,
    ),
    "fall": About(
        "power at 0.30–0.35 cycles a pixel beside that at 0.20–0.25",
        "dB",
        1,
        too_low=_SMOOTH,
        low=-1.5,
        always_low=-9.0,
    ),
    "kernel": About(
        "fine noise beside coarser, which the kernel sets",
        "dB",
        1,
        too_low="a smoother kernel than the model knows",
        too_high="a sharper kernel than the model knows",
        low=-6.0,
        high=6.0,
        domains=("CT",),
    ),
    "zero_filled": About(
        "k-space that is empty at the edges of an axis",
        "%",
        0,
        too_high="zero-filled, so it holds less detail than its pixels suggest",
        high=15.0,
        always_high=40.0,
        domains=("MR",),
    ),
    "saturated": About(
        "pixels at the highest value", "%", 1, too_high="saturated or clipped", high=1.5, always_high=5.0, ratio=True
    ),
    "bottom": About(
        "pixels at the lowest value",
        "%",
        1,
        too_high="clipped, or no data that is not declared (see --nodata)",
        high=1.5,
        always_high=8.0,
        ratio=True,
        domains=("satellite",),
    ),
    "levels": About(
        "width of the value range",
        "whole numbers",
        0,
        too_low="of few levels, so steps between them show",
        low=0.5,
        always_low=20.0,
        ratio=True,
    ),
    "gaps": About(
        "whole numbers that no pixel has",
        "% of those between the quartiles",
        0,
        too_high="stretched from fewer levels",
        high=1.5,
        always_high=30.0,
        ratio=True,
    ),
}
