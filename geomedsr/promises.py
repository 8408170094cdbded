"""``verify``: check a result against its source, promise by promise, from the two files alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from geomedsr import operators
from geomedsr.adapters import adapter_for, open_pair
from geomedsr.crs import vertical_unit
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.metrics.grid import shown
from geomedsr.operators import large
from geomedsr.operators.k_space import central
from geomedsr.placed import CORNER, differences
from geomedsr.provenance import BANDS, NODATA, OF_FRAMES, PREFIX, WINDOW, foreign, provenance_of, window_of
from geomedsr.scene import Scene
from geomedsr.sources import Array, ArraySource, CroppedSource, cropping
from geomedsr.sums import block_error

#: Rounding moves a pixel of the k-space image by less than this, in counts (floats: in parts of the range).
ROUNDING, FLOAT_ROUNDING = 1.0, 1e-5

#: Clipping what the type cannot hold, such as ringing below 0, moves more. Whether that explains a result is found by
#: so many rounds of alternating projection, which end at most so many counts apart.
ROUNDS, GAP = 100, 0.5


@dataclass(frozen=True)
class Check:
    """One promise, whether it was kept (None: it does not apply, or could not be checked), and the figures."""

    promise: str
    kept: bool | None
    detail: str = ""


def verify(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    series: str | None = None,
    nodata: float | str | None = None,
) -> list[Check]:
    """Each promise about a result, as kept or broken.

    Args:
        src: what was upscaled.
        dst: what came out.
        series: which DICOM series of ``src``.
        nodata: the value that means "no data" in ``src``, as for :func:`geomedsr.open`; by default, what ``dst`` says.

    Raises:
        InputError: one of them cannot be opened, or they are not of one kind.
    """
    source, result = open_pair(src, dst, series, nodata)
    if source.grid.planes and not _identity(source) and _identity(result):
        source = _rescaled(source, result)  # a series written as a volume, which has no slope and intercept
    source = taken(source, result)
    adapter = adapter_for(os.fspath(dst))
    size = _size(source, result)
    checks = [size]
    if size.kept:
        factor = result.shape[2] // source.shape[2]
        provenance = provenance_of(result)
        checks += [
            _field_of_view(source, result),
            _type(source, result),
            *_bands(source, result),
            _valid(source, result, factor, getattr(adapter, "tells_nodata", True)),
            _conserved(source, result, factor, provenance),
            _limits(source, result),
            _stated(provenance, factor),
            *_tiling(provenance),
            *(Check("the source's pixels do not show", None, told) for told in shown(result, _pieces(source), factor)),
        ]
    more: Callable[[Scene, Scene], list[Check]] | None = getattr(adapter, "checks", None)
    if more is not None and size.kept:
        checks += more(source, result)
    return checks


def taken(source: Scene, result: Scene) -> Scene:
    """What of a source a result was made of: the bands and the window that it says were chosen, as by ``--bands`` and
    ``--window``, and what it says means "no data" in it.
    """
    told = provenance_of(result)
    if NODATA in told and NODATA not in source.provenance:
        with suppress(InputError):  # of another source
            source = source.with_nodata(told[NODATA])
    if BANDS in told:
        with suppress(ValueError, TypeError, RecursionError):  # of other bands, or no list
            source = source.select([b if isinstance(b, int) else str(b) for b in json.loads(told[BANDS])])
    window = window_of(told)
    if window is None or not window.inside(source.grid.shape):
        return source
    return replace(source, source=CroppedSource(source.source, window), grid=source.grid.cropped(window))


def _identity(scene: Scene) -> bool:
    """Whether stored values are physical ones."""
    slope, offset = scene.lines
    return bool((slope == 1).all() and (offset == 0).all())


def _rescaled(source: Scene, result: Scene) -> Scene:
    """The source in physical values, of the result's type."""
    slope, offset = (table[..., None, None] for table in source.lines)
    stored = source.data.data.astype(np.float64) * slope + offset
    values = ArraySource(stored.astype(result.dtype), source.valid.data)
    return replace(source, source=values, bands=result.bands, rescale=())


