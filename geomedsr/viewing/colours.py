"""The bands of a scene that are shown as red, green and blue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geomedsr.errors import InputError
from geomedsr.scene.bands import colours
from geomedsr.scene.scene import Scene

#: Composites by name: the roles that they show as red, green and blue.
COMPOSITES = {"true colour": ("red", "green", "blue"), "false colour": ("nir", "red", "green")}


@dataclass(frozen=True)
class View:
    """The bands to show: one as grey, or three as red, green and blue, by position."""

    name: str
    bands: tuple[int, ...]


def views(scene: Scene) -> list[View]:
    """True and false colour if their bands are identified, then each band."""
    found = colours(scene.bands)
    composites = [
        View(name, tuple(found[c] for c in wanted))
        for name, wanted in COMPOSITES.items()
        if all(c in found for c in wanted)
    ]
    return composites + [View(band.name, (i,)) for i, band in enumerate(scene.bands)]


def view_of(scene: Scene, bands: str | int | Sequence[str | int] | None = None) -> View:
    """The requested view: a composite by name, one band, or three; by default true colour, else the first band.

    Raises:
        InputError: no such band, neither one band nor three, or a composite whose bands are not identified.
    """
    if bands is None:
        first = next((v for v in views(scene) if len(v.bands) == 3), None)
        return first or View(scene.bands[0].name, (0,))
    if isinstance(bands, str) and bands.casefold().replace("color", "colour") in COMPOSITES:
        name = bands.casefold().replace("color", "colour")
        found = colours(scene.bands)
        missing = [c for c in COMPOSITES[name] if c not in found]
        if missing:
            raise InputError(
                f"{name} of bands {', '.join(b.name for b in scene.bands[:20])}, which do not identify {missing[0]}",
                "names such as red, B04 or SR_B4, or the file's colour interpretation",
                "name three bands, red first",
            )
        return View(name, tuple(found[c] for c in COMPOSITES[name]))
    asked = [bands] if isinstance(bands, (str, int, np.integer)) else list(bands)
    if len(asked) not in (1, 3):
        raise InputError(f"{len(asked)} bands to show", "one, as grey, or three: red, green, blue", "name one or three")
    picks = tuple(scene.band_index(b) for b in asked)
    return View(", ".join(scene.bands[i].name for i in picks), picks)
