"""What became of the frames of a fusion."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

from geomedsr.errors import SceneWarning


@dataclass(frozen=True)
class FrameReport:
    """What became of a frame: where it lies in the reference, in pixels to the right and down, and whether it was used.

    ``back`` is how far the swapped search for the shift is from it, in pixels, ``alike`` the correlation with the
    reference, ``trust`` the mean weight of its pixels. ``dropped`` says why it was not used.
    """

    name: str
    x: float | None = None
    y: float | None = None
    back: float | None = None
    alike: float | None = None
    trust: float | None = None
    gains: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    dropped: str | None = None


@dataclass(frozen=True)
class FusionReport:
    """How frames were registered: those of each frame of the reference, and the noise of one, band by band.

    ``deviation`` is how far the block means of the result (for MR, the averaged frames) are from the reference, as a
    root mean square in stored units, band by band, in a window amid the scene; it should be about the noise. 0 where
    they are kept.
    """

    reference: str
    factor: int
    frames: tuple[tuple[FrameReport, ...], ...]
    noise: tuple[float, ...]
    deviation: tuple[float, ...] = ()

    @property
    def used(self) -> int:
        """The frames that the first frame of the result is made of, the reference among them."""
        return 1 + sum(frame.dropped is None for frame in self.frames[0])

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "used": self.used}


def tell_dropped(report: FusionReport) -> None:
    """Warn of frames that were not used."""
    for frame in report.frames[0]:
        if frame.dropped:
            warnings.warn(f"{frame.name} is left out: {frame.dropped}", SceneWarning, stacklevel=4)
    if report.frames[0] and report.used == 1:
        warnings.warn(
            "no frame could be used beside the reference: the result is that of one image", SceneWarning, stacklevel=4
        )