def _size(source: Scene, result: Scene) -> Check:
    (frames, bands, height, width), (frames2, bands2, height2, width2) = source.shape, result.shape
    factor = height2 // height
    kept = factor >= 2 and (frames2, bands2, height2, width2) == (frames, bands, height * factor, width * factor)
    detail = f"{width} × {height} to {width2} × {height2}"
    if frames > 1 or frames2 > 1:
        detail += f", {frames} to {frames2} slices"
    if (window := cropping(source.source)) is not None:
        detail += f", of the window {window}"
    elif not kept and WINDOW in provenance_of(result):
        detail += ", of a window that is none of the source in whole pixels"
    return Check("every frame and band there, a whole factor finer", kept, detail)


def _field_of_view(source: Scene, result: Scene) -> Check:
    promise = f"same field of view: outer corners within {CORNER} source pixel"
    if source.grid.planes:
        shifts = []
        for old, new in zip(source.grid.planes, result.grid.planes, strict=True):
            pairs = zip(old.corners(source.grid.shape), new.corners(result.grid.shape), strict=True)
            apart = max(float(np.linalg.norm(np.subtract(a, b))) for a, b in pairs)
            shifts.append(apart / min(old.spacing))
        return Check(promise, max(shifts) <= CORNER, f"largest shift {max(shifts):.2g} pixel")
    factor = result.grid.shape[0] // source.grid.shape[0]
    before, after = source.grid.scaled(factor), result.grid
    faults, told = differences(before, after, factor), "not georeferenced"
    if before.affine is not None and after.affine is not None:
        moved = ~before.affine @ after.affine
        height, width = after.shape
        corners = [(0, 0), (width, 0), (0, height), (width, height)]
        shift = max(float(np.hypot(*np.subtract(moved @ corner, corner))) for corner in corners) / factor
        told = f"largest shift {shift:.2g} pixel"
        if not shift <= CORNER:
            faults = ["affine", *faults]
    elif before.affine is not None or after.affine is not None:
        faults = ["affine", *faults]
    elif before.gcps or before.rpcs or before.geolocation:
        told = "by GCPs, RPCs or geolocation arrays"
    if faults:
        return Check(promise, False, f"{told}; not the source's: {', '.join(faults)}")
    return Check(promise, None if told == "not georeferenced" else True, told)


def _type(source: Scene, result: Scene) -> Check:
    return Check("same storage type", source.dtype == result.dtype, f"{source.dtype} to {result.dtype}")


def _described(source: Scene, result: Scene) -> tuple[list[str], list[str]]:
    """Names of bands, in source and result; a band without a description is called by its number, which may change."""
    pairs = [
        (a, b) if a.description or b.description else (a, a) for a, b in zip(source.bands, result.bands, strict=True)
    ]
    return [a.name for a, _ in pairs], [b.name for _, b in pairs]


def _bands(source: Scene, result: Scene) -> list[Check]:
    def same(what: str, before: object, after: object) -> Check:
        return Check(f"same {what}", repr(before) == repr(after))

    implied = vertical_unit(result.grid.crs)  # GeoTIFF gives it to bands that say none
    checks = [
        same("band names", *_described(source, result)),
        same("no-data value", *([_stored(b.nodata, scene.dtype) for b in scene.bands] for scene in (source, result))),
        same(
            "scale, offset and unit",
            ([(b.scale, b.offset, b.units or implied) for b in source.bands], source.rescale),
            ([(b.scale, b.offset, b.units or implied) for b in result.bands], result.rescale),
        ),
    ]
    of_file: dict[str, Mapping[str, str]] = dict(source.tags)
    if source.grid.affine is None:  # then GeoTIFF has no place for it
        of_file[""] = {key: text for key, text in of_file.get("", {}).items() if key != "AREA_OR_POINT"}
    pairs: list[tuple[str, Mapping[str, Mapping[str, str]], Mapping[str, Mapping[str, str]]]]
    pairs = [("", of_file, result.tags)]
    pairs += [
        (f"band {i} ", a.tags, b.tags) for i, (a, b) in enumerate(zip(source.bands, result.bands, strict=True), 1)
    ]
    lost = [
        f"{whose}{ns}:{key}"
        for whose, before, after in pairs
        for ns, tags in before.items()
        for key, text in foreign(tags).items()
        if after.get(ns, {}).get(key, "").strip() != text.strip()  # files do not tell an empty text from none
    ]
    if any(before for _, before, _ in pairs):
        checks.append(Check("tags kept", not lost, ", ".join(lost[:5])))
    return checks


