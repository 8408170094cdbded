"""Training of new slices: planes in which one axis stands for the slices, made thick along it, and thin again.

A plane is a slice itself, whose rows (or columns) stand for thin slices, since detail in a slice is what detail across
slices looks like; or a plane across the slices of a thin series, whose rows they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from geomedsr.errors import RecipeError
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.grid import Grid, Window
from geomedsr.geometry.profile import Profile
from geomedsr.losses import Sample
from geomedsr.models.ports import IMAGE
from geomedsr.models.slices import Slices
from geomedsr.operators import Operator
from geomedsr.operators.slice_profile import agreeing
from geomedsr.scene.padding import read_reflected
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import ArraySource
from geomedsr.training.augment import Augment, Change, sharpen
from geomedsr.training.patches import TARGET, TRIES, Drawn, Example, nearly_empty
from geomedsr.training.recipe import SlicesPart

#: The profile of an example, beside what the network sees and is to make.
PROFILE = "profile"


def across(scene: Scene) -> Scene:
    """The planes across a volume's slices as one scene: rows are the slices, columns are columns or rows of a slice.

    First the planes of all rows, then those of all columns, the shorter ones padded with pixels that are no data.

    Raises:
        RecipeError: the scene is no volume on one value scale.
    """
    frames, bands, height, width = scene.shape
    if frames < 2 or bands > 1 or len(scene.values.low) > 1:
        raise RecipeError(f"{scene.name} of {frames} frames across its slices", "a volume", "use its own planes")
    values, valid = (read(Box.whole(scene.shape))[:, 0] for read in (scene.source.read, scene.source.valid))
    side = max(height, width)
    made = np.zeros((height + width, 1, frames, side), values.dtype)
    known = np.zeros(made.shape, bool)
    for out, of in ((made, values), (known, valid)):
        out[:height, 0, :, :width] = of.transpose(1, 0, 2)
        out[height:, 0, :, :height] = of.transpose(2, 0, 1)
    grid = Grid((frames, side))
    return replace(scene, source=ArraySource(made, known), grid=grid, rescale=(), scale=scene.values, headers=None)


def thickened(fine: torch.Tensor, factor: int, profile: Profile) -> torch.Tensor:
    """Rows made thick: ``(…, (n + 2 · reach) · factor, W)`` to ``(…, n, W)``, float."""
    kernel = torch.from_numpy(profile.weights(factor)).to(fine)[None, None, :, None]
    *lead, rows, columns = fine.shape
    made = F.conv2d(fine.reshape(-1, 1, rows, columns), kernel, stride=(factor, 1))
    return made.reshape(*lead, *made.shape[-2:])


def around_rows(coarse: torch.Tensor, neighbours: int) -> torch.Tensor:
    """Rows with their neighbours as channels: ``(n + 2k, W)`` to ``(2k + 1, n, W)``."""
    return coarse.unfold(0, 2 * neighbours + 1, 1).permute(2, 0, 1)


@dataclass(frozen=True)
class SliceDraw:
    """One random choice: a frame of a scene, where a patch begins, along which axis its slices lie, and what is done.

    ``stretch`` is how many rows of the scene a fine row covers.
    """

    scene: int
    frame: int
    row: int
    column: int
    turned: bool
    stretch: float
    factor: int
    profile: Profile
    change: Change


class SlicePatches(Drawn):
    """Patches of planes: an item is ``{"image": (2k + 1, n, W), "target": (f, n, W), "profile": (1, 1, 1)}``.

    ``f`` is one of the ``factors``, the same for all items of a batch, ``n`` the whole slices in ``size`` thin ones,
    and ``W`` is ``size``. Normalised float32; a pure function of ``seed`` and the index.

    Args:
        scenes: what to draw from.
        crossing: of each, whether its rows are slices (:func:`across`); otherwise rows or columns stand for them.
        size: thin slices, and columns, of a patch.
        factors: how many thin slices a thick one holds.
        neighbours: how many slices the network sees on each side.
        part: profiles, and how rows are stretched.
        augment: what is changed at random: the line and the sharpness.
        above: see :class:`geomedsr.training.patches.Patches`; ``share``, ``seed`` and ``length`` too.
        batch: how many items in a row are of one factor.

    Raises:
        RecipeError: no scene, or a patch that holds no slice.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        crossing: Sequence[bool],
        size: int,
        factors: Sequence[int],
        neighbours: int,
        part: SlicesPart,
        *,
        augment: Augment | None = None,
        above: float = 0.0,
        share: float = 0.0,
        seed: int = 0,
        length: int = 1_000_000,
        batch: int = 1,
    ) -> None:
        if not scenes or size < max(factors):
            raise RecipeError(
                f"{len(scenes)} scenes and patches of {size} slices", "scenes, and a thick slice in a patch", "enlarge"
            )
        for scene, cut in zip(scenes, crossing, strict=True):
            if min(scene.shape[2:]) < size - (size - 1) % max(factors):
                what = "slices, rows and columns" if cut else "rows and columns"
                raise RecipeError(
                    f"{scene.name} with {min(scene.shape[2:])} of {what}, for patches of {size}",
                    "as many",
                    "leave it out, or make `patch` smaller",
                )
        self.scenes, self.crossing, self.size = list(scenes), list(crossing), size
        self.factors, self.neighbours, self.part = tuple(factors), neighbours, part
        self.augment = augment or Augment()
        self.above, self.share, self.seed, self.length, self.batch = above, share, seed, length, batch
        weights = np.sqrt([float(np.prod(scene.shape)) for scene in self.scenes])
        self.weights = weights / weights.sum()

    def fine(self, which: int) -> Scene:
        """The scene of a draw."""
        return self.scenes[which]

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.length:
            raise IndexError(index)
        together = np.random.default_rng((self.seed, index // self.batch, 1))
        factor = self.factors[int(together.integers(len(self.factors)))]
        rng = np.random.default_rng((self.seed, index))
        which = int(rng.choice(len(self.weights), p=self.weights))
        for _ in range(TRIES):
            example = self.cut(replace(self.draw(rng, which), factor=factor))
            if example is not None:
                return example
        raise nearly_empty(self.scenes[which])

    def draw(self, rng: np.random.Generator, which: int) -> SliceDraw:  # type: ignore[override]
        """A random choice in a scene; the factor is the first, until the batch's takes its place."""
        frames, _, height, width = self.scenes[which].shape
        crossing = self.crossing[which]
        turned = False if crossing else bool(rng.integers(2))
        stretch = 1.0 if crossing or rng.integers(2) else float(rng.uniform(*self.part.stretch))
        long, short = (width, height) if turned else (height, width)
        if self.size * stretch > long:
            stretch = 1.0
        rows = int(np.ceil(self.size * stretch))
        return SliceDraw(
            which,
            int(rng.integers(frames)),
            int(rng.integers(long - rows + 1)) if long > rows else 0,
            int(rng.integers(short - self.size + 1)),
            turned,
            stretch,
            self.factors[0],
            Profile(0.0 if rng.random() < self.part.boxes else float(rng.uniform(*self.part.bells))),
            self.augment.draw(rng),
        )

    def cut(self, draw: SliceDraw) -> Example | None:  # type: ignore[override]
        """The patch of a draw; None where a pixel of it is no data, or too few are foreground."""
        scene, factor, change = self.scenes[draw.scene], draw.factor, draw.change
        count, reach = self.size // factor, draw.profile.reach(factor)
        margin = (self.neighbours + reach) * factor + 1
        rows = count * factor
        beyond = int(np.ceil((margin + 3) * draw.stretch))
        tall = int(np.ceil(rows * draw.stretch)) + 2 * beyond
        start, side = draw.row - beyond, self.size + 2
        window = Window(draw.column - 1, start, side, tall)
        if draw.turned:
            window = Window(start, draw.column - 1, tall, side)
        box = Box.of(draw.frame, window)
        stored, valid = read_reflected(scene.source, box)
        if not valid.all():
            return None
        plane = scene.values.normalise(stored, slice(draw.frame, draw.frame + 1))[:, :1]
        plane = plane.transpose(2, 3) if draw.turned else plane
        if draw.stretch != 1:
            size = round(tall / draw.stretch), side
            plane = F.interpolate(plane, size=size, mode="bicubic", antialias=True, align_corners=False)
        extra = (plane.shape[2] - rows - 2 * margin) // 2
        plane = plane[:, :, extra : extra + rows + 2 * margin]
        plane = sharpen(plane, change.sharpness)[0, 0, 1:-1, 1:-1]
        if change.flip:
            plane = plane.flip(1)
        if change.turn % 2:
            plane = plane.flip(0)
        plane = plane * change.gain + change.offset
        target = plane[margin - 1 : margin - 1 + rows]
        seen = (target - change.offset) / change.gain
        if self.share and float((seen > self.above).float().mean()) < self.share:
            return None
        coarse = thickened(plane[None], factor, draw.profile)[0]
        return {
            TARGET: target.reshape(count, factor, -1).transpose(0, 1).contiguous(),
            IMAGE: around_rows(coarse, self.neighbours).contiguous(),
            PROFILE: torch.full((1, 1, 1), draw.profile.width),
        }


def sample_of(generator: Slices, piece: Mapping[str, torch.Tensor], operator: Operator) -> Sample:
    """What the generator makes of a batch of planes: new slices as channels, at each slice and column."""
    hr, seen, profile = piece[TARGET], piece[IMAGE], piece[PROFILE].flatten()
    factor, edge = hr.shape[1], generator.receptive_radius
    detail = generator.line(F.pad(seen, (edge, edge, 0, 0), mode="replicate"), factor, profile)
    made = generator.cubic(seen, factor) + detail
    middle = seen[:, generator.neighbours : generator.neighbours + 1]
    fine = agreed(made.float(), middle[:, 0].float(), profile) if operator.constrains else made.float()
    return Sample(made, fine, hr, middle, operator, 1, slices=factor)


def agreed(made: torch.Tensor, coarse: torch.Tensor, profile: torch.Tensor) -> torch.Tensor:
    """New slices ``(B, f, n, W)`` made to agree with the slices ``(B, n, W)`` of each plane's profile, ``(B,)``.

    Slices at the ends, which see more than the plane holds, are left out.
    """
    factor, count = made.shape[1:3]
    pairs = [agreeing(Profile(float(width)), factor, count) for width in profile]
    matrix, solution = (torch.from_numpy(np.stack(each)).to(made) for each in zip(*pairs, strict=True))
    with torch.autocast(made.device.type, enabled=False):
        fine = rows_of(made)
        fine = fine + solution @ (coarse - matrix @ fine)
    return fine.reshape(len(fine), count, factor, -1).transpose(1, 2)


def rows_of(planes: torch.Tensor) -> torch.Tensor:
    """New slices by slice, ``(…, f, n, W)``, as rows in order, ``(…, n · f, W)``."""
    return planes.transpose(-3, -2).flatten(-3, -2)


def factors_of(heads: Sequence[tuple[int, int, int]]) -> tuple[int, ...]:
    """How many slices each head makes of one."""
    return tuple(Factors(*head).frame for head in heads)
