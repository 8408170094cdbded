"""The figures of a scene, and whether they are usual for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.fitness.figures import ABOUT, Range
from geomedsr.fitness.measures import MEASURES
from geomedsr.fitness.sampling import seen_of
from geomedsr.models.descriptor import Descriptor
from geomedsr.scene.scene import Scene

#: The percentiles of figures over scenes that make a usual range.
_USUAL = (5, 95)

#: The most bands that are looked at, spread over all.
_BANDS = 4


@dataclass(frozen=True)
class Fitness:
    """The figures of a scene by name, medians over bands, and the usual ranges of a model's; empty without a model.

    A figure is missing if it cannot be told: of a small scene, of floats, or in another domain.
    """

    scene: str
    figures: Mapping[str, float]
    model: str = ""
    usual: Mapping[str, Range] | None = None

    def limits(self, name: str) -> Range | None:
        """Below the first and above the second, a figure is unusual; None if the model's card has no range of it."""
        ends = (self.usual or {}).get(name)
        return None if ends is None else ABOUT[name].limits(ends)

    @property
    def unusual(self) -> list[str]:
        """The figures outside their limits, in the order of :data:`geomedsr.fitness.figures.ABOUT`."""
        found = []
        for name, value in self.figures.items():
            ends = self.limits(name)
            if ends is not None and not ends[0] <= value <= ends[1]:
                found.append(name)
        return found

    @property
    def warning(self) -> str | None:
        """What is unusual, in a line; None if nothing is."""
        if not self.unusual:
            return None
        parts = [self._told(name) for name in self.unusual]
        return f"{self.scene} is unlike what {self.model} knows: {'; '.join(parts)}; see `geomedsr info --fitness`"

    def _told(self, name: str) -> str:
        assert self.usual is not None
        about, value, ends = ABOUT[name], self.figures[name], self.usual[name]
        why = about.too_low if value < ends[0] else about.too_high
        return f"{about.title} {about.words(value)}, usual {about.words_of(ends)} ({why})"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Each figure: what it is, and its value beside the usual range, in words."""
        found = []
        for name, value in self.figures.items():
            about, ends = ABOUT[name], (self.usual or {}).get(name)
            text = about.words(value)
            if ends is not None:
                text += f" (usual {about.words_of(ends)})" + (" UNUSUAL" if name in self.unusual else "")
            found.append((about.title, text))
        return found

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        usual = self.usual or {}
        return {
            "scene": self.scene,
            "model": self.model or None,
            "figures": {
                name: {
                    "value": value,
                    "usual": list(usual[name]) if name in usual else None,
                    "about": ABOUT[name].title,
                }
                for name, value in self.figures.items()
            },
            "unusual": self.unusual,
        }


def fitness(scene: Scene, model: str = "", usual: Mapping[str, Range] | None = None) -> Fitness:
    """Measure a scene, on windows spread over it; ``usual`` are the ranges on the card of ``model``.

    Raises:
        InputError: the scene has no continuous band.
    """
    bands = [i for i, band in enumerate(scene.bands) if band.kind == "continuous"]
    if not bands:
        raise InputError(f"{scene.name} without a continuous band", "values to measure", "leave --fitness out")
    picked = sorted({bands[int(i)] for i in np.linspace(0, len(bands) - 1, _BANDS)})
    found: dict[str, list[float]] = {}
    for seen in seen_of(scene, picked):
        for name, measure in MEASURES.items() if seen.windows else ():
            domains = ABOUT[name].domains
            value = measure(seen) if not domains or scene.domain in domains else None
            if value is not None and np.isfinite(value):
                found.setdefault(name, []).append(value)
    figures = {name: float(np.median(found[name])) for name in ABOUT if name in found}
    return Fitness(scene.name, figures, model, usual)


def fitness_for(scene: Scene, card: Descriptor) -> Fitness:
    """The figures of a scene as a model sees it, beside the usual ranges on the model's card.

    Raises:
        InputError: the scene has no continuous band.
    """
    scene = replace(scene, scale=None) if scene.scale is not None and scene.scale.origin == "given" else scene
    if card.value_scale == "physical":
        scene = scene.with_physical_range(*card.value_range)
    return fitness(scene, card.name, card.usual.figures)


def unlike(scene: Scene, card: Descriptor) -> Fitness | None:
    """The figures of a scene beside a card's usual ranges; None if it has none, or no band can be measured."""
    if not card.usual.figures or all(band.kind != "continuous" for band in scene.bands):
        return None
    return fitness_for(scene, card)


def ranges_of(measured: Sequence[Fitness]) -> dict[str, Range]:
    """The usual range of each figure over scenes: their 5th and 95th percentile."""
    found = {}
    for name in ABOUT:
        values = [one.figures[name] for one in measured if name in one.figures]
        if values:
            low, high = (float(v) for v in np.percentile(values, _USUAL))
            found[name] = (low, high)
    return found