def _stored(nodata: float | int | None, dtype: np.dtype[Any]) -> float | int | None:
    """A nodata value as a pixel of that type has it."""
    with np.errstate(over="ignore"):
        return float(dtype.type(nodata)) if nodata is not None and dtype.kind == "f" else nodata


def _pieces(source: Scene) -> Iterator[Box]:
    """The source in pieces: whole slices of a series, else of at most 1024 × 1024 pixels."""
    sides = source.shape[2:] if source.grid.planes else (1024, 1024)
    return Box.whole(source.shape).tiles((1, *sides))


def _valid(source: Scene, result: Scene, factor: int, tells: bool) -> Check:
    """Where there is data; of a result whose format cannot say so, that what is none holds what it held."""
    wrong, silent = 0, 0
    for box in _pieces(source):
        before = _repeated(source.source.valid(box), factor)
        after = result.source.valid(box.refined(Factors.in_plane(factor)))
        differ = before != after
        if differ.any() and not tells:
            stored = _repeated(source.source.read(box), factor)
            same = differ & after & (stored == result.source.read(box.refined(Factors.in_plane(factor))))
            silent += int(same.sum())
            differ &= ~same
        wrong += int(differ.sum())
    detail = f"{silent} pixels without data hold what they held; the format cannot tell them" if silent else ""
    return Check(
        "data where the source has data, and nowhere else",
        wrong == 0,
        "; ".join(part for part in (f"{wrong} pixels differ" if wrong else "", detail) if part),
    )


def _repeated(array: Array, factor: int) -> Array:
    """Each pixel, factor × factor times."""
    return array.repeat(factor, axis=-2).repeat(factor, axis=-1)


def _conserved(source: Scene, result: Scene, factor: int, provenance: Mapping[str, str]) -> Check:
    name = provenance.get("GEOMEDSR_OPERATOR", operators.BlockMean.name)
    told = provenance.get("GEOMEDSR_CONSERVED", "yes")
    asked = told == "yes"
    if name == operators.Unconstrained.name:
        return Check("agreement with the source", None, "the model promises none")
    if name == operators.KSpaceCrop.name and _carried(provenance):
        return _classes(source, result, factor)
    if name == operators.KSpaceCrop.name:
        check = _k_space(source, result, factor, asked)
        return replace(check, detail=f"a window {told}; {check.detail}") if told == OF_FRAMES else check
    worst = 0.0
    for box in _pieces(source):
        before, valid = source.source.read(box), source.source.valid(box)
        after = result.source.read(box.refined(Factors.in_plane(factor)))
        if valid.any():
            worst = max(worst, float(block_error(before, after, factor)[valid].max()))
    promise = f"the mean of each {factor} × {factor} block is the source's pixel"
    if not asked:
        return Check(promise, None, f"not asked for; largest difference {worst:.3g}")
    return Check(promise, worst == 0, "bit for bit" if worst == 0 else f"largest difference {worst:.3g}")


def _carried(provenance: Mapping[str, str]) -> bool:
    """Whether a result says that none of its bands was computed: it tells no range of any."""
    with suppress(ValueError, RecursionError):
        ranges = json.loads(provenance.get(f"{PREFIX}VALUE_RANGE", ""))
        return isinstance(ranges, list) and bool(ranges) and all(part is None for part in ranges)
    return False


def _classes(source: Scene, result: Scene, factor: int) -> Check:
    wrong = 0
    for box in _pieces(source):
        after = result.source.read(box.refined(Factors.in_plane(factor)))
        wrong += int((_repeated(source.source.read(box), factor) != after).sum())
    return Check("classes and flags are the source's, repeated", not wrong, f"{wrong} pixels differ" if wrong else "")


