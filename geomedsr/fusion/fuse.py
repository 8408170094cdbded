"""``fuse``: several scenes of one place in, one lazy scene out, finer than any of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from geomedsr import operators
from geomedsr.errors import InputError
from geomedsr.fusion.averaged import AveragedSource
from geomedsr.fusion.footprints import Footprints
from geomedsr.fusion.fused import FusedSource, View
from geomedsr.fusion.registration import FAR, FINER, Piece, Registered, finer, pieces_of, read_beyond, registered
from geomedsr.fusion.report import FrameReport, FusionReport, tell_dropped
from geomedsr.fusion.trust import SIDE, noise_of, trust
from geomedsr.geometry import Box, Factors, Window
from geomedsr.geometry.crs import same_crs
from geomedsr.inference.upscale import upscale
from geomedsr.models import Model, load_model
from geomedsr.models.bicubic import bicubic_model
from geomedsr.operators.block_error import block_error
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, Source

#: The model for a factor, by domain.
_MODELS = {
    ("satellite", 4): "satellite-x4",
    ("satellite", 2): "satellite-x2",
    ("CT", 2): "ct-x2",
    ("MR", 2): "mr-x2",
}

#: A frame is dropped beyond these: the two searches for its shift apart by more pixels, a lower correlation with the
#: reference, or a lower mean trust.
_BACK, _ALIKE, _TRUST = 0.2, 0.5, 0.3

#: How far a rotation or another scale may move the scene's corners, in pixels.
_MOVED = 0.3

#: The side of the window that the result's agreement with the reference is measured in, in pixels of the reference.
_LOOK = 48

#: Of a stack, at most so many other frames are fused with each, the nearest in its order.
NEAR = 4


def fuse(scenes: Sequence[Scene] | Scene, **options: Any) -> Scene:
    """Several scenes of one place as one, ``factor`` times finer, lazily; registration reads samples now.

    Args:
        scenes: scenes of one sensor and grid size, shifted by whatever they are; or one stack of frames at one place,
            such as a cine series, each frame of which is then fused with the nearest others. One scene of one frame
            gives what :func:`geomedsr.upscale` gives.
        options: see :func:`fuse_with_report`.

    Raises:
        InputError: scenes of another place, pixel size or number of bands; frames that are turned or of another
            scale; a reference that is none of them; and what ``upscale`` raises.
    """
    return fuse_with_report(scenes, **options)[0]


def fuse_with_report(
    scenes: Sequence[Scene] | Scene,
    *,
    reference: int = 0,
    factor: int | None = None,
    model: str | os.PathLike[str] | Model | None = None,
    prior: Literal["model", "bicubic"] = "model",
    conserve: bool = False,
    **upscaling: Any,
) -> tuple[Scene, FusionReport]:
    """As :func:`fuse`, with a report of the registration.

    Args:
        scenes: see there.
        reference: which of them the result lies on, from 0; it also gives bands, type, tags and nodata.
        factor: how many times finer; by default 4 for rasters, 2 for series, or the model's.
        model: whose single-image result is the prior; by default the one shipped for such scenes and the factor.
        prior: ``"bicubic"`` for the traditional way without a model. It is also the default for MR beyond ×2.
        conserve: make block means of the result equal the reference, noise and all. Not for MR.
        upscaling: what :func:`geomedsr.upscale` takes besides.
    """
    given = [scenes] if isinstance(scenes, Scene) else list(scenes)
    if not 0 <= reference < len(given):
        raise InputError(f"the reference {reference} of {len(given)} scenes", "one of them", "name one of the inputs")
    base = given[reference]
    chosen = _model(base, factor, model, prior, upscaling.get("realism"))
    scale = chosen.descriptor.scale
    if base.domain == "MR" and conserve:
        raise InputError(
            "conserve for MR", "none: averaged frames change the k-space", "leave it out, or use geomedsr upscale"
        )
    fused = tuple(band.kind == "continuous" for band in base.bands)
    picks = [i for i, on in enumerate(fused) if on]
    if not picks:
        raise InputError(f"{base.name} without a band of values", "at least one", "choose others")
    others = [scene for i, scene in enumerate(given) if i != reference]
    for other in others:
        _check_alike(base, other)
    views: list[tuple[View, ...]] = []
    reports: list[tuple[FrameReport, ...]] = []
    noise = np.zeros(len(base.bands))
    for frame in range(base.shape[0]):
        pieces = pieces_of(base.source, frame, picks)
        own = [float(np.median([noise_of(p.values[b], p.known[b]) for p in pieces])) for b in range(len(picks))]
        noise[picks] = np.maximum(noise[picks], own)
        candidates = _candidates(base, others, frame)
        found = [_one(base, pieces, *candidate, picks, own, scale) for candidate in candidates]
        views.append(tuple(view for view, _ in found if view is not None))
        reports.append(tuple(report for _, report in found))
    report = FusionReport(base.name, scale, tuple(reports), tuple(noise.tolist()))
    tell_dropped(report)
    if not any(views):
        return upscale(base, chosen, **upscaling), report
    if base.domain == "MR":
        mean = AveragedSource(
            base.source, tuple(views), fused, report.noise, tuple(b.nodata for b in base.bands), _limits(base)
        )
        start = upscale(replace(base, source=mean), chosen, **{**upscaling, "fitness": False})
        box = _amid(mean)
        error = mean.read(box)[0].astype(np.float64) - base.source.read(box)[0]
        deviation = _root_mean_square(error, base.source.valid(box)[0])
        return _scene(start, start.source, base, others, conserve=False), replace(report, deviation=deviation)
    start = upscale(base, chosen, **upscaling)
    source = FusedSource(
        whole=start.source,
        reference=base.source,
        views=tuple(views),
        scale=scale,
        fused=fused,
        noise=report.noise,
        nodata=tuple(band.nodata for band in start.bands),
        limits=_limits(start),
        conserve=conserve,
    )
    return _scene(start, source, base, others, conserve), replace(report, deviation=_deviation(source))


def _model(
    base: Scene,
    factor: int | None,
    model: str | os.PathLike[str] | Model | None,
    prior: str,
    realism: float | None,
) -> Model:
    """The model whose result is the prior.

    Raises:
        InputError: none is shipped for the factor, it makes another factor, or it keeps no block means; or the prior is
            bicubic, beside options of models.
    """
    if prior not in ("model", "bicubic"):
        raise InputError(f"the prior {prior}", "model or bicubic", "choose one")
    if prior == "bicubic" and (model is not None or realism is not None):
        given = "a model" if model is not None else "realism"
        raise InputError(f"the prior bicubic and {given}", "one of them", "leave the other out")
    if model is None:
        wanted = factor or (4 if base.domain == "satellite" else 2)
        name = _MODELS.get((base.domain, wanted))
        if prior == "bicubic" or (base.domain == "MR" and name is None):
            return bicubic_model(wanted, base.domain)
        if name is None:
            raise InputError(
                f"the factor {wanted} for {base.domain}",
                "2 or 4" if base.domain == "satellite" else "2",
                "give --model FILE, or --prior bicubic",
            )
        return load_model(name)
    found = model if isinstance(model, Model) else load_model(model)
    card = found.descriptor
    kept = ("block-mean", "k-space-crop") if base.domain == "MR" else ("block-mean",)
    if operators.get(card.operator).reduction not in kept or card.frame_factor > 1 or card.ports.inputs:
        raise InputError(f"the model {card.name} for fusing", "one that keeps block means of one image", "use another")
    if factor not in (None, card.scale):
        raise InputError(f"the factor {factor} for the model {card.name}", f"{card.scale}", "leave one of them out")
    return found


def _candidates(base: Scene, others: Sequence[Scene], frame: int) -> Iterator[tuple[Scene, int, str]]:
    """The frames that may be fused with a frame of the reference: scene, frame and name."""
    if base.shape[0] == 1 or others:
        yield from ((other, min(frame, other.shape[0] - 1), other.name) for other in others)
        return
    planes = base.grid.planes
    same = [i for i in range(base.shape[0]) if i != frame and (not planes or _same_place(planes[i], planes[frame]))]
    for other in sorted(sorted(same, key=lambda i: abs(i - frame))[:NEAR]):
        yield base, other, f"frame {other + 1}"


def _same_place(one: Any, other: Any) -> bool:
    return bool(
        np.allclose(one.position, other.position, atol=1e-3) and np.allclose(one.normal, other.normal, atol=1e-4)
    )


def _check_alike(base: Scene, other: Scene) -> None:
    """Raise an InputError unless two scenes are of one sensor and may be of one place."""
    names = f"{other.name} beside {base.name}"

    def refuse(got: str, expected: str, remedy: str) -> None:
        raise InputError(f"{names}: {got}", expected, remedy)

    if other.shape[1] != base.shape[1]:
        refuse(f"{other.shape[1]} and {base.shape[1]} bands", "the same bands in one order", "choose them with --bands")
    if base.shape[0] != other.shape[0]:
        refuse(f"{other.shape[0]} and {base.shape[0]} frames", "the same number", "choose single frames")
    if other.domain != base.domain:
        refuse(f"{other.domain} and {base.domain}", "images of one kind of sensor", "leave it out")
    if bool(base.grid.planes) != bool(other.grid.planes) or (base.grid.affine is None) != (other.grid.affine is None):
        refuse("only one of them is placed", "both or none", "leave it out")
    if base.grid.affine is None and other.shape[2:] != base.shape[2:]:
        refuse(
            f"sizes {other.shape[3]} × {other.shape[2]} and {base.shape[3]} × {base.shape[2]} without a place",
            "one size, or georeferencing",
            "crop them to the same ground",
        )
    if base.grid.affine is None:
        return
    if not same_crs(base.grid.crs, other.grid.crs):
        refuse("other CRSs", "one CRS", "reproject it with gdalwarp -t_srs")
    relation = ~base.grid.affine @ other.grid.affine
    if max(abs(relation.a - 1), abs(relation.e - 1), abs(relation.b), abs(relation.d)) * max(other.shape[2:]) > 0.1:
        refuse("pixels of another size or direction", "the same pixels, shifted", "leave it out, or resample it first")
    height, width = base.shape[2:]
    col, row = round(relation.c), round(relation.f)
    across = min(width, col + other.shape[3]) - max(0, col)
    down = min(height, row + other.shape[2]) - max(0, row)
    if min(across, down) <= 0:
        refuse("no overlap", "the same place", "leave it out")
    if min(across, down) <= FAR:
        refuse(f"{across} × {down} pixels in common", f"more than {FAR} along each axis", "leave it out")


def _nominal(base: Scene, other: Scene) -> tuple[int, int]:
    """Row and column of the reference where a scene's first pixel lies by its grid, to whole pixels."""
    if base.grid.affine is None or other.grid.affine is None:
        return 0, 0
    relation = ~base.grid.affine @ other.grid.affine
    return round(relation.f), round(relation.c)


