"""The protocol of a comparison: which pixels count, the value range, and PSNR's peak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geomedsr.scene.ranges import physical_range
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


@dataclass(frozen=True)
class Protocol:
    """Physical values above ``above`` are compared, clipped to ``window``; ``peak`` is PSNR's, for each band."""

    above: float | None
    window: tuple[float, float] | None
    peak: tuple[float, ...]
    words: str

    @classmethod
    def of(cls, scene: Scene, value_range: tuple[float, float] | None, above: float | None) -> Protocol:
        """The usual protocol for a scene's domain, unless the user says otherwise.

        CT: pixels above −900 HU; values are clipped to −1000 … 400 HU, and the peak is that range. MR: pixels above 8 %
        of the series' 99th percentile, which is the peak. Others: all pixels; the peak is each band's range from the
        1st to the 99th percentile.
        """
        bands = len(scene.bands)
        low, high, _ = physical_range(scene)
        if value_range is not None:
            words = f"values clipped to {value_range[0]:g} … {value_range[1]:g}, which is the peak"
            return cls(above, value_range, (value_range[1] - value_range[0],) * bands, _above(above) + words)
        if scene.hounsfield:
            above = -900.0 if above is None else above
            words = f"{_above(above)}values clipped to −1000 … 400 HU, which is the peak"
            return cls(above, (-1000, 400), (1400.0,) * bands, words)
        if scene.domain == "MR":
            peak = float(high.max())
            share = "" if above is not None else " (8 % of the 99th percentile)"
            above = 0.08 * peak if above is None else above
            words = f"pixels above {above:.4g}{share}; the 99th percentile is the peak"
            return cls(above, None, (peak,) * bands, words)
        peaks = tuple(float(v) for v in high - low)
        return cls(above, None, peaks, f"{_above(above)}the reference's 1–99 % range is the peak, band by band")

    def clip(self, physical: Array) -> Array:
        """Values clipped to the window, if there is one."""
        return physical if self.window is None else np.clip(physical, *self.window)


def _above(above: float | None) -> str:
    return "" if above is None else f"pixels above {above:g}; "
