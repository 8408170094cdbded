"""What a scene is besides its pixels, as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from affine import Affine

from geomedsr.errors import InputError
from geomedsr.geometry.grid import ControlPoint, Grid, Plane
from geomedsr.scene.scene import Band, Scene


def facts_of(scene: Scene) -> dict[str, Any]:
    """All that :func:`described` needs: place, bands, tags.

    Raises:
        InputError: a stack of dates, whose places no detail file holds.
    """
    if scene.frames is not None:
        raise InputError(
            f"{scene.name}, a stack along {scene.frames.name}", "one image, or slices", "take its dates one by one"
        )
    return {
        "name": scene.name,
        "domain": scene.domain,
        "grid": _plain(scene.grid),
        "bands": [_band(band) for band in scene.bands],
        "tags": {name: dict(tags) for name, tags in scene.tags.items()},
        "provenance": dict(scene.provenance),
        "rescale": scene.rescale,
    }


def described(facts: Mapping[str, Any], **more: Any) -> Scene:
    """The scene of such facts; ``more`` are its source and its files.

    Raises:
        ValueError, TypeError, KeyError, LookupError: they are none.
    """
    grid, bands = dict(facts["grid"]), facts["bands"]
    grid["shape"] = tuple(grid["shape"])
    grid["affine"] = None if grid["affine"] is None else Affine(*grid["affine"][:6])
    grid["gcps"] = tuple(ControlPoint(**point) for point in grid["gcps"])
    grid["planes"] = tuple(map(_plane, grid["planes"]))
    return Scene(
        grid=Grid(**grid),
        bands=tuple(Band(**_of_band(band)) for band in bands),
        name=str(facts["name"]),
        domain=str(facts["domain"]),
        tags=facts["tags"],
        provenance=facts["provenance"],
        rescale=tuple((float(slope), float(offset)) for slope, offset in facts["rescale"]),
        **more,
    )


def _plain(grid: Grid) -> dict[str, Any]:
    found = asdict(grid)
    found["affine"] = None if grid.affine is None else list(grid.affine[:6])
    return found


def _plane(facts: Mapping[str, Any]) -> Plane:
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    return Plane(**given)


def _band(band: Band) -> dict[str, Any]:
    found = asdict(band)
    found["palette"] = None if band.palette is None else [[key, list(colour)] for key, colour in band.palette.items()]
    return found


def _of_band(facts: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(facts)
    palette, limits = found["palette"], found["limits"]
    found["palette"] = None if palette is None else {key: tuple(colour) for key, colour in palette}
    found["limits"] = None if limits is None else tuple(limits)
    return found
