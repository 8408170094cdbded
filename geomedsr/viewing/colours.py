"""Which bands of a scene become which colours, told by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from geomedsr.errors import InputError
from geomedsr.scene import Band, Scene

#: Views by name: the colours, red first, that they show as red, green and blue.
COMPOSITES = {"true colour": ("red", "green", "blue"), "false colour": ("nir", "red", "green")}

#: Sentinel-2's names, with their zeros; HLS has the same for what is visible.
_PADDED = {"red": "b04", "green": "b03", "blue": "b02", "nir": "b08"}

#: Names without zeros, of Landsat 8 and 9 and of Sentinel-2 alike; near infrared differs between those.
_UNPADDED = {"red": "b4", "green": "b3", "blue": "b2"}

#: Names by which Landsat 8 and 9 and Sentinel-2 are told from Landsat 4 to 7, whose B1 is blue.
_LATER = {"b8a", "b9", "b10", "b11", "b12"}

_PREFIX = re.compile(r"^(?:sr|toa|boa)[ _-]*")


@dataclass(frozen=True)
class View:
    """What is shown: one band as grey, or three as red, green and blue, by position."""

    name: str
    bands: tuple[int, ...]


def views(scene: Scene) -> list[View]:
    """True and false colour where names allow, then each band."""
    found = colours(scene.bands)
    composites = [
        View(name, tuple(found[c] for c in wanted))
        for name, wanted in COMPOSITES.items()
        if all(c in found for c in wanted)
    ]
    return composites + [View(band.name, (i,)) for i, band in enumerate(scene.bands)]


def view_of(scene: Scene, bands: str | int | Sequence[str | int] | None = None) -> View:
    """The view that is asked for: a composite's name, a band, or three; without one true colour, else the first band.

    Raises:
        InputError: no such band, a number of bands that is neither one nor three, or colours that names do not tell.
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
                f"{name} of bands {', '.join(b.name for b in scene.bands[:20])}, which do not tell {missing[0]}",
                "names such as red, B04 or SR_B4, or the file's colour interpretation",
                "name three bands, red first",
            )
        return View(name, tuple(found[c] for c in COMPOSITES[name]))
    asked = [bands] if isinstance(bands, (str, int)) else list(bands)
    if len(asked) not in (1, 3):
        raise InputError(f"{len(asked)} bands to show", "one, as grey, or three: red, green, blue", "name one or three")
    picks = tuple(scene.band_index(b) for b in asked)
    return View(", ".join(scene.bands[i].name for i in picks), picks)


def colours(bands: Sequence[Band]) -> dict[str, int]:
    """Positions of ``red``, ``green``, ``blue`` and ``nir``, those that can be told beyond doubt."""
    usable = {i: band for i, band in enumerate(bands) if band.kind == "continuous"}
    for told in (_by_interpretation, _by_word, _by_number):
        found = told(usable)
        if {"red", "green", "blue"} <= found.keys():
            return found
    return {}


def _by_interpretation(bands: dict[int, Band]) -> dict[str, int]:
    found = _unique({i: band.interpretation for i, band in bands.items()}, ("red", "green", "blue"))
    words = _by_word(bands)
    return found | ({"nir": words["nir"]} if "nir" in words else {})


def _by_word(bands: dict[int, Band]) -> dict[str, int]:
    words = {}
    for i, band in bands.items():
        texts = [_PREFIX.sub("", text.casefold().strip()) for text in (band.name, band.description or "")]
        words[i] = next((t for t in texts if t in ("red", "green", "blue", "nir")), "")
        words[i] = words[i] or next(("nir" for t in texts if t in ("nir08", "near infrared", "near-infrared")), "")
    return _unique(words, ("red", "green", "blue", "nir"))


def _by_number(bands: dict[int, Band]) -> dict[str, int]:
    names = {i: _PREFIX.sub("", band.name.casefold().strip()) for i, band in bands.items()}
    known = set(names.values())
    table = _PADDED
    if "b04" not in known:
        if "b1" in known and not known & _LATER:  # Landsat 4 to 7, perhaps
            return {}
        table = _UNPADDED
    reverse = {number: colour for colour, number in table.items()}
    return _unique({i: reverse.get(name, "") for i, name in names.items()}, tuple(table))


def _unique(words: dict[int, str], wanted: Sequence[str]) -> dict[str, int]:
    found = {}
    for colour in wanted:
        places = [i for i, word in words.items() if word == colour]
        if len(places) == 1:
            found[colour] = places[0]
    return found