def _k_space(source: Scene, result: Scene, factor: int, asked: bool) -> Check:
    operator = operators.get(operators.KSpaceCrop.name)
    limits = _type_limits(source)
    worst, moved, share, checked = 0.0, 0, 0.0, 0
    for box in _pieces(source):
        if not source.source.valid(box).all():
            continue  # padding has no k-space
        checked += 1
        stored = source.source.read(box), result.source.read(box.refined(Factors.in_plane(factor)))
        low, high = (np.array([float(end)]) for end in (stored[0].min(), stored[0].max()))
        base = large.anchor(low, high, source.dtype)
        if base is None or result.dtype != source.dtype:
            before, after = (torch.from_numpy(values.astype(np.float64)) for values in stored)
            shifted = limits
        else:  # too large for floats: counted from one of them
            before, after = (torch.from_numpy(large.beyond(values, base)) for values in stored)
            shifted = None if limits is None else (limits[0] - float(base.item()), limits[1] - float(base.item()))
        error = central(operator.forward(after, factor) - before).abs()
        span = float(before.max() - before.min()) or 1.0
        rounding = FLOAT_ROUNDING * span if source.dtype.kind == "f" else ROUNDING
        largest = float(error.max())
        moved += largest > rounding and not _by_clipping(before, after, factor, shifted)
        if largest > worst:
            worst, share = largest, largest / span
    promise = "the central k-space is the source's, up to rounding and clipping"
    if not checked:
        return Check(promise, None, "every slice holds padding, which has no k-space")
    detail = f"largest deviation {worst:.2g} counts, {share:.2%} of its slice's range"
    detail += f"; {moved} slices off by more than that explains" if moved else ""
    left = source.shape[0] - checked
    detail += f"; {left} slices with padding not checked" if left else ""
    return Check(promise, (not moved) if asked else None, detail)


def _type_limits(scene: Scene) -> tuple[float, float] | None:
    """The stored values that a scene's bits hold; None for floats."""
    if scene.dtype.kind == "f":
        return None
    info = np.iinfo(scene.dtype)
    low, high = scene.bands[0].limits or (int(info.min), int(info.max))
    return float(low), float(high)


def _by_clipping(before: torch.Tensor, after: torch.Tensor, factor: int, limits: tuple[float, float] | None) -> bool:
    """Whether some image with the source's central k-space becomes the result when it is rounded and clipped.

    Sought by alternating projection between the images with that k-space, and those that round and clip to the result:
    half a count around each value, without end beyond those at the type's limits.
    """
    if limits is None:
        return False
    operator = operators.get(operators.KSpaceCrop.name)
    infinity = torch.tensor(float("inf"), dtype=torch.float64)
    low = torch.where(after <= limits[0], -infinity, after - 0.5)
    high = torch.where(after >= limits[1], infinity, after + 0.5)
    guess = after
    for _ in range(ROUNDS):
        guess = operator.project(guess, before, factor)
        allowed = torch.maximum(torch.minimum(guess, high), low)
        if float((guess - allowed).abs().max()) <= GAP:
            return True
        guess = allowed
    return False


def _limits(source: Scene, result: Scene) -> Check:
    """Stored values within the bits that the header declares."""
    promise = "values within the bits stored"
    limits = source.bands[0].limits
    if limits is None:
        return Check("values within the type", True)
    low, high, least = float("inf"), -float("inf"), float(limits[0])
    for box in _pieces(source):
        before = source.source.read(box)
        values = result.source.read(box.refined(Factors.in_plane(result.shape[2] // source.shape[2])))
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        least = min(least, float(before.min()))
    kept = least <= low and high <= limits[1]
    return Check(promise, kept, f"{low:g} … {high:g} in {limits[0]} … {limits[1]}")


def _stated(provenance: Mapping[str, str], factor: int) -> Check:
    model = provenance.get("GEOMEDSR_MODEL")
    kept = (
        bool(model)
        and bool(provenance.get("GEOMEDSR_MODEL_SHA256"))
        and provenance.get("GEOMEDSR_FACTOR") == str(factor)
    )
    version = provenance.get("GEOMEDSR_MODEL_VERSION", "")
    return Check("it says which model made it", kept, f"{model} {version}" if model else "")


def _tiling(provenance: Mapping[str, str]) -> list[Check]:
    """Of a result whose tiles are not exactly those of the untiled one, that it says so; nothing to tell of others."""
    told = provenance.get("GEOMEDSR_TILING", "exact")
    return [] if told == "exact" else [Check("tiles equal the untiled result", None, told)]
