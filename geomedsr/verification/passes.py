"""Results of two passes, new slices and then pixels: whether they agree with the source under both operators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from geomedsr import operators
from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.profile import Profile
from geomedsr.geometry.stacking import volume_length
from geomedsr.operators.slice_profile import weights_of
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, Source

#: Rounding of both passes changes a pixel of a slice by less than this, in counts; floats: as a share of the range.
_COUNTS, _SHARE = 2.0, 1e-4


@dataclass(frozen=True)
class ReducedSource(Source):
    """A result brought back in plane by block means, in its own type: the new slices that it was made from."""

    result: Source
    factors: Factors

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        frames, bands, height, width = self.result.shape
        return frames, bands, height // self.factors.y, width // self.factors.x

    @property
    def dtype(self) -> np.dtype[Any]:
        """The result's."""
        return self.result.dtype

    @property
    def block(self) -> tuple[int, int]:
        """A whole slice."""
        return self.shape[2:]

    def read(self, box: Box) -> Array:
        """Block means, rounded for whole numbers."""
        fine = self.result.read(box.refined(self.factors)).astype(np.float64)
        frames, bands, height, width = fine.shape
        y, x = self.factors.y, self.factors.x
        means = fine.reshape(frames, bands, height // y, y, width // x, x).mean((3, 5))
        made: Array = (np.rint(means) if self.dtype.kind != "f" else means).astype(self.dtype)
        return made

    def valid(self, box: Box) -> Array:
        """Where the first pixel of each block is data."""
        return self.result.valid(box.refined(self.factors))[..., :: self.factors.y, :: self.factors.x]

    def select(self, bands: Any) -> ReducedSource:
        """Some of the bands."""
        return replace(self, result=self.result.select(bands))


def in_two_passes(provenance: Provenance, factors: Factors) -> bool:
    """Whether a result is of new slices made finer in plane, both from this source."""
    last, own = provenance.before[-1] if provenance.before else None, provenance.model.factors
    if last is None or last.operator is None or own is None or own.frame > 1:
        return False
    return factors == own * Factors(last.frame_factor or 1, last.factor or 1, last.factor or 1)


def passes_check(
    source: Scene, result: Scene, factors: Factors, provenance: Provenance, boxes: Iterable[Box], asked: bool
) -> Check:
    """Whether a result of two passes agrees with its source: in plane by the last operator, then along its slices."""
    step, in_plane = provenance.before[-1], Factors(1, factors.y, factors.x)
    along = Factors(factors.frame, 1, 1)
    profile = Profile() if step.profile is None else Profile(step.profile)
    operator = operators.get(provenance.agreement.operator or operators.BlockMean.name)
    if not operator.whole_frames and profile.box:
        return operator.check(source, result, factors, boxes, asked)
    if not operator.whole_frames:
        slices = operators.get(step.operator or operators.SliceMean.name)
        slices = slices.bind({"image": replace(source, profile=profile)})
        made = replace(result, source=ReducedSource(result.source, in_plane))
        check = slices.check(source, made, along, boxes, asked)
        return replace(check, promise=f"block means in plane; of these, {check.promise}")
    worst, least, most = 0.0, np.inf, -np.inf
    length = volume_length(source.grid.planes)
    for box in boxes:
        before = source.source.read(box)[0].astype(np.float64)
        if not source.source.valid(box).all():
            continue
        seen = torch.zeros(before.shape, dtype=torch.float64)[None]
        for at, weight in weights_of(profile, factors.frame, length, box.start[0]):
            there = Box((at, *box.start[1:]), (at + 1, *box.stop[1:])).refined(in_plane)
            fine = torch.from_numpy(result.source.read(there).astype(np.float64))
            seen += weight * operator.forward(fine, factors.x)
        off = operator.determined(seen - torch.from_numpy(before)[None])
        worst, least, most = max(worst, float(off.abs().max())), min(least, before.min()), max(most, before.max())
    allowed = _SHARE * (most - least) if source.dtype.kind == "f" else _COUNTS
    kind = "mean" if profile.box else f"bell {profile.width:.3g} slice distances wide"
    name = f"the {operator.keeps} of each slice is that of new ones, by their {kind}, up to rounding and clipping"
    detail = f"largest deviation {worst:.2g}"
    if not asked:
        return Check(name, None, f"not asked for; {detail}")
    held = _clipped(result)
    if worst > allowed and held:
        return Check(name, None, f"{detail}; {held:.2%} of the pixels are at the limits, which may explain it")
    return Check(name, worst <= allowed, f"{detail}, of {allowed:.2g} that rounding may leave")


def _clipped(result: Scene) -> float:
    """The share of values at the ends of what can be stored, in one slice out of eight."""
    if result.limits is None:
        return 0.0
    low, high = result.limits
    found = []
    for box in list(Box.whole(result.shape).tiles((1, *result.shape[2:])))[::8]:
        values = result.source.read(box)
        found.append(float(((values <= low) | (values >= high)).mean()))
    return float(np.mean(found))
