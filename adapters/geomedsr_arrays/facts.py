"""The metadata in a file of arrays: a scene without its pixels, as JSON text in a separate array.

A ``.npz`` holds the arrays ``values``; ``valid``, if not all pixels are data; and ``geomedsr``, the text. A ``.npy``
holds them one after the other, as written by several calls of ``numpy.save`` on an open file; ``numpy.load`` returns
the first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
from affine import Affine

from geomedsr.geometry import Box
from geomedsr.geometry.grid import ControlPoint, Grid, Plane
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Array

#: The names of the arrays.
VALUES, VALID, FACTS = "values", "valid", "geomedsr"


def facts_of(scene: Scene) -> Array:
    """The metadata of a scene as text, in an array without axes."""
    grid, scale = scene.grid, scene.scale
    facts = {
        "name": scene.name,
        "domain": scene.domain,
        "bands": [{key: _plain(getattr(band, key)) for key in _BAND} for band in scene.bands],
        "tags": {namespace: dict(tags) for namespace, tags in scene.tags.items()},
        "provenance": dict(scene.provenance),
        "rescale": scene.rescale,
        "scale": None if scale is None else asdict(scale),
        "affine": None if grid.affine is None else tuple(grid.affine)[:6],
        "crs": grid.crs,
        "gcps": [asdict(point) for point in grid.gcps],
        "gcp_crs": grid.gcp_crs,
        "rpcs": None if grid.rpcs is None else dict(grid.rpcs),
        "planes": [asdict(plane) for plane in grid.planes],
    }
    return np.array(json.dumps(facts))


def described(text: str, shape: tuple[int, int]) -> dict[str, Any]:
    """The fields of a scene of shape ``(height, width)`` from its text: all but the source.

    Raises:
        ValueError, KeyError, TypeError: the text is not such metadata.
    """
    facts = json.loads(text)
    affine, tags = facts["affine"], facts["tags"]
    tags.setdefault("", {}).update(facts["provenance"])
    return {
        "name": facts["name"],
        "domain": facts["domain"],
        "bands": tuple(_band(band) for band in facts["bands"]),
        "tags": {namespace: values for namespace, values in tags.items() if values},
        "rescale": _tuples(facts["rescale"]),
        "scale": facts["scale"] and ValueScale(**{key: _tuples(value) for key, value in facts["scale"].items()}),
        "grid": Grid(
            shape=shape,
            affine=None if affine is None else Affine(*affine),
            crs=facts["crs"],
            gcps=tuple(ControlPoint(**point) for point in facts["gcps"]),
            gcp_crs=facts["gcp_crs"],
            rpcs=facts["rpcs"],
            planes=tuple(Plane(**{key: _tuples(value) for key, value in plane.items()}) for plane in facts["planes"]),
        ),
    }


def save(scene: Scene, path: str | os.PathLike[str]) -> None:
    """Write a scene that fits into memory as a compressed ``.npz``, for training where its own files cannot be read.

    The value scale is saved with it, measured if needed, so that crops made later have the same scale.
    :func:`geomedsr.write` is for results: it works region by region, and does not compress.
    """
    everything = Box.whole(scene.shape)
    values, valid = scene.source.read(everything), scene.source.valid(everything)
    arrays: dict[str, Any] = {VALUES: values, FACTS: facts_of(replace(scene, scale=scene.values))}
    if not valid.all():
        arrays[VALID] = valid
    np.savez_compressed(path, **arrays)


_BAND = tuple(field.name for field in fields(Band))


def _band(fields: Mapping[str, Any]) -> Band:
    palette, limits = fields["palette"], fields["limits"]
    changed = {
        "palette": palette and {int(value): tuple(colour) for value, colour in palette.items()},
        "limits": limits and tuple(limits),
    }
    return Band(**{**fields, **changed})


def _plain(value: Any) -> Any:
    """A value in the types of JSON: NumPy's numbers as Python's, mappings as dicts."""
    if isinstance(value, np.generic):
        return value.item()
    return {str(k): _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _tuples(value: Any) -> Any:
    """A value with all nested lists turned into tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
