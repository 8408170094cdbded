"""Bands that were made in different ways as one scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from geomedsr.errors import InputError
from geomedsr.scene.joining import JoinedSource
from geomedsr.scene.nodata import same_nodata, unified
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.provenance.made_of import Group, guesses
from geomedsr.scene.scaling import ValueScale
from geomedsr.scene.scene import Scene


@dataclass(frozen=True)
class Made:
    """A scene on the result's grid: how many times finer it was made, and the input that it is of, if not the image."""

    scene: Scene
    factor: int = 1
    of: str | None = None

    @property
    def group(self) -> Group:
        """What provenance says of its bands."""
        names, provenance = tuple(band.name for band in self.scene.bands), self.scene.provenance
        if self.factor == 1:
            return Group(names, of=self.of)
        model = provenance.model
        return Group(
            names, self.factor, model.name, model.version, model.sha256, provenance.agreement.operator, self.of
        )


def joined(parts: Sequence[Made], like: Scene, provenance: Provenance, order: Sequence[str] = ()) -> Scene:
    """The bands of all parts as one scene.

    Args:
        parts: scenes on one grid, of one type.
        like: what the result has its tags, its domain and its name from.
        provenance: its own, but for the groups.
        order: names of bands that come first, in this order; others follow as the parts have them.

    Raises:
        InputError: a name twice, other types, or other nodata values.
    """
    bands = [band for part in parts for band in part.scene.bands]
    names = [band.name for band in bands]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(
            f"the band {twice} twice in {like.name}", "each name once", "name the bands in the files, or leave out one"
        )
    types = {str(part.scene.dtype) for part in parts}
    if len(types) > 1:
        raise InputError(
            f"bands of {' and '.join(sorted(types))} for one file, {like.name}",
            "one storage type",
            "convert one of the files with gdal_translate -ot, or leave --with-guide out",
        )
    if not same_nodata([b.nodata for b in bands], unified(bands)):
        values = ", ".join("none" if v is None else f"{v:g}" for v in dict.fromkeys(b.nodata for b in bands))
        raise InputError(
            f"bands of different nodata values ({values}) for one file, {like.name}",
            "one for all",
            "say it with --nodata VALUE, which holds for both",
        )
    places = sorted(range(len(names)), key=lambda i: order.index(names[i]) if names[i] in order else len(order))
    source = JoinedSource.of([part.scene.source for part in parts])
    groups = tuple(part.group for part in parts)
    ranges = [r for part in parts for r in (part.scene.provenance.ranges or (None,) * len(part.scene.bands))]
    return replace(
        like,
        source=source if places == list(range(len(names))) else source.select(places),
        grid=parts[0].scene.grid,
        bands=tuple(bands[i] for i in places),
        files=tuple(dict.fromkeys(file for part in parts for file in part.scene.files)),
        scale=_scale([part.scene.values for part in parts], places),
        provenance=replace(
            provenance,
            groups=groups,
            ranges=tuple(ranges[i] for i in places),
            note=guesses(groups),
        ),
        headers=None,
        parts=None,
    )


def _scale(scales: Sequence[ValueScale], places: Sequence[int]) -> ValueScale:
    """The scales of all bands."""
    low = tuple(end for scale in scales for end in scale.low[0])
    high = tuple(end for scale in scales for end in scale.high[0])
    return ValueScale((low,), (high,)).select(places)
