"""What each band of a scene shows: as the user says, by the file's colour interpretation, or by the bands' names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from geomedsr.errors import InputError
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sensors import landsat, sentinel2

#: Roles that can be identified from names without doubt.
COLOURS = ("red", "green", "blue", "nir")

#: Sentinel-2's band names, zero-padded; HLS uses the same for the visible bands.
_PADDED = {
    colour: name.casefold() for colour in COLOURS for name, band in sentinel2.SPECTRAL.items() if band.common == colour
}

#: Unpadded names, the same for Landsat 8 and 9 and for Sentinel-2. Near infrared is left out: it differs between them.
_UNPADDED = {
    colour: f"b{number}" for colour in COLOURS[:3] for number, band in landsat.SPECTRAL.items() if band.common == colour
}

#: Names of Landsat 8 and 9 and of Sentinel-2 that Landsat 4 to 7, whose B1 is blue, do not have.
_LATER = {
    *(f"b{number}" for number in landsat.SPECTRAL),
    *(f"b{name[1:].lstrip('0')}".casefold() for name in sentinel2.SPECTRAL),
} - {f"b{number}" for number in landsat.EARLIER}

_PREFIX = re.compile(r"^(?:sr|toa|boa)[ _-]*")


def colours(bands: Sequence[Band]) -> dict[str, int]:
    """Positions of ``red``, ``green``, ``blue`` and ``nir``: as the user says, or where there is no doubt."""
    usable = {i: band for i, band in enumerate(bands) if band.kind == "continuous"}
    roles = _roles(usable)
    said = {role: i for role, i in roles.items() if role in COLOURS}
    if "nir" not in said and "nir08" in roles:  # STAC's name for a narrow near infrared, such as Landsat's
        said["nir"] = roles["nir08"]
    for rule in (_by_interpretation, _by_word, _by_number):
        found = rule(usable)
        if {"red", "green", "blue"} <= found.keys():
            return {colour: i for colour, i in found.items() if i not in said.values()} | said
    return said


def find(bands: Sequence[Band], wanted: Sequence[str]) -> dict[str, int]:
    """Positions of the ``wanted`` bands, by what they show, such as ``red``, or else by their own name.

    What the user says (see :meth:`geomedsr.Scene.select`) takes precedence over names and colour interpretation. Case
    does not matter. Bands that cannot be identified are left out, and so are classes and flags.
    """
    usable = {i: band for i, band in enumerate(bands) if band.kind == "continuous"}
    names = {i: band.name.casefold() for i, band in usable.items()}
    zeros = _by_number(usable) if _names(usable) & set(_PADDED.values()) else {}  # padded names are unambiguous
    own = _unique(names, [word.casefold() for word in wanted])
    places = (own, _by_word(usable), zeros, colours(bands), _roles(usable))
    known = {word: i for place in places for word, i in place.items()}
    return {word: known[word.casefold()] for word in wanted if word.casefold() in known}


def joint(scene: Scene, wanted: Sequence[str], whose: str) -> tuple[int, ...]:
    """Positions of all ``wanted`` bands, in that order; see :func:`find`.

    Raises:
        InputError: a band cannot be identified, or two of them are the same band.
    """
    found = find(scene.bands, wanted)
    missing = [word for word in wanted if word not in found]
    if missing:
        names = ", ".join(band.name for band in scene.bands[:20])
        roles = ",".join(f"{word}={scene.bands[found[word]].name if word in found else 'BAND'}" for word in wanted)
        raise InputError(
            f"{scene.name}, whose bands {names} do not identify {', '.join(missing)}, for {whose}",
            f"one band each for {', '.join(wanted)}",
            f"say which is which, by --bands or scene.select: {roles}",
        )
    places = tuple(found[word] for word in wanted)
    if len(set(places)) < len(places):
        twice = [word for word in wanted if places.count(found[word]) > 1]
        raise InputError(
            f"{scene.name}, whose band {scene.bands[found[twice[0]]].name} is {' and '.join(twice)}, for {whose}",
            f"one band each for {', '.join(wanted)}",
            "say which is which, by --bands or scene.select, as in red=3,nir=4",
        )
    return places


def select_joint(scene: Scene, wanted: Sequence[str], whose: str) -> Scene:
    """The scene with the ``wanted`` bands alone, in that order, each with its role; see :func:`joint`.

    Raises:
        InputError: a band cannot be identified, or two of them are the same band.
    """
    picked = scene.select([i + 1 for i in joint(scene, wanted, whose)])
    bands = tuple(replace(band, role=word.casefold()) for band, word in zip(picked.bands, wanted, strict=True))
    return replace(picked, bands=bands)


def listed(numbers: Sequence[Any], length: int) -> Sequence[int] | None:
    """Which entries of a per-band attribute of ``length`` entries belong to an array's bands; None if unknown.

    ``numbers`` are the band numbers from 1 that stores and rioxarray keep in a coordinate. xarray selects them together
    with the bands, but it does not shorten attributes. If they are not such numbers, entries are taken in order,
    provided that there are as many as bands.
    """
    if all(number in range(1, length + 1) for number in numbers):
        return [int(number) - 1 for number in numbers]
    return range(length) if length == len(numbers) else None


def _roles(bands: dict[int, Band]) -> dict[str, int]:
    """Roles given by the user, now or in the file; a role that two bands have is left out."""
    roles = [band.role for band in bands.values()]
    return {band.role: i for i, band in bands.items() if band.role is not None and roles.count(band.role) == 1}


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
    names = {i: _short(band) for i, band in bands.items()}
    known = _names(bands)
    table = _PADDED
    if not known & set(_PADDED.values()):
        if "b1" in known and not known & _LATER:  # Landsat 4 to 7, perhaps
            return {}
        table = _UNPADDED
    reverse = {number: colour for colour, number in table.items()}
    return _unique({i: reverse.get(name, "") for i, name in names.items()}, tuple(table))


def _names(bands: dict[int, Band]) -> set[str]:
    return {_short(band) for band in bands.values()}


def _short(band: Band) -> str:
    return _PREFIX.sub("", band.name.casefold().strip())


def _unique(words: dict[int, str], wanted: Sequence[str]) -> dict[str, int]:
    found = {}
    for colour in wanted:
        places = [i for i, word in words.items() if word == colour]
        if len(places) == 1:
            found[colour] = places[0]
    return found


def continuous(scene: Scene) -> Scene:
    """The scene without bands of classes, flags and alpha."""
    picks = [i for i, band in enumerate(scene.bands, 1) if band.kind == "continuous"]
    return scene if len(picks) == len(scene.bands) else scene.select(picks)
