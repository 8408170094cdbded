"""Validation of new slices during training: planes of volumes kept out, made thick and thin again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from geomedsr.errors import RecipeError
from geomedsr.geometry import Box
from geomedsr.geometry.profile import Profile
from geomedsr.io.files import write_page
from geomedsr.metrics.grid import ratio, steps
from geomedsr.models.slices import Slices
from geomedsr.scene.scene import Scene
from geomedsr.training.picture import grey_png
from geomedsr.training.recipe import Recipe
from geomedsr.training.slices import agreed, around_rows, factors_of, rows_of, thickened

#: Planes of a scene that are looked at, and profiles by which they are made thick: a box, and a bell.
_MOST, _PROFILES = 8, (Profile(), Profile(1.0))


@dataclass(frozen=True)
class _Plane:
    """A plane, its rows by slice ``(f, n, W)``, what a network sees of it, and the profile."""

    fine: torch.Tensor
    seen: torch.Tensor
    profile: Profile

    @property
    def factor(self) -> int:
        """How many thin slices are in a thick one."""
        return self.fine.shape[0]


class SliceValidation:
    """PSNR in dB against the value scale's range, of what is foreground: the mean over scenes, profiles and factors,
    by default all that the recipe has.

    And the grid: steps from slice to slice across faces of the old slices over those within, their mean likewise. Each
    plane is looked at alone, after slices are made to agree. ``bicubic`` is cubic interpolation along slices.
    """

    def __init__(
        self,
        recipe: Recipe,
        scenes: Sequence[Scene],
        crossing: Sequence[bool],
        device: torch.device,
        factors: Sequence[int] = (),
        profiles: Sequence[Profile] = _PROFILES,
    ) -> None:
        self.device = device
        self.above = recipe.foreground.above if recipe.foreground else -math.inf
        self.groups = [
            _planes(scene, factor, profile, recipe.generator.neighbours, cut)
            for scene, cut in zip(scenes, crossing, strict=True)
            for factor in factors or factors_of(recipe.generator.heads)
            for profile in profiles
        ]
        self.bicubic: dict[str, float] = {}

    @torch.inference_mode()
    def scores(self, network: torch.nn.Module) -> dict[str, float]:
        """``psnr`` and ``grid`` of a network; empty without validation scenes."""
        assert isinstance(network, Slices)
        if not self.groups:
            return {}
        if not self.bicubic:
            self.bicubic = {"psnr": self._looked(network, cubic=True)["psnr"]}
        return self._looked(network)

    def is_best(self, stage: str, scores: dict[str, float], best: dict[str, float]) -> bool:
        """Whether none before was better; noted."""
        if not scores or scores["psnr"] <= best.get(stage, -math.inf):
            return False
        best[stage] = scores["psnr"]
        return True

    @torch.inference_mode()
    def picture(self, network: torch.nn.Module, path: Path) -> None:
        """A PNG of a plane of each scene: slices as they are, cubic, network, reference, side by side."""
        assert isinstance(network, Slices)
        strips = []
        for planes in self.groups[:: 2 * max(1, len(self.groups) // 8)]:
            plane = planes[len(planes) // 2]
            middle = plane.seen[network.neighbours].expand(plane.factor, -1, -1)
            kinds = (middle, _made(network, plane, True), _made(network, plane, False), plane.fine)
            strip = np.concatenate([rows_of(kind).numpy() for kind in kinds], 1)
            low, high = np.quantile(rows_of(plane.fine).numpy(), [0.005, 0.995])
            strips.append(np.clip(np.rint((strip - low) / max(high - low, 1e-6) * 255), 0, 255).astype(np.uint8))
        if not strips:
            return
        width = max(strip.shape[1] for strip in strips)
        sheet = np.concatenate([np.pad(strip, ((0, 4), (0, width - strip.shape[1]))) for strip in strips])
        path.parent.mkdir(exist_ok=True)
        write_page(path, grey_png(sheet))

    def _looked(self, network: Slices, cubic: bool = False) -> dict[str, float]:
        decibels, grids = [], []
        for planes in self.groups:
            error, count, stepped = 0.0, 0, np.zeros((2, 2))
            for plane in planes:
                made, looked = _made(network, plane, cubic), plane.fine > self.above
                error += float(((made - plane.fine).square() * looked).sum())
                count += int(looked.sum())
                stepped += steps(rows_of(made).numpy(), rows_of(looked).numpy(), plane.factor)[0]
            decibels.append(-10 * math.log10(max(error / max(count, 1), 1e-12)))
            grids.append(float(ratio(stepped)))
        return {"psnr": float(np.mean(decibels)), "grid": float(np.nanmean(grids))}


def _made(network: Slices, plane: _Plane, cubic: bool) -> torch.Tensor:
    """The rows of a plane as a network, or cubic interpolation, makes them, ``(f, n, W)``, on the CPU."""
    device, edge = network.head.weight.device, network.receptive_radius
    seen = plane.seen[None].to(device)
    made = network.cubic(seen, plane.factor)
    if not cubic:
        profile = torch.tensor([plane.profile.width], device=device)
        made = made + network.line(F.pad(seen, (edge, edge, 0, 0), mode="replicate"), plane.factor, profile)
        made = agreed(made.float(), seen[:, network.neighbours].float(), profile)
    return made[0].float().cpu()


def _planes(scene: Scene, factor: int, profile: Profile, neighbours: int, crossing: bool) -> list[_Plane]:
    """Planes spread over a scene, thick along their rows; ends are repeated beyond the first and last slice."""
    reach, found = profile.reach(factor), []
    frames, _, height, _ = scene.shape
    count = height // factor - 2 * reach
    if count < 1:
        raise RecipeError(f"{scene.name} of {height} rows for validation by {factor}", "more", "name another scene")
    for frame in range(frames // (2 * _MOST), frames, -(-frames // _MOST)):
        box = Box((frame, 0, 0), (frame + 1, (count + 2 * reach) * factor, scene.shape[3]))
        valid = scene.source.valid(box)[0, 0].all(0)
        if not valid.any() or (not crossing and not valid.all()):
            continue
        fine = scene.values.normalise(scene.source.read(box), box.frames)[0, 0][:, torch.from_numpy(valid)]
        coarse = thickened(fine[None], factor, profile)[0]
        seen = around_rows(F.pad(coarse[None], (0, 0, neighbours, neighbours), mode="replicate")[0], neighbours)
        inner = fine[reach * factor : (reach + count) * factor]
        found.append(_Plane(inner.reshape(count, factor, -1).transpose(0, 1), seen, profile))
    return found
