"""Stripes taken off, and put back: an exact line for each detector line, in whole numbers.

With a gain ``G`` and an offset ``O`` of :data:`BITS` bits after the point, a stored whole number becomes
``(G · x + O + ½) >> BITS``. Where ``G`` is 1 or more no two numbers become one, so that the line can be undone. For
other lines, and where a value is clipped, a residual keeps what is lost: what was there less what undoing gives, which
is 0 nearly everywhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box
from geomedsr.geometry.crs import same_crs
from geomedsr.repairing.stripes import REAL, Estimate, Lines, estimated
from geomedsr.scene.provenance import Provenance, foreign, provenance_of
from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sources import Array, Source, WrappingSource

#: Bits after the point.
BITS = 20

#: Larger whole numbers would not fit.
_MOST = 4


@dataclass(frozen=True, eq=False)
class Response:
    """What is done to each line of each band: whole numbers ``(band, line)``, int64, of :data:`BITS` bits."""

    lines: Lines
    gains: Array
    offsets: Array

    @classmethod
    def of(cls, found: Estimate) -> Response:
        """What undoes the stripes of an estimate."""
        one = 1 << BITS
        gains = np.rint(one / found.gains).astype(np.int64)
        return cls(found.lines, gains, np.rint(-found.offsets / found.gains * one).astype(np.int64))

    @property
    def text(self) -> str:
        """As a text, for tags."""
        packed = [base64.b64encode(zlib.compress(part.astype("<i8").tobytes(), 9)).decode() for part in self._parts]
        return json.dumps({"lines": self.lines, "bands": len(self.gains), "gains": packed[0], "offsets": packed[1]})

    @classmethod
    def of_text(cls, text: str) -> Response:
        """From a text.

        Raises:
            InputError: it is none of these.
        """
        try:
            found = json.loads(text)
            parts = [
                np.frombuffer(zlib.decompress(base64.b64decode(found[name], validate=True)), "<i8").astype(np.int64)
                for name in ("gains", "offsets")
            ]
            gains, offsets = (part.reshape(int(found["bands"]), -1) for part in parts)
            if found["lines"] not in ("columns", "rows") or gains.shape != offsets.shape or gains.min() < 1:
                raise ValueError("no lines")
        except (ValueError, TypeError, KeyError, binascii.Error, zlib.error) as error:
            raise InputError(
                "a record of stripes that cannot be read", "one that repair wrote", "use that file"
            ) from error
        return cls(found["lines"], gains, offsets)

    @property
    def _parts(self) -> tuple[Array, Array]:
        return self.gains, self.offsets

    def select(self, bands: Sequence[int]) -> Response:
        """Those of some of the bands."""
        return Response(self.lines, self.gains[list(bands)], self.offsets[list(bands)])

    def _at(self, box: Box) -> tuple[Array, Array]:
        """Gains and offsets along the lines of a box, to be broadcast against ``(frame, band, y, x)``."""
        axis = 2 if self.lines == "columns" else 1
        part = slice(box.start[axis], box.stop[axis])
        index = (None, slice(None), None, slice(None)) if axis == 2 else (None, slice(None), slice(None), None)
        return self.gains[:, part][index], self.offsets[:, part][index]

    def applied(self, stored: Array, box: Box) -> Array:
        """Stored values without their stripes, int64 for whole numbers, not clipped."""
        gains, offsets = self._at(box)
        if stored.dtype.kind == "f":
            return np.asarray((stored.astype(np.float64) * gains + offsets) / (1 << BITS))
        return np.asarray((gains * stored.astype(np.int64) + offsets + (1 << (BITS - 1))) >> BITS)

    def undone(self, stored: Array, box: Box) -> Array:
        """The smallest whole numbers that become these, int64; for floats, what became them."""
        gains, offsets = self._at(box)
        if stored.dtype.kind == "f":
            return np.asarray((stored.astype(np.float64) * (1 << BITS) - offsets) / gains)
        rest = (stored.astype(np.int64) << BITS) - offsets - (1 << (BITS - 1))
        return np.asarray(-((-rest) // gains))


@dataclass(frozen=True)
class Destriped(WrappingSource):
    """A source without its stripes, clipped to what can be stored; what is no data stays as it is."""

    response: Response
    limits: tuple[int, int] | None
    nodata: tuple[float | int | None, ...]

    def select(self, bands: Sequence[int]) -> Destriped:
        """Some of the bands."""
        return replace(
            self,
            whole=self.whole.select(bands),
            response=self.response.select(bands),
            nodata=tuple(self.nodata[b] for b in bands),
        )

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        stored, valid = self.whole.read(box), self.whole.valid(box)
        safe = np.where(valid, stored, np.zeros((), stored.dtype))
        made = self.response.applied(safe, box)
        if self.limits is not None:
            made = np.clip(made, *self.limits)
            for band, value in enumerate(self.nodata):
                if value is not None:  # data must not become no data
                    up = 1 if value < self.limits[1] else -1
                    made[:, band][made[:, band] == int(value)] += up
        return np.where(valid, made.astype(stored.dtype), stored)

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """None: what is data is settled."""
        return None


@dataclass(frozen=True)
class Residual(WrappingSource):
    """What a source holds less what undoing gives, modulo the range of its type; always data."""

    destriped: Destriped

    @property
    def reads(self) -> tuple[Source, ...]:
        """What the source holds, and its destriped values."""
        return self.whole, self.destriped

    def select(self, bands: Sequence[int]) -> Residual:
        """Some of the bands."""
        return Residual(self.whole.select(bands), self.destriped.select(bands))

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        stored = self.whole.read(box)
        back = self.destriped.response.undone(self.destriped.read(box), box).astype(stored.dtype)
        lost = stored - back  # whole numbers wrap around
        return np.where(self.whole.valid(box), lost, np.zeros((), stored.dtype))

    def valid(self, box: Box) -> Array:
        """True everywhere."""
        frames, height, width = box.shape
        return np.broadcast_to(np.True_, (frames, self.shape[1], height, width))

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """None: all of it is data."""
        return None


@dataclass(frozen=True)
class Restriped(WrappingSource):
    """A source with the stripes that were taken off; ``residual`` is what undoing alone does not give."""

    response: Response
    residual: Source | None

    @property
    def reads(self) -> tuple[Source, ...]:
        """The source, and the residual."""
        return (self.whole,) if self.residual is None else (self.whole, self.residual)

    def select(self, bands: Sequence[int]) -> Restriped:
        """Some of the bands."""
        rest = None if self.residual is None else self.residual.select(bands)
        return Restriped(self.whole.select(bands), self.response.select(bands), rest)

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        stored, valid = self.whole.read(box), self.whole.valid(box)
        safe = np.where(valid, stored, np.zeros((), stored.dtype))
        back = self.response.undone(safe, box).astype(stored.dtype)
        if self.residual is not None:
            back = back + self.residual.read(box)
        return np.where(valid, back, stored)

    def with_nodata(self, nodata: tuple[float | int | None, ...]) -> Source | None:
        """None: what is data is settled."""
        return None


@dataclass(frozen=True)
class Unstriped:
    """A scene without its stripes, the residual that lets them be undone bit for bit (None for floats), and what was
    found: along which lines, and how far two estimates of each band are alike, 0 … 1.
    """

    scene: Scene
    residual: Scene | None
    lines: Lines
    alike: tuple[float, ...]


def destripe(scene: Scene) -> Unstriped | None:
    """The scene without the stripes of its detectors, lazily; None if it has none.

    Raises:
        InputError: a series or a stack of dates, bands of classes, or numbers of 64 bits.
    """
    if scene.grid.planes or scene.shape[0] > 1:
        raise InputError(f"{scene.name}, a series or a stack, for stripes", "one image of a scanner", "choose one")
    if odd := [band.name for band in scene.bands if band.kind != "continuous"]:
        raise InputError(f"the band {odd[0]} of classes or flags, for stripes", "bands of values", "choose others")
    if scene.dtype.kind != "f" and scene.dtype.itemsize > _MOST:
        raise InputError(f"{scene.name} of type {scene.dtype}, for stripes", "at most 32 bits", "convert it")
    found = max((estimated(scene.source, lines) for lines in ("columns", "rows")), key=lambda e: max(e.alike))
    if max(found.alike) < REAL:
        return None
    for band, alike in enumerate(found.alike):
        if alike < REAL:
            found.gains[band], found.offsets[band] = 1.0, 0.0
    response = Response.of(found)
    nodata = tuple(band.nodata for band in scene.bands)
    source = Destriped(scene.source, response, scene.limits, nodata)
    provenance = replace(_chosen(scene), stripes=response.text)
    made = replace(scene, source=source, name=f"{scene.name} without stripes", provenance=provenance, scale=None)
    if scene.dtype.kind == "f":
        return Unstriped(made, None, found.lines, found.alike)
    bands = tuple(Band(f"{band.name}_residual") for band in scene.bands)
    rest = Scene(Residual(scene.source, source), scene.grid, bands, "the residual", scene.files, domain=scene.domain)
    return Unstriped(made, rest, found.lines, found.alike)


def restripe(scene: Scene, residual: Scene | None = None) -> Scene:
    """The scene with the stripes that :func:`destripe` took off, lazily: bit for bit, with its residual.

    Raises:
        InputError: no stripes were taken off it, or a residual of another size, type or place.
    """
    record = provenance_of(scene)
    if record.stripes is None:
        raise InputError(
            f"{scene.name}, which no stripes were taken off", "a result of --what stripes", "leave --undo out"
        )
    response = Response.of_text(record.stripes)
    lines = scene.shape[3] if response.lines == "columns" else scene.shape[2]
    if response.gains.shape != (scene.shape[1], lines):
        raise InputError(
            f"{scene.name} of {scene.shape[1]} bands and {lines} {response.lines}",
            f"{response.gains.shape[0]} and {response.gains.shape[1]}, as its record of stripes says",
            "give the whole result",
        )
    if residual is not None and (residual.shape, residual.dtype) != (scene.shape, scene.dtype):
        raise InputError(
            f"the residual {residual.name} of {residual.shape}, {residual.dtype}",
            f"{scene.shape}, {scene.dtype}, as {scene.name}",
            "give the file that lay beside it",
        )
    if (
        residual is not None
        and residual.grid.crs
        and scene.grid.crs
        and not same_crs(residual.grid.crs, scene.grid.crs)
    ):
        raise InputError(f"the residual {residual.name} in another CRS", "the same grid", "give the one beside it")
    source = Restriped(scene.source, response, None if residual is None else residual.source)
    tags: Any = {namespace: foreign(tags) for namespace, tags in scene.tags.items()}
    files = (*scene.files, *(residual.files if residual is not None else ()))
    return replace(scene, source=source, name=f"{scene.name} undone", tags=tags, provenance=Provenance(), files=files)


def _chosen(scene: Scene) -> Provenance:
    """What was chosen of the scene, and nothing else."""
    return Provenance(chosen=scene.provenance.chosen)
