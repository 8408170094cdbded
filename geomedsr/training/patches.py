"""Pairs of patches from high-resolution scenes, as a torch ``Dataset``: the draw is random, the cut is pure."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from geomedsr.degradations import AnyDegradation, BlockMean, Chain, chain
from geomedsr.errors import InputError, RecipeError
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Window
from geomedsr.models.ports import IMAGE, Port
from geomedsr.scene.bands import select_joint
from geomedsr.scene.context import around, as_channels
from geomedsr.scene.padding import read_reflected
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.training.augment import ZOOM_MARGIN, Augment, Change, padded, sharpen, zoomed
from geomedsr.training.guides import Guide, GuideDraw

#: What is drawn at once, by name: :data:`TARGET`, and the network's inputs by port.
Example = dict[str, torch.Tensor]

#: What the network is to make.
TARGET = "target"

#: How often to look for a window that is all data before giving up on a scene.
TRIES = 1000

#: Whole frames are brought down once and kept, up to so many bytes in all.
_KEPT = 2**29


@dataclass(frozen=True)
class Draw:
    """One random choice: scene and frame by position, the bands, a window, a change, the degradation's parameters; of
    scenes with a guide, how that is made, and how bands that are seen together are mixed.
    """

    scene: int
    frame: int
    bands: slice
    window: Window
    change: Change = field(default_factory=Change)
    degradation: tuple[Any, ...] = (None,)
    guide: GuideDraw = field(default_factory=GuideDraw)
    spectrum: Array | None = None


class Drawn(Dataset[Example], ABC):
    """Patches by index: each a pure function of the seed and the index; large sources are drawn from more often."""

    seed: int
    length: int
    weights: Array

    @abstractmethod
    def fine(self, which: int) -> Scene:
        """The scene in high resolution that a source is or has."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, which: int) -> Draw:
        """A random choice in a source; the window may hold pixels without data."""

    @abstractmethod
    def cut(self, draw: Draw) -> Example | None:
        """The patches of a draw; None where they are of no use."""

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.length:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, index))
        which = int(rng.choice(len(self.weights), p=self.weights))
        for _ in range(TRIES):
            pair = self.cut(self.draw(rng, which))
            if pair is not None:
                return pair
        raise nearly_empty(self.fine(which))


