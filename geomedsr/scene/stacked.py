"""Several scenes of one grid as the frames of one: images of one place at several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.geometry.crs import same_crs
from geomedsr.scene.frames import Frames
from geomedsr.scene.masking import Masking
from geomedsr.scene.moments import acquired
from geomedsr.scene.sources import Array, Source

if TYPE_CHECKING:
    from geomedsr.geometry.grid import Grid
    from geomedsr.scene.scene import Scene

#: Largest part of a pixel by which grids may differ.
_APART = 1e-3


@dataclass(frozen=True)
class StackedSource(Source):
    """Sources of one frame each, of one shape and type, as the frames of one."""

    members: tuple[Source, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(frame, band, y, x)``."""
        return (len(self.members), *self.members[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage type."""
        return self.members[0].dtype

    @property
    def block(self) -> tuple[int, int]:
        """The first member's."""
        return self.members[0].block

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        return np.concatenate([member.read(_alone(box)) for member in self._touched(box)])

    def valid(self, box: Box) -> Array:
        """True where a pixel is data."""
        return np.concatenate([member.valid(_alone(box)) for member in self._touched(box)])

    def select(self, bands: Sequence[int]) -> StackedSource:
        """Some of the bands."""
        return StackedSource(tuple(member.select(bands) for member in self.members))

    @property
    def masking(self) -> tuple[Masking, ...]:
        """Each band's ways in any of the members."""
        return tuple(reduce(or_, ways) for ways in zip(*(member.masking for member in self.members), strict=True))

    @property
    def reads(self) -> tuple[Source, ...]:
        """The members."""
        return self.members

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """Other values that mean "no data", where all members take them."""
        made = [found for member in self.members if (found := member.with_nodata(nodata)) is not None]
        return replace(self, members=tuple(made)) if len(made) == len(self.members) else None

    def _touched(self, box: Box) -> tuple[Source, ...]:
        return self.members[box.start[0] : box.stop[0]]


def _alone(box: Box) -> Box:
    """The rows and columns of a box in the only frame of a member."""
    return Box((0, *box.start[1:]), (1, *box.stop[1:]))


def stacked(scenes: Sequence[Scene]) -> Scene:
    """The scenes as frames of one, in the order of their times where all state one, else as given.

    Tags that are not the same in all are left out, and the products' names are listed.

    Raises:
        InputError: none, or scenes of several frames, or of different grids, types or bands, or whose numbers mean
            different things.
    """
    if not scenes:
        raise InputError("a sequence of no scenes", "at least one", "check the names")
    first = scenes[0]
    for scene in scenes:
        _check(first, scene)
    moments = [acquired(scene) for scene in scenes]
    known = [moment for moment in moments if moment is not None]
    frames = None
    if len(known) == len(scenes):
        order = sorted(range(len(scenes)), key=known.__getitem__)
        scenes = [scenes[i] for i in order]
        frames = Frames("time", np.array([_naive(known[i]) for i in order], "datetime64[ns]"))
    tags = {
        namespace: {k: v for k, v in of.items() if all(s.tags.get(namespace, {}).get(k) == v for s in scenes)}
        for namespace, of in first.tags.items()
    }
    names = [scene.tags.get("", {}).get("PRODUCT_ID", scene.name) for scene in scenes]
    tags["PRODUCTS"] = {str(i): name for i, name in enumerate(names, 1)}
    return replace(
        first,
        source=StackedSource(tuple(scene.source for scene in scenes)),
        name=f"{scenes[0].name} … {len(scenes)} scenes" if len(scenes) > 1 else scenes[0].name,
        files=tuple(dict.fromkeys(file for scene in scenes for file in scene.files)),
        tags={namespace: of for namespace, of in tags.items() if of},
        frames=frames,
        parts=None,
    )


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _check(first: Scene, scene: Scene) -> None:
    """Raise an InputError where a scene is no frame beside the first."""
    if scene.shape[0] != 1 or scene.grid.planes:
        raise InputError(
            f"{scene.name} of {scene.shape[0]} frames in a sequence", "one image each", "open it by itself"
        )
    pair = f"{first.name} and {scene.name}"
    if not _same(first.grid, scene.grid):
        raise InputError(f"{pair}, which lie on different grids", "scenes of one grid", "crop or warp them to one")
    names = [[band.name for band in each.bands] for each in (first, scene)]
    if names[0] != names[1] or first.dtype != scene.dtype:
        shown = " and ".join(
            f"{', '.join(of[:12])} ({each.dtype})" for of, each in zip(names, (first, scene), strict=True)
        )
        raise InputError(f"{pair}, which hold {shown}", "the same bands of one type", "choose bands that all have")
    for one, other in zip(first.bands, scene.bands, strict=True):
        lines = [(band.scale, band.offset, band.units, band.nodata) for band in (one, other)]
        if lines[0] != lines[1] and repr(lines[0]) != repr(lines[1]):  # NaN is not itself
            raise InputError(
                f"{pair}, whose band {one.name} means different things: × {one.scale:g} + {one.offset:g}, no data "
                f"{one.nodata}, and × {other.scale:g} + {other.offset:g}, no data {other.nodata}",
                "numbers of one meaning",
                "open them one by one, or bring them to physical values first",
            )


def _same(one: Grid, other: Grid) -> bool:
    if one.shape != other.shape or (one.affine is None) != (other.affine is None) or not same_crs(one.crs, other.crs):
        return False
    if one.affine is None or other.affine is None:
        return True
    moved, (height, width) = ~one.affine @ other.affine, one.shape
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    return all(np.allclose(moved @ corner, corner, rtol=0, atol=_APART) for corner in corners)