def _one(
    base: Scene,
    pieces: Sequence[Piece],
    other: Scene,
    number: int,
    name: str,
    picks: Sequence[int],
    noise: Sequence[float],
    scale: int,
) -> tuple[View | None, FrameReport]:
    """A frame as a view of the reference, unless it is dropped.

    Raises:
        InputError: it is turned, or of another scale.
    """
    source = other.source.select(picks)
    found = registered(pieces, source, number, _nominal(base, other))
    if found is None:
        return None, FrameReport(name, dropped="its pixels do not say where it lies in the reference")
    report = FrameReport(
        name, found.shift[1], found.shift[0], found.back, found.alike, gains=found.gains, offsets=found.offsets
    )
    if found.back > _BACK:
        return None, replace(report, dropped=f"the two searches for its shift are {found.back:.2f} pixels apart")
    if found.alike < _ALIKE:
        return None, replace(report, dropped=f"its correlation with the reference is {found.alike:.2f}")
    _check_unturned(base, name, found)
    weight = _mean_trust(pieces, source, number, found, noise)
    report = replace(report, trust=weight)
    if weight < _TRUST:
        return None, replace(report, dropped=f"{1 - weight:.0%} of it shows something else than the reference")
    bands, position = len(base.bands), {band: i for i, band in enumerate(picks)}
    gains = tuple(found.gains[position[b]] if b in position else 1.0 for b in range(bands))
    offsets = tuple(found.offsets[position[b]] if b in position else 0.0 for b in range(bands))
    return View(other.source, number, Footprints(found.shift, scale), gains, offsets), report