class Patches(Drawn):
    """Square patches of ``size`` pixels of some scenes, each with the coarse image made from it.

    Item ``i`` is ``{"target": fine, "image": coarse}``, normalised float32 ``(C, size, size)`` and
    ``(C, size / s, size / s)``, or ``((2k + 1) · C, size / s, size / s)`` where ``k`` neighbours are seen, and then the
    network's other inputs: a pure function of ``seed`` and ``i``. A scene is chosen with a weight that grows as the
    root of its number of values, so that large scenes lead without drowning small ones. Usable alone, in a
    ``DataLoader`` too.

    Args:
        scenes: rasters, series or volumes; bands of kind ``"nearest"`` are left out.
        size: the side of a patch in high-resolution pixels.
        scale: how many times coarser the coarse image is.
        degradation: a reduction, and disturbances after it.
        channels: 1 draws single bands; otherwise each scene must have so many, and they stay together.
        bands: the names of those, found in each scene wherever they are, and cut in this order; others are left out.
        neighbours: how many frames before and after are made coarse too: of the same window, changed and degraded by
            the same draw, each with noise of its own. See :mod:`geomedsr.scene.context`.
        ports: the network's inputs besides the image: masks of what the degradation breaks, by name, for each band or,
            where they have one band, for all together.
        guides: of each scene, which of its bands are a guide (:mod:`geomedsr.training.guides`); none for networks
            without.
        augment: what is changed at random.
        above: a normalised value; patches of which less than a ``share`` lies above it are not drawn.
        share: see ``above``.
        seed: the random seed.
        length: how many items there are.

    Raises:
        RecipeError: a scene is smaller than a patch or has another number of bands; when an item is asked for, a scene
            holds hardly a window of data, or of foreground.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        size: int,
        scale: int,
        degradation: Sequence[AnyDegradation] = (BlockMean(),),
        *,
        channels: int = 1,
        bands: Sequence[str] = (),
        neighbours: int = 0,
        ports: Sequence[Port] = (),
        guides: Sequence[Guide] = (),
        augment: Augment | None = None,
        above: float = 0.0,
        share: float = 0.0,
        seed: int = 0,
        length: int = 1_000_000,
    ) -> None:
        channels = len(bands) or channels
        self.guides = list(guides)
        self.scenes = list(scenes) if guides else [training_bands(scene, channels, bands) for scene in scenes]
        self.size, self.scale, self.channels, self.neighbours = size, scale, channels, neighbours
        self.chain, self.ports = chain(degradation, scale), tuple(ports)
        self.augment = augment or Augment()
        self.above, self.share, self.seed, self.length = above, share, seed, length
        if not self.scenes or size % scale:
            raise RecipeError(
                f"{len(self.scenes)} scenes, patches of {size} and a scale of {scale}",
                "at least one scene, and patches that the scale divides",
                "correct them",
            )
        odd = "zoom" if self.augment.zoom != (1.0, 1.0) else "padding" if self.augment.padding else None
        if self.chain.reduction.whole and odd:
            raise RecipeError(
                f"augment.{odd} for frames that are reduced whole ({self.chain.reduction.kind})",
                "a reduction of patches, such as block-mean",
                f"leave {odd} out",
            )
        for scene in self.scenes:
            if min(whole(scene, scale).height, whole(scene, scale).width) < size:
                raise RecipeError(
                    f"{scene.name} of {scene.shape[3]} × {scene.shape[2]} pixels",
                    f"scenes of at least {size} × {size}",
                    "leave it out, or make `patch` smaller",
                )
        weights = np.sqrt([float(np.prod(scene.shape)) for scene in self.scenes])
        self.weights = weights / weights.sum()
        self._frames: dict[tuple[int, int, int, int, float], torch.Tensor] = {}

    def fine(self, scene: int) -> Scene:
        """The scene of a draw."""
        return self.scenes[scene]

    def draw(self, rng: np.random.Generator, scene: int) -> Draw:
        """A random choice in a scene; the window may hold pixels without data."""
        frames, count, height, width = self.scenes[scene].shape
        bands = self.guides[scene].own if self.guides else count
        zoom = self.augment.draw_zoom(rng)
        side = math.ceil(self.size / zoom)
        if side > min(height, width):  # no room for so large a window
            zoom, side = 1.0, self.size
        col, row = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        if self.chain.reduction.whole:  # its coarse pixels lie where they lie
            col, row = col // self.scale * self.scale, row // self.scale * self.scale
        band = int(rng.integers(bands))
        draw = Draw(
            scene,
            int(rng.integers(frames)),
            slice(band, band + 1) if self.channels == 1 else slice(0, bands),
            Window(col, row, side, side),
            self.augment.draw(rng, zoom, self.augment.draw_padding(rng, self.size, self.scale)),
            self.chain.draw(rng),
        )
        if not self.guides:
            return draw
        line, sharpness = self.augment.draw(rng), self.augment.guide_sharpness
        guide = self.guides[scene].draw(rng, sharpness, line.gain, line.offset)
        return replace(draw, guide=guide, spectrum=self.augment.draw_spectrum(rng, count))

    def cut(self, draw: Draw) -> Example | None:
        """The patch of a draw and its coarse image; None where a pixel is no data, of neighbours too, or too few are
        foreground.
        """
        scene, margin, change = self.scenes[draw.scene], self.chain.margin, draw.change
        frames, places = around(slice(draw.frame, draw.frame + 1), scene.shape[0], self.neighbours, scene.grid.planes)
        own = int(places[0, self.neighbours])
        blur = 1 if change.sharpness or draw.guide.sharpness else 0
        guide = self.guides[draw.scene] if self.guides else None
        together = draw.bands if guide is None else slice(None)
        around_patch = margin + blur
        extent = (
            around_patch if change.zoom == 1 else math.ceil((around_patch + ZOOM_MARGIN) / change.zoom) + ZOOM_MARGIN
        )
        stored, valid = read_reflected(scene.source, Box.of(frames, draw.window.grown(extent)))
        if not valid[:, together].all():
            return None
        larger = scene.values.normalise(stored, frames)[:, together]
        if draw.spectrum is not None:
            larger = torch.einsum("dc,fcyx->fdyx", torch.from_numpy(draw.spectrum).float(), larger - 0.5) + 0.5
        if change.zoom != 1:
            larger = zoomed(larger, change.zoom, self.size + 2 * around_patch)
        others = {}
        if guide is not None:
            seen = guide.of(larger, draw.guide)
            seen = seen[..., around_patch:-around_patch, around_patch:-around_patch] if around_patch else seen
            others[self.ports[0].name] = change.turned(seen[own]).contiguous()
            larger = larger[:, draw.bands]
        if blur:
            larger = sharpen(larger, change.sharpness)[..., 1:-1, 1:-1]
        larger = padded(larger, change, margin)
        fine = (larger[..., margin:-margin, margin:-margin] if margin else larger)[own]
        if self.share and float((fine > self.above).float().mean()) < self.share:
            return None
        if self.chain.reduction.whole:
            kept = (draw.bands.start, draw.bands.stop, change.sharpness)
            coarse = torch.cat([self._reduced_frame(draw.scene, i, *kept) for i in range(frames.start, frames.stop)])
            row, col, side = (n // self.scale for n in (draw.window.row, draw.window.col, self.size))
            coarse = coarse[..., row : row + side, col : col + side]
        else:
            coarse = self.chain.reduce(larger, draw.degradation)
        seen = as_channels(self.chain.disturb(coarse, draw.degradation), places)[0]
        made = {} if guide else marked(self.ports, self.chain, coarse, draw.degradation)
        others |= {name: change.turned(marks[own]).contiguous() for name, marks in made.items()}
        return {TARGET: change.move(fine), IMAGE: change.move(seen), **others}

    def _reduced_frame(self, scene: int, frame: int, first: int, stop: int, sharpness: float) -> torch.Tensor:
        """The coarse image of a whole frame, ``(1, C, H, W)``; the last ones are kept."""
        key = (scene, frame, first, stop, sharpness)
        if key not in self._frames:
            source = self.scenes[scene]
            fine = source.tensor(whole(source, self.scale).grown(1), slice(frame, frame + 1))[:, first:stop]
            coarse = self.chain.reduce(sharpen(fine, sharpness)[..., 1:-1, 1:-1], (None,))
            while self._frames and (len(self._frames) + 1) * coarse.nbytes > _KEPT:
                del self._frames[next(iter(self._frames))]
            self._frames[key] = coarse
        return self._frames[key]


def marked(ports: Sequence[Port], links: Chain, coarse: torch.Tensor, drawn: tuple[Any, ...]) -> Example:
    """What inputs besides the image are, of a coarse image ``(B, C, H, W)`` before it is disturbed by a draw."""
    if not ports:
        return {}
    made = links.marks(coarse, drawn)
    return {p.name: made[p.name].amax(1, keepdim=True) if p.bands else made[p.name] for p in ports}


def nearly_empty(scene: Scene) -> RecipeError:
    """What to say of a scene in which no window was found."""
    return RecipeError(
        f"the scene {scene.name}, which is nearly all nodata or background",
        "windows of data",
        "leave it out, or choose another window of it",
    )


def training_bands(scene: Scene, channels: int, bands: Sequence[str] = ()) -> Scene:
    """The scene's bands that are not classes or flags; or those of some names, in that order.

    Raises:
        RecipeError: there are none, not as many as a network of several channels wants, or bands cannot be identified.
    """
    if bands:
        try:
            return select_joint(scene, bands, "generator.bands")
        except InputError as error:
            example = ", ".join(f"{band}={i}" for i, band in enumerate(bands, 1))
            remedy = f"say which is which in its entry (pairs: fine_bands and coarse_bands), as in bands: [{example}]"
            raise RecipeError(error.got, error.expected, remedy) from error
    picks = [i for i, band in enumerate(scene.bands, 1) if band.kind == "continuous"]
    if not picks or (channels > 1 and len(picks) != channels):
        raise RecipeError(
            f"{scene.name} of {len(picks)} band{'s' * (len(picks) != 1)} (classes and flags not counted)",
            f"{channels} in every scene" if channels > 1 else "at least one",
            "name them with `bands` (pairs: `fine_bands`, `coarse_bands`), leave it out, or set channels to 1",
        )
    return scene if len(picks) == len(scene.bands) else scene.select(picks)


def whole(scene: Scene, scale: int) -> Window:
    """The largest window of a scene, from its first pixel, that divides by the scale."""
    return Window(0, 0, scene.shape[3] // scale * scale, scene.shape[2] // scale * scale)
