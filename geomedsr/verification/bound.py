"""The operator of a written result, bound to the known inputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from geomedsr import operators
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.profile import Profile
from geomedsr.io import open_scene
from geomedsr.models.ports import IMAGE
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, CroppedSource, cropping


@dataclass(frozen=True)
class Bound:
    """The operator of a result, bound to the inputs that are given.

    ``computed`` are the bands that went through the model, ``carried`` the bands that were carried over. ``lacking``
    are inputs that the operator needs but that are not given.
    """

    operator: operators.Operator
    computed: tuple[int, ...]
    carried: tuple[int, ...]
    lacking: tuple[str, ...]

    @classmethod
    def of(cls, provenance: Provenance, source: Scene, others: Mapping[str, Scene]) -> Bound:
        """The operator that a result's provenance names."""
        operator = operators.get(provenance.agreement.operator or operators.BlockMean.name)
        count = source.shape[1]
        ranges = provenance.ranges if provenance.ranges and len(provenance.ranges) == count else (True,) * count
        computed = tuple(i for i, band_range in enumerate(ranges) if band_range is not None)
        carried = tuple(i for i, band_range in enumerate(ranges) if band_range is None)
        if computed:
            image = source if not carried else source.select([i + 1 for i in computed])
            image = replace(image, profile=profile_of(provenance))
            operator = operator.bind({IMAGE: image, **others})
        return cls(operator, computed, carried, tuple(name for name in operator.needs if name not in others))

    @property
    def asked(self) -> str:
        """The command-line options that would give the missing inputs."""
        return " ".join(f"--input {name}=FILE" for name in self.lacking)

    def valid(self, box: Box, valid: Array) -> Array:
        """Where a result is data, on the source's grid, given where the source is."""
        made = valid.copy()
        made[:, list(self.computed)] = self.operator.valid(box, made[:, list(self.computed)])
        return made

    def optional(self, box: Box, valid: Array) -> Array | None:
        """Where a result may be data or not, on the source's grid; None where that is settled."""
        found = self.operator.optional(box, valid[:, list(self.computed)]) if self.computed else None
        if found is None:
            return None
        free = np.zeros(valid.shape, bool)
        free[:, list(self.computed)] = found
        return free


def profile_of(provenance: Provenance) -> Profile | None:
    """How slices were taken to see what lies along their normal, where a result tells it."""
    width = provenance.agreement.profile
    try:
        return None if width is None else Profile(width)
    except ValueError:  # no such bell
        return None


def others_of(
    inputs: Mapping[str, str | os.PathLike[str] | Scene], whole: Scene, part: Scene, provenance: Provenance
) -> dict[str, Scene]:
    """A model's other inputs, cropped like the result if they cover the whole source.

    Raises:
        InputError: an input cannot be opened, is unknown to the result's model, or does not fit.
    """
    found, known = {}, provenance.model.inputs
    for name, given in inputs.items():
        if known is not None and name not in known:
            raise InputError(f"the input {name}", f"one of {', '.join(known)}, which the result names", "leave it out")
        scene = given if isinstance(given, Scene) else open_scene(given, force=True)
        window, factors = cropping(part.source), Factors.between(whole.shape, scene.shape)
        if window is not None and factors is not None:
            there = Box.of(0, window).refined(factors).window
            scene = replace(scene, source=CroppedSource(scene.source, there), grid=scene.grid.cropped(there))
        elif Factors.between(part.shape, scene.shape) is None:
            (frames, _, height, width), (frames2, _, height2, width2) = part.shape, scene.shape
            raise InputError(
                f"{scene.name} of {frames2} × {height2} × {width2} as {name}",
                f"{frames} × {height} × {width} frames, rows and columns, or whole times as many",
                "give the file that the result was made with",
            )
        found[name] = scene
    return found
