"""Ticks of a figure's axes: as many as their labels have room for, however small the axes become."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

#: Ticks of an axis, at most.
_MOST = 9

#: The width of a digit, the height of a line, and the least gap between labels, in parts of their font's size.
_DIGIT, _LINE, _GAP = 0.65, 1.2, 0.8


class RoomyLocator(MaxNLocator):  # type: ignore[misc, unused-ignore]  # where matplotlib is missing
    """Round positions, so many that their labels do not meet. ``lengthwise`` says that labels are written along the
    axis; ``size`` is that of their font in points.
    """

    def __init__(self, *, lengthwise: bool, size: float) -> None:
        super().__init__(nbins=_MOST, steps=[1, 2, 2.5, 5, 10], min_n_ticks=1)
        self.lengthwise, self.size = lengthwise, size

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """The positions, for axes as large as they are now."""
        points = self._length() / (abs(vmax - vmin) or 1)  # no extent: any length will do
        for count in range(_MOST, 0, -1):
            self.set_params(nbins=count)
            ticks = super().tick_values(vmin, vmax)
            if len(ticks) < 2 or np.diff(ticks).min() * points >= self._needed(ticks):
                break
        return ticks

    def _length(self) -> float:
        """The axis's in points."""
        axis: Any = self.axis
        box = axis.axes.get_window_extent()
        return float(box.width if axis.axis_name == "x" else box.height) * 72 / float(axis.axes.figure.dpi)

    def _needed(self, ticks: Any) -> float:
        """What a label takes along the axis in points, with a gap."""
        axis: Any = self.axis
        longest = max(len(text) for text in axis.get_major_formatter().format_ticks(ticks))
        return self.size * ((longest * _DIGIT if self.lengthwise else _LINE) + _GAP)
