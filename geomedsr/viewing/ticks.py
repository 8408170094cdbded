"""Ticks of a figure's axes: only as many as there is room for labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

#: The most ticks of an axis.
_MOST = 9

#: The width of a digit, the height of a line, and the smallest gap between labels, relative to the font size.
_DIGIT, _LINE, _GAP = 0.65, 1.2, 0.8


class RoomyLocator(MaxNLocator):  # type: ignore[misc, unused-ignore]  # where matplotlib is missing
    """Round positions, spaced so that labels do not overlap.

    ``lengthwise`` says that labels are written along the axis; ``size`` is the font size in points.
    """

    def __init__(self, *, lengthwise: bool, size: float) -> None:
        super().__init__(nbins=_MOST, steps=[1, 2, 2.5, 5, 10], min_n_ticks=1)
        self.lengthwise, self.size = lengthwise, size

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """The positions for the current size of the axes."""
        points = self._length() / (abs(vmax - vmin) or 1)  # any value will do for an axis without extent
        for count in range(_MOST, 0, -1):
            self.set_params(nbins=count)
            ticks = super().tick_values(vmin, vmax)
            if len(ticks) < 2 or np.diff(ticks).min() * points >= self._needed(ticks):
                break
        return ticks

    def _length(self) -> float:
        """The length of the axis in points."""
        axis: Any = self.axis
        box = axis.axes.get_window_extent()
        return float(box.width if axis.axis_name == "x" else box.height) * 72 / float(axis.axes.figure.dpi)

    def _needed(self, ticks: Any) -> float:
        """The space that a label and its gap take along the axis, in points."""
        axis: Any = self.axis
        longest = max(len(text) for text in axis.get_major_formatter().format_ticks(ticks))
        return self.size * ((longest * _DIGIT if self.lengthwise else _LINE) + _GAP)
