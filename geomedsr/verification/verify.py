"""``verify``: check each guarantee of a result against its source, from the two files alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from geomedsr.checks import Check
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.geometry.crs import vertical_unit
from geomedsr.io import Adapter, adapter_for, open_pair, open_scene
from geomedsr.metrics.grid import shown
from geomedsr.scene.nodata import same_nodata, unified
from geomedsr.scene.provenance import OF_FRAMES, PREFIX, Provenance, foreign, provenance_of
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import cropping
from geomedsr.sharpening.choosing import GUIDE
from geomedsr.verification.bound import Bound, others_of
from geomedsr.verification.dates import FROM, date_check
from geomedsr.verification.groups import GroupOf, area_check, guide_check, interval_check, of_image
from geomedsr.verification.passes import in_two_passes, passes_check
from geomedsr.verification.placed import CORNER, differences
from geomedsr.verification.taken import grouped, in_physical, is_physical, taken
from geomedsr.verification.unspiked import spikes_checks
from geomedsr.verification.unstriped import RESIDUAL, stripes_check


def verify(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    series: str | None = None,
    nodata: float | str | None = None,
    inputs: Mapping[str, str | os.PathLike[str] | Scene] | None = None,
) -> list[Check]:
    """Check each guarantee about a result.

    Args:
        src: the source.
        dst: the result.
        series: the DICOM series in ``src``.
        nodata: the nodata value of ``src``, as for :func:`geomedsr.open`; by default the one that ``dst`` states.
        inputs: the model's other inputs by name, as files or scenes, for example a mask of repaired pixels; ``dst``
            states their names. Guarantees that depend on an input that is not given are not checked.

    Raises:
        InputError: a file cannot be opened, or the two are of different kinds or do not fit.
    """
    source, result = open_pair(src, dst, series, nodata)
    if (port := provenance_of(result).model.output) is not None:
        raise InputError(f"{os.fspath(dst)}, the {port} beside an image", "the image", "verify that")
    if source.grid.planes and not is_physical(source) and is_physical(result):
        source = in_physical(source, result)  # a series written as a volume without slope and intercept
    others = {name: of if isinstance(of, Scene) else open_scene(of, force=True) for name, of in (inputs or {}).items()}
    adapter = adapter_for(os.fspath(dst))
    if groups := grouped(source, result):
        return [*(check for part in groups for check in _of_group(part, adapter)), *area_check(result)]
    if provenance_of(result).spikes is not None:
        checks = _of_unchanged(source, result, adapter)
        return checks if not checks[0].kept else [*checks, *spikes_checks(source, result)]
    if provenance_of(result).stripes is not None:
        return _of_unstriped(source, result, others.get(RESIDUAL), adapter)
    date = others.pop(FROM, None) if FROM in (provenance_of(result).model.inputs or {}) else None
    guide = others.pop(GUIDE, None) if provenance_of(result).model.guide is not None else None
    beside = result
    if provenance_of(source).groups is None:  # else the source holds what is beside the image, too
        result = of_image(result)
    whole, source = source, taken(source, result)
    checks = _checks(whole, source, result, adapter, others)
    return [*checks, *guide_check(source, beside, guide), *date_check(beside, date), *interval_check(beside)]


def _of_unstriped(source: Scene, result: Scene, residual: Scene | None, adapter: Adapter) -> list[Check]:
    """The checks of a result of which stripes were taken off, without a model."""
    source = taken(source, result)
    checks = _of_unchanged(source, result, adapter)
    return checks if not checks[0].kept else [*checks, *stripes_check(source, result, residual, _pieces(source))]


def _of_unchanged(source: Scene, result: Scene, adapter: Adapter) -> list[Check]:
    """What a result that no model made keeps of its source besides values; the first check is of its size."""
    factors = Factors.between(source.shape, result.shape)
    size = _size(source, result, factors)
    if not size.kept or factors is None or factors.volume != 1:
        return [replace(size, kept=False)]
    return [
        size,
        _field_of_view(source, result, factors),
        _type(source, result),
        *_bands(source, result, adapter.same_tag),
    ]


def _of_group(part: GroupOf, adapter: Adapter) -> list[Check]:
    """The checks of a group of bands, each with their names."""
    names = ", ".join(part.group.bands)
    if part.group.model is None:
        checks = _carried_checks(part.source, part.result, adapter)
    else:
        checks = _checks(part.source, part.source, part.result, adapter, {})
    return [replace(check, promise=f"{names}: {check.promise}") for check in checks]


def _carried_checks(source: Scene, result: Scene, adapter: Adapter) -> list[Check]:
    """The checks of bands that are the source's, repeated."""
    factors = Factors.between(source.shape, result.shape)
    checks = [_size(source, result, factors)]
    if checks[0].kept and factors is not None:
        bound = Bound.of(Provenance(), source, {})
        checks += [
            _field_of_view(source, result, factors),
            _type(source, result),
            *_bands(source, result, adapter.same_tag),
            _valid(source, result, factors, adapter.tells_nodata, bound),
            replace(_classes(source, result, factors), promise="pixels are the source's, repeated"),
        ]
    return checks


