"""Validation during training, on scenes kept out: PSNR, VGG-19 distance, pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from geomedsr import operators
from geomedsr.degradations import Chain, chain
from geomedsr.errors import ModelError, RecipeError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.io.files import write_page
from geomedsr.losses import Perceptual
from geomedsr.metrics.features import FeatureDistance
from geomedsr.metrics.grid import ratio, steps, worst
from geomedsr.models.network import image_of
from geomedsr.models.ports import IMAGE, Port
from geomedsr.scene.context import around, middle
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.training.guides import Guide
from geomedsr.training.pairs import ScenePair, spread
from geomedsr.training.patches import TARGET, Example, marked
from geomedsr.training.picture import grey_png
from geomedsr.training.recipe import Recipe

#: Windows (or frames) per scene, and the side of windows, in high-resolution pixels.
_MOST, SIDE = 12, 192

#: Of each scene so many pieces show the grid on imagery as it is.
_NATIVE = 4

#: VGG-19's deepest layers see nothing in less.
_LEAST_SEEN = 32

Upscale = Callable[[torch.Tensor, Example], torch.Tensor]


@dataclass(frozen=True)
class _Windows:
    """Some windows of frames of a scene: fine ``(n, C, H, W)``, coarse with neighbours ``(n, frames, C, H, W)``; the
    network's other inputs by name, ``(n, 1 or C, H, W)``.
    """

    fine: torch.Tensor
    coarse: torch.Tensor
    others: Example = field(default_factory=dict)


class Validation:
    """Fixed windows of some scenes, or frames of some series; and of some real pairs.

    PSNR in dB against the value scale's range, of what is foreground, mean over bands, windows and scenes; VGG-19
    distance (:class:`geomedsr.metrics.features.FeatureDistance`), mean over scenes, where a recipe has an adversarial
    stage and the weights are there; the grid (:mod:`geomedsr.metrics.grid`) of each scene's worst band and direction,
    mean over scenes.
    """

    def __init__(
        self,
        recipe: Recipe,
        scenes: Sequence[Scene],
        device: torch.device,
        pairs: Sequence[ScenePair] = (),
        guides: Sequence[Guide] = (),
    ) -> None:
        self.scale, self.device = recipe.generator.scale, device
        self.channels = recipe.generator.channels
        self.operator = operators.get(recipe.operator)
        self.above = recipe.foreground.above if recipe.foreground else -float("inf")
        links, beside = chain(recipe.chain, self.scale), recipe.generator.neighbours
        self.ports, self.guided = recipe.generator.ports.inputs, bool(guides)
        beside_each: Sequence[Guide | None] = guides or [None] * len(scenes)
        found = [
            (_frames if s.shape[0] > 1 or links.reduction.whole else _windows)(s, links, beside, self.ports, guide)
            for s, guide in zip(scenes, beside_each, strict=True)
        ]
        found += [_matched(pair) for pair in pairs]
        for scene, windows in zip([*scenes, *(pair.fine for pair in pairs)], found, strict=True):
            if not len(windows.fine):
                raise RecipeError(
                    f"the validation scene {scene.name}, in which no window of {SIDE} pixels, or of its own size, is "
                    "all data",
                    "windows of data",
                    "choose another window of it, or another scene",
                )
        self.scenes = found
        self.sees = _sees(recipe)
        bicubic = self._scores(
            lambda x, _: F.interpolate(
                middle(x, self.channels), scale_factor=float(self.scale), mode="bicubic", align_corners=False
            )
        )
        self.bicubic = {name: value for name, value in bicubic.items() if name != "grid"}

    def scores(self, network: nn.Module) -> dict[str, float]:
        """``psnr``, ``vgg`` and ``grid`` of a network after projection; ``grid_native``, that of what it makes of the
        scenes as they are, where it sees single frames. Empty without validation scenes.
        """
        return self._scores(lambda x, others: self._guess(network, x, others)) | self._native(network)

    def is_best(self, stage: str, scores: dict[str, float], best: dict[str, float]) -> bool:
        """Whether none before was better in that stage, by PSNR or, in the adversarial one, VGG-19 distance; noted."""
        if not scores:
            return False
        name, sign = ("vgg", -1) if stage == "adversarial" and "vgg" in scores else ("psnr", 1)
        if not math.isfinite(scores[name]) or (stage in best and sign * scores[name] <= sign * best[stage]):
            return False
        best[stage] = scores[name]
        return True

    def picture(self, network: nn.Module, path: Path) -> None:
        """A PNG of a window of each scene: input, bicubic, network, reference, side by side."""
        rows = []
        for windows in self.scenes:
            pick = len(windows.fine) // 2
            fine, seen = windows.fine[pick : pick + 1, :1].to(self.device), self._seen(windows.coarse[pick])[:1]
            coarse = middle(seen, self.channels)[:, :1]
            side = min(SIDE, *fine.shape[-2:]) // self.scale * self.scale
            images = [
                F.interpolate(coarse, scale_factor=self.scale, mode="nearest"),
                F.interpolate(coarse, scale_factor=self.scale, mode="bicubic"),
                self._guess(network, seen, self._beside(windows.others, pick, len(seen)))[:, :1],
                fine,
            ]
            strip = torch.cat([image[..., :side, :side] for image in images], -1)
            low, high = torch.quantile(fine[..., :side, :side], torch.tensor([0.005, 0.995]).to(fine))
            shown = ((strip - low) / (high - low).clamp(min=1e-6) * 255).round().clamp(0, 255)
            rows.append(shown[0].byte().cpu().numpy())
        if not rows:
            return
        width = max(row.shape[2] for row in rows)
        sheet = np.concatenate([np.pad(row, ((0, 0), (0, 0), (0, width - row.shape[2]))) for row in rows], 1)
        path.parent.mkdir(exist_ok=True)
        write_page(path, grey_png(sheet[0]))

    @torch.inference_mode()
    def _scores(self, upscale: Upscale) -> dict[str, float]:
        decibels, distances, grids = [], [], []
        for windows in self.scenes:
            errors, counts = [], []
            stepped: Array = np.zeros(())
            small = min(windows.fine.shape[-2:]) < _LEAST_SEEN
            distance = FeatureDistance(self.sees.file) if self.sees and not small else None
            for number, (fine, coarse) in enumerate(zip(windows.fine, windows.coarse, strict=True)):
                hr = (fine[:, None] if self.channels == 1 else fine[None]).to(self.device)
                given = self._seen(coarse)
                prediction = upscale(given, self._beside(windows.others, number, len(given)))
                seen = hr > self.above
                errors.append(((prediction - hr).square() * seen).sum((2, 3)).ravel())
                counts.append(seen.sum((2, 3)).ravel())
                stepped = stepped + self._steps(prediction, seen)
                if distance is not None:
                    distance.add(prediction, hr)
            mean = torch.stack(errors).sum(0) / torch.stack(counts).sum(0).clamp(min=1)
            decibels.append(float((-10 * mean.log10()).mean()))
            grids.append(float(worst(ratio(stepped))))
            if distance is not None:
                distances.append(distance.value())
        scores = {"psnr": float(np.mean(decibels))} if decibels else {}
        scores |= _mean_grid("grid", grids)
        return scores | ({"vgg": float(np.mean(distances))} if distances else {})

    @torch.inference_mode()
    def _native(self, network: nn.Module) -> dict[str, float]:
        grids: list[float] = []
        if self.guided:  # there is no guide as fine as that
            return {}
        for windows in self.scenes:
            fine = windows.fine
            if windows.coarse.shape[1] > 1:
                continue
            if not self.operator.whole_frames:  # pieces as large as what the network sees of the coarse image
                height, width = windows.coarse.shape[-2:]
                row, col = (fine.shape[-2] - height) // 2, (fine.shape[-1] - width) // 2
                fine = fine[..., row : row + height, col : col + width]
            stepped: Array = np.zeros(())
            for frame in fine[:: -(-len(fine) // _NATIVE)]:
                low = self._seen(frame[None])
                seen = F.interpolate((low > self.above).float(), scale_factor=self.scale, mode="nearest") > 0
                stepped = stepped + self._steps(self._guess(network, low, self._nothing(low)), seen)
            grids.append(float(worst(ratio(stepped))))
        return _mean_grid("grid_native", grids)

    def _steps(self, prediction: torch.Tensor, seen: torch.Tensor) -> Array:
        """Steps of each band."""
        return steps(prediction.cpu().numpy(), seen.cpu().numpy(), self.scale).reshape(-1, 2, 2, 2)

    @torch.inference_mode()
    def _guess(self, network: nn.Module, coarse: torch.Tensor, others: Example) -> torch.Tensor:
        prediction = image_of(network(coarse, **others))
        return self.operator.project(prediction, middle(coarse, self.channels), self.scale, others)

    def _beside(self, others: Example, number: int, batch: int) -> Example:
        """The other inputs of a window as the network sees them, beside so many images of a batch."""
        found, together = {}, {port.name for port in self.ports if port.bands}
        for name, windows in others.items():
            given = windows[number].to(self.device)
            alone = self.channels == 1 and name not in together  # a band for each image of the batch
            found[name] = given[:batch, None] if alone else given[None].repeat(batch, 1, 1, 1)
        return found

    def _nothing(self, seen: torch.Tensor) -> Example:
        """Masks that mark nothing."""
        return {p.name: torch.zeros_like(seen[:, : 1 if p.bands else self.channels]) for p in self.ports}

    def _seen(self, coarse: torch.Tensor) -> torch.Tensor:
        """Coarse frames ``(frames, C, H, W)`` as the network sees them; bands are a batch for one of one channel."""
        return (coarse.transpose(0, 1) if self.channels == 1 else coarse.flatten(0, 1)[None]).to(self.device)


def _mean_grid(name: str, grids: Sequence[float]) -> dict[str, float]:
    """The mean over scenes in which there is something to see."""
    known = [value for value in grids if math.isfinite(value)]
    return {name: float(np.mean(known))} if known else {}


def _sees(recipe: Recipe) -> Perceptual | None:
    """Whose weights of VGG-19 to use, if any are there."""
    if recipe.adversarial is None:
        return None
    part = next((loss for loss in recipe.adversarial.losses if isinstance(loss, Perceptual)), None)
    if part is not None:
        return part
    try:
        FeatureDistance()
    except ModelError:
        return None
    return Perceptual()


def _windows(
    scene: Scene, links: Chain, neighbours: int, ports: Sequence[Port], guide: Guide | None = None
) -> _Windows:
    """Windows without nodata, spread over a scene."""
    _, _, height, width = scene.shape
    side = _side(scene, links.scale, min(SIDE, height, width))
    places = [
        Window(col, row, side, side)
        for row in range(0, height - side + 1, side)
        for col in range(0, width - side + 1, side)
    ]
    places = [w for w in places if scene.source.valid(Box.of(0, w)).all()]
    places = places[:: -(-len(places) // _MOST) or 1]
    return _pairs(scene, [(window, 0) for window in places], links, neighbours, ports, guide)


def _matched(pair: ScenePair) -> _Windows:
    """Windows of a real pair without nodata, spread over it."""
    scale, area = pair.placement.scale, pair.placement.overlap
    side = min(SIDE // scale, area.width, area.height, *(n // scale for n in pair.fine.shape[2:]))
    if side == 0:
        return _Windows(torch.empty(0), torch.empty(0))
    places = [w for w in spread(area, side, _MOST) if w.width == w.height == side]
    cut = [both for place in places if (both := pair.cut(place)) is not None]
    cut = cut[:: -(-len(cut) // _MOST) or 1]
    if not cut:
        return _Windows(torch.empty(0), torch.empty(0))
    fine, coarse = (torch.stack([example[name] for example in cut]) for name in (TARGET, IMAGE))
    return _Windows(fine, coarse[:, None])


def _frames(scene: Scene, links: Chain, neighbours: int, ports: Sequence[Port], guide: Guide | None = None) -> _Windows:
    """Whole frames, spread over a series."""
    count, _, height, width = scene.shape
    whole = Window(0, 0, _side(scene, links.scale, width), _side(scene, links.scale, height))
    return _pairs(scene, [(whole, i) for i in range(0, count, -(-count // _MOST))], links, neighbours, ports)


def _pairs(
    scene: Scene,
    chosen: list[tuple[Window, int]],
    links: Chain,
    neighbours: int,
    ports: Sequence[Port],
    guide: Guide | None = None,
) -> _Windows:
    """Windows of frames, cut and degraded, with the same random parameters each time."""
    fine, coarse, others = [], [], []
    margin = links.margin
    for index, (window, frame) in enumerate(chosen):
        read, places = around(slice(frame, frame + 1), scene.shape[0], neighbours, scene.grid.planes)
        larger = scene.tensor(window.grown(margin), read)
        rng = np.random.default_rng(index)
        drawn = links.draw(rng)
        if guide is not None:
            seen = guide.of(larger, guide.draw(rng, (), 1.0, 0.0))
            seen = seen[..., margin:-margin, margin:-margin] if margin else seen
            larger = larger[:, : guide.own]
        fine.append((larger[..., margin:-margin, margin:-margin] if margin else larger)[places[0, neighbours]])
        low = links.reduce(larger, drawn)
        coarse.append(links.disturb(low, drawn)[places[0]])
        made = {ports[0].name: seen} if guide is not None else marked(ports, links, low, drawn)
        others.append({name: part[places[0, neighbours]] for name, part in made.items()})
    if not chosen:
        return _Windows(torch.empty(0), torch.empty(0))
    beside = {port.name: torch.stack([made[port.name] for made in others]) for port in ports}
    return _Windows(torch.stack(fine), torch.stack(coarse), beside)


def _side(scene: Scene, scale: int, length: int) -> int:
    side = length // scale * scale
    if side == 0:
        raise RecipeError(
            f"the validation scene {scene.name} of {scene.shape[3]} × {scene.shape[2]} pixels",
            f"at least {scale} × {scale}",
            "leave it out",
        )
    return side
