"""Bands of a result that were made in different ways: what each group of them is, as data."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from geomedsr.geometry import Factors
from geomedsr.scene.provenance.steps import Step
from geomedsr.scene.provenance.texts import MOST_BANDS, guessed, readable

#: More groups than anything makes, and a larger factor than any.
_MOST, _LARGEST = 20, 9999


@dataclass(frozen=True)
class Group:
    """Bands of a result that were made together, by name: how many times finer than their source, and by which model;
    without one they are the source's own, repeated. Where several models made them, one after the other, it is the
    last one. ``of`` is the input that they are of, where that is not the image.
    """

    bands: tuple[str, ...]
    factor: int = 1
    model: str | None = None
    version: str | None = None
    sha256: str | None = None
    operator: str | None = None
    of: str | None = None

    def of_bands(self, names: Container[str]) -> Group:
        """The same of some of its bands."""
        return replace(self, bands=tuple(band for band in self.bands if band in names))

    def step(self, guide: str | None) -> Step:
        """The pass that made it, if one did; ``guide`` tells how a guide was brought onto its grid."""
        return Step(self.model or "?", self.version, self.sha256, self.factor, bands=self.bands, guide=guide)

    def finer(self, step: Step, operator: str | None) -> Group:
        """The same, made finer once more by a pass of a model under an operator."""
        factor = self.factor * (step.factor or 1)
        return Group(self.bands, factor, step.model, step.version, step.sha256, operator, self.of)


def guesses(groups: Sequence[Group]) -> str | None:
    """What of a result is predicted, group by group, in words; None of one of which nothing is."""
    words = []
    for group in groups:
        if group.factor > 1 and group.model is not None:
            told = guessed(Factors.in_plane(group.factor))
            words.append(told.replace("of this image", f"of {', '.join(group.bands)}"))
    words[1:] = [word[0].lower() + word[1:] for word in words[1:]]
    return f"{'; '.join(words)}, not a measurement" if words else None


def text(groups: Sequence[Group]) -> str:
    """The groups as JSON."""
    return json.dumps([{key: fact for key, fact in asdict(group).items() if fact is not None} for group in groups])


def of_text(stored: str) -> tuple[Group, ...]:
    """The groups of JSON.

    Raises:
        ValueError, TypeError, RecursionError: it holds none.
    """
    found = json.loads(stored)
    if not isinstance(found, list) or not 0 < len(found) <= _MOST:
        raise ValueError("no list of groups")
    return tuple(map(_group, found))


def _group(found: Any) -> Group:
    group = Group(**found)
    words = (group.model, group.version, group.sha256, group.operator, group.of)
    if not isinstance(group.bands, list) or not 0 < len(group.bands) <= MOST_BANDS:
        raise ValueError("no bands")
    if not all(map(readable, group.bands)) or not all(word is None or readable(word) for word in words):
        raise ValueError("no group")
    if type(group.factor) is not int or not 1 <= group.factor <= _LARGEST:
        raise ValueError("no factor")
    return Group(tuple(group.bands), group.factor, *words)
