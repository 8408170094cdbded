"""Views of a fine image as a shifted sensor would take them, for tests and benchmarks that must know the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from geomedsr.fusion.averaged import shifted
from geomedsr.fusion.footprints import Footprints
from geomedsr.operators.k_space import KSpaceCrop
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


def view(
    fine: Array,
    shift: tuple[float, float],
    scale: int,
    noise: Any = 0.0,
    rng: np.random.Generator | None = None,
    gain: float = 1.0,
    offset: float = 0.0,
) -> Scene:
    """What a sensor of ``scale`` times larger pixels shows of a fine image.

    Args:
        fine: ``(band, y, x)``, in stored units of uint16.
        shift: where its pixel (0, 0) lies, ``(rows, columns)`` in its own pixels.
        scale: how many fine pixels one has along an axis.
        noise: standard deviation of Gaussian noise, in stored units; one number, or one for each band.
        rng: where the noise comes from; by default always the same.
        gain: stored values are ``gain · (mean + noise) + offset``.
        offset: see there.

    Returns:
        A scene of uint16. Pixels that lie partly outside the fine image are no data.
    """
    rng = rng or np.random.default_rng(0)
    prints, shape = Footprints(shift, scale), (fine.shape[1] // scale, fine.shape[2] // scale)
    ends = [prints.pixels(axis, 0, length) for axis, length in enumerate(shape)]
    rows, columns = (slice(max(a, 0), min(b, length)) for (a, b), length in zip(ends, shape, strict=True))
    first, count = (rows.start, columns.start), (rows.stop - rows.start, columns.stop - columns.start)
    values, valid = np.zeros((len(fine), *shape)), np.zeros((len(fine), *shape), bool)
    for band, plane in enumerate(np.asarray(fine, np.float64)):
        values[band, rows, columns] = prints.seen(plane, (0, 0), first, count)
    valid[:, rows, columns] = True
    values += rng.normal(size=values.shape) * np.broadcast_to(noise, len(fine))[:, None, None]
    stored = np.clip(np.rint(values * gain + offset), 1, np.iinfo(np.uint16).max)
    name = f"view at {shift[0]:+.2f}, {shift[1]:+.2f}"
    return Scene.from_array(np.where(valid, stored, 0).astype(np.uint16)[None], valid=valid[None], name=name)


def acquisition(
    fine: Array, shift: tuple[float, float], scale: int, noise: float, rng: np.random.Generator, gain: float = 1.0
) -> Scene:
    """What an MR scanner that samples the centre of k-space shows of a fine image.

    Args:
        fine: ``(y, x)``, in stored units of uint16.
        shift: where its pixel (0, 0) lies, ``(rows, columns)`` in its own pixels.
        scale: how many fine pixels one has along an axis.
        noise: standard deviation of Gaussian noise, in stored units.
        rng: where the noise comes from.
        gain: stored values are ``gain · (image + noise)``.

    Returns:
        A scene of uint16, of the domain MR.
    """
    moved = torch.from_numpy(shifted(fine, (-scale * shift[0], -scale * shift[1])))
    coarse = KSpaceCrop().forward(moved[None, None], scale)[0, 0].numpy()
    stored = np.clip(np.rint(gain * (coarse + rng.normal(0, noise, coarse.shape))), 0, np.iinfo(np.uint16).max)
    name = f"frame at {shift[0]:+.2f}, {shift[1]:+.2f}"
    return Scene.from_array(stored.astype(np.uint16)[None, None], domain="MR", name=name)