def _checks(whole: Scene, source: Scene, result: Scene, adapter: Adapter, others: Mapping[str, Scene]) -> list[Check]:
    """The checks of a result of what of a whole source it was made of."""
    factors = Factors.between(source.shape, result.shape)
    size = _size(source, result, factors)
    checks = [size]
    if size.kept and factors is not None:
        provenance = provenance_of(result)
        bound = Bound.of(provenance, source, others_of(others, whole, source, provenance))
        checks += [
            _field_of_view(source, result, factors),
            _type(source, result),
            *_bands(source, result, adapter.same_tag),
            _valid(source, result, factors, adapter.tells_nodata, bound),
            *_conserved(source, result, factors, provenance, bound),
            _limits(source, result, factors),
            _stated(provenance, factors),
            *_tiling(provenance),
            *(
                Check("the source's pixels do not show", None, detail)
                for detail in shown(result, _pieces(source), factors)
            ),
            *adapter.checks(source, result),
        ]
    return checks


def _size(source: Scene, result: Scene, factors: Factors | None) -> Check:
    (frames, bands, height, width), (frames2, bands2, height2, width2) = source.shape, result.shape
    kept = bands == bands2 and factors is not None and factors.y == factors.x  # required of all cards
    detail = f"{width} × {height} to {width2} × {height2}"
    if frames > 1 or frames2 > 1:
        detail += f", {frames} to {frames2} slices"
    if (window := cropping(source.source)) is not None:
        detail += f", of the window {window}"
    elif not kept and f"{PREFIX}WINDOW" in provenance_of(result):
        detail += ", of a window that is none of the source in whole pixels"
    return Check("every frame and band there, a whole factor finer", kept, detail)


def _field_of_view(source: Scene, result: Scene, factors: Factors) -> Check:
    name = f"same field of view: outer corners within {CORNER} source pixel"
    if source.grid.planes:
        try:
            shift = source.grid.refined(Factors(frame=factors.frame)).apart(result.grid)
        except InputError as error:
            return Check(name, False, f"new slices of {error.got}")
        if shift is None:
            return Check(name, False, "the result's frames have no position in space")
        return Check(name, shift <= CORNER, f"largest shift {shift:.2g} pixel")
    factor = factors.y
    before, after = source.grid.scaled(factor), result.grid
    faults, detail = differences(before, after, factor), "not georeferenced"
    if (apart := before.apart(after)) is not None:
        detail = f"largest shift {apart / factor:.2g} pixel"
        if not apart / factor <= CORNER:
            faults = ["affine", *faults]
    elif before.affine is not None or after.affine is not None:
        faults = ["affine", *faults]
    elif before.gcps or before.rpcs or before.geolocation:
        detail = "by GCPs, RPCs or geolocation arrays"
    if faults:
        return Check(name, False, f"{detail}; not the source's: {', '.join(faults)}")
    return Check(name, None if detail == "not georeferenced" else True, detail)


def _type(source: Scene, result: Scene) -> Check:
    return Check("same storage type", source.dtype == result.dtype, f"{source.dtype} to {result.dtype}")


def _described(source: Scene, result: Scene) -> tuple[list[str], list[str]]:
    """Names of bands in source and result. A band without a description is named by its number, which may change."""
    pairs = [
        (a, b) if a.description or b.description else (a, a) for a, b in zip(source.bands, result.bands, strict=True)
    ]
    return [a.name for a, _ in pairs], [b.name for _, b in pairs]


def _bands(source: Scene, result: Scene, same_tag: Callable[[str, str, str], bool]) -> list[Check]:
    def same(what: str, before: object, after: object) -> Check:
        return Check(f"same {what}", repr(before) == repr(after))

    implied = vertical_unit(result.grid.crs)  # GeoTIFF readers assign it to bands without a unit
    checks = [
        same("band names", *_described(source, result)),
        _nodata(source, result),
        same(
            "scale, offset and unit",
            ([(b.scale, b.offset, b.units or implied) for b in source.bands], source.rescale),
            ([(b.scale, b.offset, b.units or implied) for b in result.bands], result.rescale),
        ),
    ]
    of_file: dict[str, Mapping[str, str]] = dict(source.tags)
    area = of_file.get("", {}).get("AREA_OR_POINT") == "Area" and "AREA_OR_POINT" not in result.tags.get("", {})
    if source.grid.affine is None or area:  # GeoTIFF has no place for it then; where nothing is said, it is an area
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
        if not same_tag(key, text, after.get(ns, {}).get(key, ""))
    ]
    if any(before for _, before, _ in pairs):
        checks.append(Check("tags kept", not lost, ", ".join(lost[:5])))
    return checks


def _nodata(source: Scene, result: Scene) -> Check:
    """Whether nodata values are the same, or a single one if bands of the source differ."""
    own, one, found = (
        [_stored(value, scene.dtype) for value in values]
        for scene, values in (
            (source, [b.nodata for b in source.bands]),
            (source, unified(source.bands)),
            (result, [b.nodata for b in result.bands]),
        )
    )
    kept = same_nodata(own, found)
    made_one = not kept and same_nodata(one, found)
    return Check("same no-data value", kept or made_one, f"{found[0]:g} in all bands" if made_one else "")


