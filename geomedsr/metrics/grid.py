"""The grid: whether the borders of the input's pixels show in a result, as larger or smaller steps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from geomedsr.geometry import Box, Factors
from geomedsr.geometry.stacking import volume_length
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


def steps(values: Array, counted: Array, scale: int, shape: tuple[int, int] | None = None) -> Array:
    """The sums for :func:`ratio` from a piece of a result; add them for several pieces.

    ``values`` are ``(…, y, x)`` and begin at the first fine pixel of an input pixel; ``counted``, broadcast to their
    shape, tells which pixels count. A step is the absolute difference of two neighbours that both count. It belongs to
    the piece with the upper or left one of the two. If a piece of ``shape`` ends inside the image, ``values`` therefore
    hold one more row and column.

    Returns:
        ``(…, 2, 2, 2)``, float64: vertical and horizontal steps; at borders of input pixels and inside; sum and number.
    """
    height, width = shape or values.shape[-2:]
    counted = np.broadcast_to(counted, values.shape)
    found = np.zeros((*values.shape[:-2], 2, 2, 2))
    pieces = (..., slice(height + 1), slice(width)), (..., slice(height), slice(width + 1))
    for direction, (axis, piece) in enumerate(zip((-2, -1), pieces, strict=True)):
        known = np.moveaxis(counted[piece], axis, -1)
        both = known[..., 1:] & known[..., :-1]
        with np.errstate(over="ignore", invalid="ignore"):
            each = np.where(both, np.abs(np.diff(np.moveaxis(values[piece].astype(np.float64), axis, -1))), 0)
        border = np.arange(both.shape[-1]) % scale == scale - 1
        for kind, where in enumerate((border, ~border)):
            found[..., direction, kind, 0] = each[..., where].sum((-2, -1))
            found[..., direction, kind, 1] = both[..., where].sum((-2, -1))
    return found


def ratio(sums: Array) -> Array:
    """The mean step at borders divided by the mean step inside, in the worst direction: ``(…, n, 2, 2)`` to ``(…)``.

    1 if the input's pixels do not show, more if they show as blocks. NaN if no steps count, or if all steps are 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[..., 0] / sums[..., 1]
        return worst(mean[..., 0] / mean[..., 1])


def worst(values: Array) -> Array:
    """The largest value along the last axis, ignoring NaN; NaN if all are."""
    known = ~np.isnan(values)
    largest: Array = np.where(known, values, -np.inf).max(-1)
    return np.where(known.any(-1), largest, np.nan)


def shown(result: Scene, pieces: Iterable[Box], factors: Factors) -> list[str]:
    """In words, how much the source's pixels show in the worst continuous band of a result; empty if undefined.

    ``pieces`` are boxes that together cover the source; they are read one at a time. Where only slices are new, the
    faces of the source's slices are what shows.
    """
    if factors.y == factors.x == 1 < factors.frame:
        return _shown_across(result, pieces, factors)
    picks = [i for i, band in enumerate(result.bands) if band.kind == "continuous"]
    sums = np.zeros((len(picks), 2, 2, 2))
    for box in pieces:
        fine = box.refined(factors)
        last, bottom, right = fine.stop
        wider = Box(fine.start, (last, bottom + 1, right + 1)) & Box.whole(result.shape)
        values, valid = result.source.read(wider)[:, picks], result.source.valid(wider)[:, picks]
        sums += steps(values, valid, factors.y, fine.shape[1:]).sum(0)
    found = ratio(sums)
    if np.isnan(found).all():
        return []
    band = int(np.nanargmax(found))
    whose = f" ({result.bands[picks[band]].name})" if len(picks) > 1 else ""
    return [f"steps across borders of the source's pixels are {found[band]:.3g} times those within{whose}"]


def slice_steps(values: Array, counted: Array, factor: int, first: int, length: int) -> Array:
    """The sums for :func:`ratio` of steps from slice to slice: at faces of the source's slices, and within them.

    ``values`` ``(frame, …)`` begin with the new slice ``first`` of a series whose volumes have ``length`` new slices,
    and end with one that the next piece begins with; ``counted`` are alike.

    Returns:
        ``(1, 2, 2)``, float64: at faces and within; sum and number.
    """
    found = np.zeros((1, 2, 2))
    for number in range(len(values) - 1):
        place = first + number + 1
        if place % length:  # not from one volume to the next
            both = counted[number] & counted[number + 1]
            each = np.abs(values[number + 1].astype(np.float64) - values[number].astype(np.float64))[both]
            found[0, int(place % factor != 0)] += each.sum(), each.size
    return found


def _shown_across(result: Scene, pieces: Iterable[Box], factors: Factors) -> list[str]:
    length = volume_length(result.grid.planes) if result.grid.planes else result.shape[0]
    sums = np.zeros((1, 2, 2))
    for box in pieces:
        fine = box.refined(factors)
        wider = Box(fine.start, (fine.stop[0] + 1, *fine.stop[1:])) & Box.whole(result.shape)
        values, valid = result.source.read(wider), result.source.valid(wider)
        sums += slice_steps(values, valid, factors.frame, fine.start[0], length)
    found = float(ratio(sums))
    return [] if np.isnan(found) else [f"steps across faces of the source's slices are {found:.3g} times those within"]
