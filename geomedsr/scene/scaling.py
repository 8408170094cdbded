"""Value scales: from stored values to the network's numbers and back, without sensor-specific constants.

A scale is a linear map per frame and band: ``z = (v − low) / (high − low)``. It is invertible and never clamps:
a value below ``low`` becomes negative, one above ``high`` exceeds 1, and both are restored. ``low`` and ``high`` come
from the user; or from robust percentiles of the scene's own valid pixels, so that the network sees every sensor and
unit on the same scale; or from a fixed range of physical units where a domain has one, as CT has Hounsfield units.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from geomedsr.errors import InputError, SceneWarning

if TYPE_CHECKING:
    import torch  # slow to import

    from geomedsr.scene.scene import Scene

#: The percentiles of a band's valid pixels that become 0 and 1.
PERCENTILES = (1.0, 99.0)

Array = np.ndarray[Any, Any]

Origin = Literal["percentiles", "frames", "physical", "given"]


@dataclass(frozen=True)
class ValueScale:
    """``low`` and ``high`` of shape ``(frame or 1, band)``, in stored values; see the module docstring.

    ``origin`` tells where they come from: ``"given"`` by the user, or another source named in the module docstring;
    ``"frames"`` means percentiles of each frame by itself. ``measured`` holds each band's percentiles as measured:
    equal for a constant band, None for a band without data. ``low`` and ``high`` always differ; ``widened`` tells in
    which bands they had to be set apart.
    """

    low: tuple[tuple[float, ...], ...]
    high: tuple[tuple[float, ...], ...]
    origin: Origin = "given"
    measured: tuple[tuple[float, float] | None, ...] = ()
    widened: tuple[bool, ...] = ()

    @classmethod
    def from_range(cls, low: float, high: float, bands: int) -> ValueScale:
        """One given range for all bands.

        Raises:
            InputError: ``low`` is not below ``high``, or one is not finite.
        """
        tiny, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
        if not (low < high and max(abs(low), abs(high)) <= most and tiny <= high - low):
            raise InputError(
                f"the value range {low:g},{high:g}", "two numbers LO < HI within float32", "swap or correct them"
            )
        return cls(((float(low),) * bands,), ((float(high),) * bands,))

    @classmethod
    def from_physical(cls, low: float, high: float, slope: Array, offset: Array) -> ValueScale:
        """One range in physical units; physical = stored × ``slope`` + ``offset``, both ``(frame or 1, band)``."""
        lows, highs = (low - offset) / slope, (high - offset) / slope
        return cls(_nested(lows), _nested(highs), "physical")

    @classmethod
    def from_samples(cls, samples: Iterable[Array], percentiles: tuple[float, float] = PERCENTILES) -> ValueScale:
        """Robust percentiles of each band's valid sample values (1-D arrays, one per band; may be empty)."""
        samples = list(samples)
        measured = tuple(_percentiles(sample, percentiles) for sample in samples)
        lows, highs, widened = zip(*map(_robust_range, samples, measured), strict=True)
        return cls((lows,), (highs,), "percentiles", measured, widened)

    @classmethod
    def from_frames(cls, samples: Iterable[Sequence[Array]]) -> ValueScale:
        """Robust percentiles of each frame by itself; ``samples`` holds, for each frame, one array per band."""
        rows = [cls.from_samples(frame) for frame in samples]
        return cls(tuple(row.low[0] for row in rows), tuple(row.high[0] for row in rows), "frames")

    def select(self, bands: Sequence[int]) -> ValueScale:
        """The scale of some of the bands."""
        return ValueScale(
            tuple(tuple(row[b] for b in bands) for row in self.low),
            tuple(tuple(row[b] for b in bands) for row in self.high),
            self.origin,
            tuple(self.measured[b] for b in bands if self.measured),
            tuple(self.widened[b] for b in bands if self.widened),
        )

    def repeated(self, factor: int) -> ValueScale:
        """The scale of a result with ``factor`` frames from each frame."""
        if factor == 1 or len(self.low) == 1:
            return self
        low, high = (tuple(row for row in rows for _ in range(factor)) for rows in (self.low, self.high))
        return replace(self, low=low, high=high)

    def bounds(self, frames: slice = slice(None)) -> tuple[Array, Array]:
        """``low`` and ``high − low`` as float64 of shape ``(frame or 1, band, 1, 1)``."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        if len(low) > 1:
            low, high = low[frames], high[frames]
        with np.errstate(over="ignore"):  # a span too large for a float becomes infinite
            return low[..., None, None], (high - low)[..., None, None]

    def normalise(self, stored: Array, frames: slice = slice(None)) -> torch.Tensor:
        """Stored values ``(frame, band, y, x)`` to a float32 tensor of the same axes, about 0 … 1."""
        import torch

        low, span = self.bounds(frames)
        wide = np.float32 if stored.dtype.itemsize <= 2 else np.float64
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, and the engine reports them
            scaled = (stored.astype(wide) - low.astype(wide)) / span.astype(wide)
            return torch.from_numpy(scaled.astype(np.float32, copy=False))

    def invert(self, tensor: torch.Tensor, frames: slice = slice(None)) -> Array:
        """A tensor ``(frame, band, y, x)`` back to stored units, float64, neither rounded nor clipped."""
        low, span = self.bounds(frames)
        restored: Array = tensor.detach().cpu().numpy().astype(np.float64) * span + low
        return restored


#: Integers may be classes, not measurements, if at least ``ENOUGH`` pixels have at most ``FEW`` different values.
FEW, ENOUGH = 16, 1024


def few(sample: Array, most: int = FEW) -> int | None:
    """The number of different values in a 1-D sample of integers; None unless 2 to ``most`` in over 1000 pixels."""
    if sample.dtype.kind not in "iu" or sample.size < ENOUGH or len(np.unique(sample[:: sample.size // ENOUGH])) > most:
        return None
    count = len(np.unique(sample))
    return count if 2 <= count <= most else None


def _nested(table: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in table)


def _percentiles(sample: Array, percentiles: tuple[float, float]) -> tuple[float, float] | None:
    if sample.size == 0:
        return None
    low, high = (float(v) for v in np.percentile(sample, percentiles))
    return low, high


def _robust_range(sample: Array, measured: tuple[float, float] | None) -> tuple[float, float, bool]:
    """Two ends that differ even where the measured ones do not, and whether they had to be set apart."""
    if measured is None:
        return 0.0, 1.0, True
    low, high = measured
    if not low < high:  # nearly constant: all variation lies outside the percentiles
        low, high = float(sample.min()), float(sample.max())
    if low < high:
        return low, high, False
    return low, low + max(1.0, abs(low)), True


def physically_ranged(scene: Scene, low: float, high: float) -> Scene:
    """A scene with one value range in physical units; see ``Scene.with_physical_range``."""
    if scene.scale is not None and scene.scale.origin == "given":
        return scene
    if scene.domain == "CT" and not scene.hounsfield:
        kinds = ", ".join(sorted({b.units or "HU" for b in scene.bands}))
        warnings.warn(
            f"{scene.name} has values that are no Hounsfield units ({kinds}): they are seen on their "
            f"{PERCENTILES[0]:g}st to {PERCENTILES[1]:g}th percentiles, or on --range LO,HI of stored values",
            SceneWarning,
            stacklevel=4,
        )
        return scene
    return replace(scene, scale=ValueScale.from_physical(low, high, *scene.slopes_and_offsets))