def _check_unturned(base: Scene, name: str, found: Registered) -> None:
    for moved, what in ((found.turn, "a rotation"), (found.growth, "another scale")):
        if moved > _MOVED:
            raise InputError(
                f"{name} beside {base.name}: {what} that moves the corners by {moved:.1f} pixels or more",
                "a shift alone",
                "leave it out, or resample it onto the reference first",
            )


def _mean_trust(
    pieces: Sequence[Piece], source: Source, frame: int, found: Registered, noise: Sequence[float]
) -> float:
    """The mean weight of a frame's pixels in the pieces, with cubic interpolation in place of the prediction."""
    footprints, total, count = Footprints(found.shift, FINER), 0.0, 0
    for piece in pieces:
        window = piece.box.window
        ends = (window.row, window.row + window.height), (window.col, window.col + window.width)
        rows, columns = (footprints.pixels(axis, first + 2, last - 2) for axis, (first, last) in enumerate(ends))
        first, size = (rows[0], columns[0]), (rows[1] - rows[0], columns[1] - columns[0])
        if min(size) < SIDE:
            continue
        values, known = read_beyond(source, Box.of(frame, Window(first[1], first[0], size[1], size[0])))
        fine, origin = finer(piece.values), (window.row * FINER, window.col * FINER)
        data = piece.known.repeat(FINER, 1).repeat(FINER, 2).astype(np.float64)
        for band in range(len(values)):
            on = known[band] & (footprints.seen(data[band], origin, first, size) > 1 - 1e-9)
            seen = values[band] * found.gains[band] + found.offsets[band]
            weights = trust(seen, footprints.seen(fine[band], origin, first, size), on, noise[band])
            total, count = total + float(weights.sum()), count + int(on.sum())
    return total / count if count else 0.0


