"""The profile of a series' slices: as its header tells it, or estimated from the series itself.

An estimate compares how values vary from slice to slice with how they vary in plane, where the same anatomy is seen
finely: lines in plane, seen through a profile at the slices' distance, must be as rough as lines across the slices.
Roughness is the ratio of mean square second differences to mean square first differences over two steps, which does
not depend on contrast. Noise is averaged beforehand over some millimetres beside each line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from geomedsr.errors import InputError
from geomedsr.geometry import Box, Window
from geomedsr.geometry.profile import NARROWEST, WIDEST, Profile
from geomedsr.geometry.stacking import volume_length

if TYPE_CHECKING:
    from geomedsr.scene.scene import Scene
    from geomedsr.scene.sources import Array

#: Slices and slice distances in plane below which nothing is estimated.
_LEAST_SLICES, _LEAST_ACROSS = 12, 8

#: Values beside a line that are averaged against noise, in mm; slices whose lines are looked at; the side of what is.
_BESIDE, _MOST, _SIDE = 3.0, 16, 384

#: Widths that are tried, and samples for each slice distance.
_WIDTHS, _FINE = np.arange(NARROWEST, WIDEST + 0.01, 0.1), 9

#: Wider bells are not estimated: anatomy that changes slowly from slice to slice would be taken for a wide bell.
_WIDEST_FOUND = 1.25

#: A box has the variance of a bell 0.8 wide. Bells up to this width cannot be told from it.
_BOX_UP_TO = 0.9


def apart(scene: Scene) -> float | None:
    """The distance between neighbouring slices of a series along their normal, in mm; None of a single one."""
    planes = scene.grid.planes[: volume_length(scene.grid.planes)] if scene.grid.planes else ()
    if len(planes) < 2:
        return None
    return abs(planes[-1].depth - planes[0].depth) / (len(planes) - 1) or None


def stated(scene: Scene) -> Profile | None:
    """The profile that a header's slice thickness tells: of CT a bell so wide at half its height, of others a box.

    CT's nominal thickness is the width at half height of its sensitivity profile (IEC 60601-2-44). None where there is
    no thickness, or where it is so far from the distance that slices leave gaps or are no such bells.
    """
    between = apart(scene)
    thickness = scene.grid.planes[0].thickness if scene.grid.planes else None
    if between is None or thickness is None:
        return None
    width = thickness / between
    if not NARROWEST <= width <= WIDEST:
        return None
    return Profile(round(width, 3) if scene.domain == "CT" else 0.0, "header")


def estimated(scene: Scene) -> Profile | None:
    """The profile by which lines across the slices are as rough as lines in plane; None of a series too small for it.

    Up to some slices, and the middle of each, are read. The scene's value scale tells which values count.
    """
    between, length = apart(scene), volume_length(scene.grid.planes) if scene.grid.planes else 0
    spacing = scene.grid.planes[0].spacing if scene.grid.planes else (1.0, 1.0)
    window = _middle(scene)
    sides = window.height * spacing[0], window.width * spacing[1]
    if between is None or length < _LEAST_SLICES or min(sides) < _LEAST_ACROSS * between:
        return None
    beside = [max(1, round(_BESIDE / each)) for each in spacing]
    lines = np.stack([_averaged(_averaged(plane, 0, beside[0]), 1, beside[1]) for plane in _planes(scene, window, 1)])
    across = _roughness(lines)
    found = np.zeros((2, len(_WIDTHS), 2))
    for plane in _planes(scene, window, max(1, length // _MOST)):
        for axis in (0, 1):
            alone = np.moveaxis(_averaged(plane, 1 - axis, beside[1 - axis]), axis, 0)
            for number, width in enumerate(_WIDTHS):
                found[axis, number] += _sums(_through(alone, spacing[axis], between, float(width)))
    rough = (found[..., 0] / np.maximum(found[..., 1], 1e-12)).mean(0)
    if not np.isfinite(across) or across <= 0 or rough.min() <= 0:
        return None
    # smoother the wider: from the widest on, so that values rise
    width = min(float(np.interp(across, rough[::-1], _WIDTHS[::-1])), _WIDEST_FOUND)
    return Profile(0.0 if width <= _BOX_UP_TO else round(width, 2), "estimated")


def _middle(scene: Scene) -> Window:
    height, width = scene.grid.shape
    rows, columns = min(height, _SIDE), min(width, _SIDE)
    return Window((width - columns) // 2, (height - rows) // 2, columns, rows)


def _planes(scene: Scene, window: Window, step: int) -> Iterator[Array]:
    """Slices of the first volume in the network's numbers, from 0 to 1, no data as 0."""
    for frame in range(0, volume_length(scene.grid.planes), step):
        box = Box.of(frame, window)
        numbers = scene.values.normalise(scene.source.read(box), box.frames)[0, 0].numpy()
        yield np.where(scene.source.valid(box)[0, 0], np.clip(numbers, 0, 1), 0).astype(np.float64)


