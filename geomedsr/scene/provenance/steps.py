"""The models of earlier passes: as data in results of today, as prose in those of earlier versions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from geomedsr.scene.provenance.texts import MOST_BANDS, positive, readable

#: More passes than anybody makes, and a larger factor than any.
_MOST, _LARGEST = 100, 9999


@dataclass(frozen=True)
class Step:
    """A pass of a model before the last one. Of a result of earlier versions the hash has 12 digits.

    ``bands`` are those that it made, by name, where others were made otherwise; ``guide`` tells how a guide was brought
    onto its grid. ``operator`` and the profile (:class:`geomedsr.scene.provenance.record.Agreement`) are those of new
    slices.
    """

    model: str
    version: str | None = None
    sha256: str | None = None
    factor: int | None = None
    frame_factor: int | None = None
    bands: tuple[str, ...] | None = None
    guide: str | None = None
    operator: str | None = None
    profile: float | None = None
    profile_origin: str | None = None

    def __str__(self) -> str:
        """A model and how much finer it made a scene, in a few words."""
        slices = f" x{self.frame_factor} slices" if self.frame_factor else ""
        return f"{self.model} {self.version or '?'} ({(self.sha256 or '?')[:12]}) x{self.factor or '?'}{slices}"


def prose(steps: Sequence[Step]) -> str:
    """The steps in words, for people; :func:`of_prose` reads those of earlier versions."""
    return ", ".join(map(str, steps))


def text(steps: Sequence[Step]) -> str:
    """The steps as JSON."""
    return json.dumps([{key: fact for key, fact in asdict(step).items() if fact is not None} for step in steps])


def of_text(text: str) -> tuple[Step, ...]:
    """The steps that JSON tells.

    Raises:
        ValueError, TypeError, RecursionError: it tells none.
    """
    found = json.loads(text)
    if not isinstance(found, list) or len(found) > _MOST:
        raise ValueError("no list of steps")
    return tuple(map(_step, found))


def _step(found: Any) -> Step:
    step = Step(**found)
    words = (step.version, step.sha256, step.guide, step.operator, step.profile_origin)
    if not all(fact is None or readable(fact) for fact in words) or not readable(step.model):
        raise ValueError("no step")
    factors = _factor(step.factor), _factor(step.frame_factor)
    profile = None if step.profile is None else positive(str(step.profile))
    bands = _bands(step.bands)
    return Step(
        step.model, step.version, step.sha256, *factors, bands, step.guide, step.operator, profile, step.profile_origin
    )


def _bands(found: Any) -> tuple[str, ...] | None:
    if found is None:
        return None
    if not isinstance(found, list) or not 0 < len(found) <= MOST_BANDS or not all(map(readable, found)):
        raise ValueError("no bands")
    return tuple(found)


def _factor(found: Any) -> int | None:
    if found is None or (type(found) is int and 1 <= found <= _LARGEST):
        return found
    raise ValueError("no factor")


#: A step as :func:`prose` tells it, up to the next one.
_STATED = re.compile(r"(.{1,200}?) (\S+) \(([0-9a-f]{1,12}|\?)\) x([1-9]\d{0,3}|\?)(?:, |$)", re.ASCII)


def of_prose(text: str) -> tuple[Step, ...]:
    """The steps that results of earlier versions tell in words alone.

    Raises:
        ValueError: these are no such words.
    """
    found: list[Step] = []
    place = 0
    while place < len(text):
        step = _STATED.match(text, place)
        if step is None or len(found) == _MOST:
            raise ValueError("no steps")
        model, version, sha256, factor = (None if fact == "?" else fact for fact in step.groups())
        found.append(Step(model or "?", version, sha256, None if factor is None else int(factor)))
        place = step.end()
    return tuple(found)