def _stored(nodata: float | int | None, dtype: np.dtype[Any]) -> float | int | None:
    """A nodata value as stored in a pixel of this type."""
    with np.errstate(over="ignore"):
        return float(dtype.type(nodata)) if nodata is not None and dtype.kind == "f" else nodata


def _pieces(source: Scene) -> Iterator[Box]:
    """Boxes that cover the source: whole slices of a series, else at most 1024 × 1024 pixels."""
    sides = source.shape[2:] if source.grid.planes else (1024, 1024)
    return Box.whole(source.shape).tiles((1, *sides))


def _valid(source: Scene, result: Scene, factors: Factors, tells: bool, bound: Bound) -> Check:
    """Whether validity is kept; if the result's format cannot mark nodata, whether such pixels keep their values."""
    needs = " or ".join(bound.operator.needs)
    wrong, silent, more, left = 0, 0, 0, 0
    for box in _pieces(source):
        known = source.source.valid(box)
        before = factors.repeated(bound.valid(box, known))
        after = result.source.valid(box.refined(factors))
        differ = before != after
        if differ.any() and (free := bound.optional(box, known)) is not None:
            left += int((differ & factors.repeated(free)).sum())
            differ &= ~factors.repeated(free)
        if bound.lacking:
            more += int((differ & after).sum())
            differ &= before
        if differ.any() and not tells:
            stored = factors.repeated(source.source.read(box))
            same = differ & after & (stored == result.source.read(box.refined(factors)))
            silent += int(same.sum())
            differ &= ~same
        wrong += int(differ.sum())
    parts = (
        f"{wrong} pixels differ" if wrong else "",
        f"{left} pixels of the {needs} are left without data" if left else "",
        f"{silent} pixels without data hold what they held; the format cannot tell them" if silent else "",
        f"{more} pixels are data that are none in the source; to check them, give {bound.asked}" if more else "",
    )
    return Check(
        "data where the source has data" + (f", or the {needs} says so" if needs else "") + ", and nowhere else",
        None if more and not wrong else wrong == 0,
        "; ".join(part for part in parts if part),
    )


def _conserved(source: Scene, result: Scene, factors: Factors, provenance: Provenance, bound: Bound) -> Iterator[Check]:
    stated = provenance.agreement.conserved or "yes"
    if in_two_passes(provenance, factors) and not bound.carried:
        yield passes_check(source, result, factors, provenance, _pieces(source), asked=stated == "yes")
        return
    if bound.operator.whole_frames and _carried(provenance):
        yield _classes(source, result, factors)
        return
    if bound.operator.needs and bound.carried:
        source, carried = (source.select([i + 1 for i in of]) for of in (bound.computed, bound.carried))
        result, its = (result.select([i + 1 for i in of]) for of in (bound.computed, bound.carried))
        yield _classes(carried, its, factors)
    check = bound.operator.check(source, result, factors, _pieces(source), asked=stated == "yes")
    yield replace(check, detail=f"a window {stated}; {check.detail}") if stated == OF_FRAMES else check


def _carried(provenance: Provenance) -> bool:
    """Whether a result states that none of its bands was computed: it has no value range for any."""
    return bool(provenance.ranges) and not any(provenance.ranges or ())


def _classes(source: Scene, result: Scene, factors: Factors) -> Check:
    wrong = 0
    for box in _pieces(source):
        after = result.source.read(box.refined(factors))
        wrong += int((factors.repeated(source.source.read(box)) != after).sum())
    return Check("classes and flags are the source's, repeated", not wrong, f"{wrong} pixels differ" if wrong else "")


def _limits(source: Scene, result: Scene, factors: Factors) -> Check:
    """Whether stored values are within the bits that the header declares."""
    name = "values within the bits stored"
    limits = source.bands[0].limits
    if limits is None:
        return Check("values within the type", True)
    low, high, least = float("inf"), -float("inf"), float(limits[0])
    for box in _pieces(source):
        before = source.source.read(box)
        values = result.source.read(box.refined(factors))
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        least = min(least, float(before.min()))
    kept = least <= low and high <= limits[1]
    return Check(name, kept, f"{low:g} … {high:g} in {limits[0]} … {limits[1]}")


def _stated(provenance: Provenance, factors: Factors) -> Check:
    model = provenance.model
    told = [Factors.in_plane(group.factor) for group in provenance.groups or () if group.of is None]
    known = model.factors is not None and factors in (model.factors, model.factors * provenance.earlier, *told)
    kept = model.name is not None and model.sha256 is not None and known
    stated = f"{model.name} {model.version or ''}" if model.name else ""
    return Check("it says which model made it", kept, stated)


def _tiling(provenance: Provenance) -> list[Check]:
    """If a result's tiling is approximate, a check that states it; empty for others."""
    approximate = provenance.run.approximate
    return [Check("tiles equal the untiled result", None, approximate)] if approximate else []
