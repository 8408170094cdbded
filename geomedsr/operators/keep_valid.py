"""Keep valid: pixels that a mask does not mark are the input's, marked ones are the model's prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from geomedsr.checks import Check
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.operators.block_error import block_error
from geomedsr.operators.block_mean import BlockMean
from geomedsr.operators.conserve import unconserved
from geomedsr.operators.operator import Observation, by_fine_frame
from geomedsr.operators.sub_pixel import merged
from geomedsr.scene.padding import read_reflected
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: The input that marks defects: pixels that are not 0, and are data.
MASK = "mask"


@dataclass(frozen=True)
class KeepValid(BlockMean):
    """Pixels that the input ``mask`` does not mark equal the input bit for bit; on a finer grid, their block means do.

    Marked pixels are the prediction, rounded and clipped to the type's limits, and never the nodata value. They are
    data, whether the input was data there or not. A mask has one band, or one for each band of the image.
    """

    mask: Scene | None = None

    name = "keep-valid"
    keeps = "pixels that the mask does not mark"
    needs = (MASK,)
    held = 32

    def bind(self, scenes: Mapping[str, Scene]) -> KeepValid:
        """Bind to the mask, if there is one."""
        mask, image = scenes.get(MASK), scenes["image"]
        if mask is not None and mask.shape[1] not in (1, image.shape[1]):
            raise InputError(
                f"the mask {mask.name} of {mask.shape[1]} bands",
                f"one band, or {image.shape[1]}, one for each of {image.name}",
                "choose bands of it",
            )
        return KeepValid(mask)

    def marked(self, box: Box, bands: slice = slice(None)) -> Array:
        """Which pixels of a box are marked: ``(frame, 1 or band, y, x)``. The box may extend past the image."""
        assert self.mask is not None
        stored, valid = read_reflected(self.mask.source, box)
        found: Array = (stored != 0) & valid
        return found if found.shape[1] == 1 else found[:, bands]

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """``fine`` where the mask is not 0; elsewhere projected onto block means, which is ``coarse`` at equal size."""
        kept = super().project(fine, coarse, scale)
        if others is None or MASK not in others:
            return kept
        return torch.where(F.interpolate(others[MASK], scale_factor=float(scale)) != 0, fine, kept)

    def agree(self, seen: Observation, planes: Array, out: Array) -> None:
        """See the class docstring."""
        super().agree(seen, planes, out)
        marked = self.marked(seen.box, seen.bands)
        if marked.any():
            low, span = (by_fine_frame(values, seen.factors) for values in (seen.low, seen.span))
            made = unconserved(merged(planes, seen.factors), low, span, out.dtype, seen.nodata, seen.limits)
            np.copyto(out, made, where=seen.factors.repeated(marked))

    def valid(self, box: Box, valid: Array) -> Array:
        """Marked pixels are data, too."""
        return valid if self.mask is None else valid | self.marked(box)

    def optional(self, box: Box, valid: Array) -> Array | None:
        """Marked pixels: of a wide gap the middle may be left."""
        return None if self.mask is None else np.broadcast_to(self.marked(box), valid.shape)

    def note(self, guessed: Factors) -> str:
        """Does not speak of finer detail where the grid stays the same."""
        marked = "Pixels that the mask marks are a model's guess, not a measurement"
        return (
            marked
            if guessed.volume == 1
            else f"{marked}; {super().note(guessed)[0].lower()}{super().note(guessed)[1:]}"
        )

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """Whether pixels that the mask does not mark are kept; without the mask, how many pixels are not."""
        changed, filled, total = 0, 0, 0
        for box in boxes:
            before, after = source.source.read(box), result.source.read(box.refined(factors))
            moved = _moved(before, after, factors) & source.source.valid(box)
            if self.mask is not None:
                marked = np.broadcast_to(self.marked(box), moved.shape)
                moved, filled = moved & ~marked, filled + int(marked.sum())
            changed, total = changed + int(moved.sum()), total + moved.size
        name = "pixels that the mask does not mark are the source's, bit for bit"
        if factors.volume > 1:
            name = "block means of pixels that the mask does not mark are the source's"
        if self.mask is None:
            detail = f"{changed} of {total} pixels differ; to check that the mask marks them, give --input {MASK}=FILE"
            return Check(name, True if asked and not changed else None, detail if changed else "no pixel differs")
        detail = f"{filled} of {total} pixels are marked" + (f", {changed} others differ" if changed else "")
        return Check(name, changed == 0 if asked else None, detail)


def _moved(before: Array, after: Array, factors: Factors) -> Array:
    """Which pixels' values, or block means, have changed; NaNs and zeros are compared by their bits."""
    if factors.volume > 1:
        return np.asarray(block_error(before, after, factors) != 0)
    if before.dtype != after.dtype or before.dtype.kind != "f":
        return np.asarray(before != after)
    whole = np.dtype(f"u{before.dtype.itemsize}")
    return np.asarray(np.ascontiguousarray(before).view(whole) != np.ascontiguousarray(after).view(whole))
