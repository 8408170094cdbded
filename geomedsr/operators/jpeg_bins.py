"""JPEG bins: encoding a result again with the file's own tables gives the file's coefficients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.jpeg.bins import DCT, within_bins
from geomedsr.jpeg.coded import Coded
from geomedsr.operators.block_mean import BlockMean
from geomedsr.operators.operator import Observation, by_fine_frame
from geomedsr.operators.sub_pixel import merged
from geomedsr.scene.coding import coded_of
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: The input that holds the quantisation steps, laid out over each block.
STEPS = "steps"

#: Rows and columns of a block.
_SIDE = 8

#: Of half a bin, how much coefficients may move in training.
_REACH = 0.995


@dataclass(frozen=True)
class Count:
    """Units of blocks that are coded together: how many hold the file's coefficients, and how many only the file's
    own pixels, as decoded; ``changed`` are neither.
    """

    units: int = 0
    holding: int = 0
    decoded: int = 0

    @property
    def changed(self) -> int:
        """See the class docstring."""
        return self.units - self.holding - self.decoded

    def __add__(self, other: Count) -> Count:
        return Count(self.units + other.units, self.holding + other.holding, self.decoded + other.decoded)


@dataclass(frozen=True)
class JPEGBins(BlockMean):
    """The coefficients of a result are the file's, in each unit of blocks that are coded together.

    ``coded`` are the file's. Where no pixels were found whose coefficients are these, as where the file's decoder
    clipped, a unit is as the decoder made it. ``forward`` changes nothing: a result is as fine as its input.
    """

    coded: Coded | None = None

    name = "jpeg-bins"
    keeps = "the coefficients of its JPEG file"
    held = 160
    joint = True

    @property
    def alignment(self) -> tuple[int, int]:  # type: ignore[override]
        """A unit of the file."""
        return (_SIDE, _SIDE) if self.coded is None else self.coded.side

    @property
    def origin(self) -> tuple[int, int]:  # type: ignore[override]
        """Of the file's units."""
        return (0, 0) if self.coded is None else self.coded.origin

    def bind(self, scenes: Mapping[str, Scene]) -> JPEGBins:
        """Bind to the coefficients of the file that the image was decoded from."""
        return JPEGBins(coded_of(scenes["image"]))

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """``fine`` in the bins of ``coarse``, whose blocks begin at the first pixel; unchanged without its steps.

        For grey images of 8 bits on a value scale of 0 … 1, as the degradation ``jpeg`` makes them.
        """
        if others is None or STEPS not in others:
            return fine
        height, width = fine.shape[-2:]
        edge = (0, -width % _SIDE, 0, -height % _SIDE)
        blocks = [_blocks(F.pad(x, edge, mode="replicate")) for x in (fine, coarse, others[STEPS])]
        cosines, middle, steps = torch.from_numpy(DCT).to(fine), 128 / 255, blocks[2].clamp(min=1e-6)
        own, centre = (cosines @ (x - middle) @ cosines.T for x in blocks[:2])
        centre = (centre / steps).round() * steps
        reach = steps * (_REACH / 2)
        kept = torch.maximum(torch.minimum(own, centre + reach), centre - reach)
        plane = (cosines.T @ kept @ cosines + middle).transpose(-3, -2).flatten(-2).flatten(-3, -2)
        return plane[..., :height, :width]

    def agree(self, seen: Observation, planes: Array, out: Array) -> None:
        """See the class docstring."""
        assert self.coded is not None
        low, span = (by_fine_frame(values, seen.factors) for values in (seen.low, seen.span))
        guess = merged(planes, seen.factors).astype(np.float64) * span + low
        data, nodata = seen.data(), None if seen.nodata is None else int(seen.nodata)
        out[...] = seen.stored
        for number, stored in enumerate(seen.stored):
            box = Box.of(seen.box.start[0] + number, seen.box.window)
            cut, units = self.coded.cut(box), self.coded.units(box)
            known = cut.whole & cut.apart(data[number]).all((1, 2, 3))
            old, aim = cut.apart(stored), cut.apart(guess[number])
            made, _ = within_bins(aim[known], old[known], units.of(known), cut.sizes[known], nodata)
            old = old.copy()
            old[known] = made
            out[number] = cut.together(old, stored.shape[1:])

    def counted(self, source: Scene, result: Scene, boxes: Iterable[Box]) -> Count:
        """How many units of a written result hold; ``boxes`` together cover it, and are read one at a time."""
        assert self.coded is not None
        total = Count()
        for box in boxes:
            around = self.support(box, source.shape)
            before, after = (scene.source.read(around) for scene in (source, result))
            for number in range(len(before)):
                own = Box.of(around.start[0] + number, around.window)
                cut, units = self.coded.cut(own), self.coded.units(own)
                begin = np.maximum(cut.first, 0)
                start = np.subtract(box.start[1:], around.start[1:])
                stop = np.subtract(box.stop[1:], around.start[1:])
                picked = cut.whole & ((begin >= start) & (begin < stop)).all(1)
                old, new = (cut.apart(image[number])[picked] for image in (before, after))
                same = (old == new).all((1, 2, 3))
                holding = units.of(picked).holds(new)
                total += Count(int(picked.sum()), int(holding.sum()), int((same & ~holding).sum()))
        return total

    def note(self, guessed: Factors) -> str:
        """What is guessed."""
        return "Detail within the bins of the JPEG file's coefficients is a model's guess, not a measurement"

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """Whether each unit holds the file's coefficients, or is as decoded."""
        found = self.counted(source, result, boxes)
        detail = f"{found.holding} of {found.units} units of blocks have them"
        detail += f", {found.decoded} are as decoded" if found.decoded else ""
        detail += f", {found.changed} have neither" if found.changed else ""
        name = "encoded again with its own tables, the JPEG file's coefficients"
        return Check(name, found.changed == 0 if asked else None, detail)


def _blocks(plane: torch.Tensor) -> torch.Tensor:
    """``(…, H, W)`` of whole blocks as ``(…, rows, columns, 8, 8)``."""
    *others, height, width = plane.shape
    return plane.reshape(*others, height // _SIDE, _SIDE, width // _SIDE, _SIDE).transpose(-3, -2)