def _deviation(source: FusedSource) -> tuple[float, ...]:
    """Root mean square of what block means of the result are off the reference, band by band, amid the first frame."""
    box = _amid(source.reference)
    factors = Factors.in_plane(source.scale)
    error = block_error(source.reference.read(box), source.read(box.refined(factors)), factors)[0]
    return _root_mean_square(error, source.reference.valid(box)[0])


def _amid(source: Source) -> Box:
    """The window amid the first frame that deviations are measured in."""
    height, width = source.shape[2:]
    rows, columns = min(height, _LOOK), min(width, _LOOK)
    return Box.of(0, Window((width - columns) // 2, (height - rows) // 2, columns, rows))


def _root_mean_square(error: Array, valid: Array) -> tuple[float, ...]:
    """Of each band ``(band, y, x)``, over valid pixels; 0 where there are none."""
    return tuple(float(np.sqrt(np.mean(e[on] ** 2))) if on.any() else 0.0 for e, on in zip(error, valid, strict=True))


def _limits(scene: Scene) -> tuple[tuple[int, int] | None, ...]:
    return tuple(band.limits for band in scene.bands)


def _scene(start: Scene, source: Source, base: Scene, others: Sequence[Scene], conserve: bool) -> Scene:
    provenance = start.provenance
    names = {f"frame{i}": scene.name for i, scene in enumerate(others, 1)} or None
    return replace(
        start,
        source=source,
        name=f"{base.name} fused",
        files=tuple(dict.fromkeys([*start.files, *(file for scene in others for file in scene.files)])),
        provenance=replace(
            provenance,
            model=replace(provenance.model, inputs=names),
            agreement=replace(provenance.agreement, conserved="yes" if conserve else "no"),
            note="Fused from several images; detail finer than their pixels is computed, not measured",
        ),
    )