def _averaged(plane: Array, axis: int, count: int) -> Array:
    """Means of so many values along an axis, side by side."""
    plane = np.moveaxis(plane, axis, 0)
    whole = plane[: len(plane) // count * count]
    return np.moveaxis(whole.reshape(-1, count, *plane.shape[1:]).mean(1), 0, axis)


def _through(lines: Array, spacing: float, between: float, width: float) -> Array:
    """Lines along the first axis seen through a bell, every ``between`` mm."""
    weights = Profile(width).weights(_FINE)
    reach = len(weights) // _FINE // 2
    places = ((np.arange(len(weights)) + 0.5) / _FINE - 0.5 - reach) * between / spacing
    step, edge = between / spacing, (reach + 1) * between / spacing
    centres = np.arange(edge, len(lines) - 1 - edge, step)
    seen = np.zeros((len(centres), *lines.shape[1:]))
    for place, weight in zip(places, weights, strict=True):
        at = centres + place
        below = np.floor(at).astype(int)
        share = (at - below)[:, None]
        seen += weight * ((1 - share) * lines[below] + share * lines[below + 1])
    return seen


def _sums(lines: Array) -> tuple[float, float]:
    """Sums of squares of second differences, and of first differences over two steps, along the first axis."""
    second, first = lines[:-2] - 2 * lines[1:-1] + lines[2:], lines[2:] - lines[:-2]
    return float((second**2).sum()), float((first**2).sum())


def _roughness(lines: Array) -> float:
    second, first = _sums(lines)
    return second / first if first else float("nan")


def with_profile(scene: Scene, asked: str | float | None) -> Scene:
    """The scene with a profile of its slices.

    Args:
        scene: a series or a volume.
        asked: ``"box"``; a bell's full width at half its height in mm; ``"estimate"`` or ``"header"``; by default the
            header's, else the estimate, else a box.

    Raises:
        InputError: no such profile, or one that slices this far apart cannot have; nothing to tell it from.
    """
    between = apart(scene)
    if asked == "box":
        return replace(scene, profile=Profile())
    if asked is None:
        return replace(scene, profile=stated(scene) or estimated(scene) or Profile(0.0, "assumed"))
    if asked == "estimate":
        found = estimated(scene)
        if found is None:
            raise InputError(
                f"--profile estimate for {scene.name} of {scene.shape[0]} slices",
                f"at least {_LEAST_SLICES} slices, {_LEAST_ACROSS} times as wide as they are apart",
                "give the width in mm, or --profile box",
            )
        return replace(scene, profile=found)
    if asked == "header":
        if (told := stated(scene)) is None:
            raise InputError(
                f"--profile header for {scene.name}, whose header tells no such thickness",
                "a slice thickness that fits the distance",
                "give the width in mm, or --profile box",
            )
        return replace(scene, profile=told)
    try:
        width = float(asked)
        ratio = width / (between or width)
        return replace(scene, profile=Profile(round(ratio, 4)))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"--profile {asked}" + (f" for slices {between:.4g} mm apart" if between else ""),
            "box, estimate, header, or a width of "
            + (f"{NARROWEST * between:.3g} to {WIDEST * between:.3g} mm" if between else "some mm"),
            "choose one of these",
        ) from error
