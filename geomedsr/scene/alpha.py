"""Alpha bands that may be data: some writers mark the fourth band of an image as alpha by default."""

from __future__ import annotations

import numpy as np

from geomedsr.geometry import Box
from geomedsr.scene.sampling import spread_windows
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array, Source

#: Alpha has few values. With soft edges it has many, but most pixels are still opaque or transparent.
_VALUES, _EXTREME = 16, 0.5


def doubt(scene: Scene) -> str | None:
    """Why a band marked as alpha may be data, and what to do if it is; None without such evidence."""
    found = scene.source.veil()
    if found is None:
        return None
    number, band = found
    alpha, under = _samples(band, scene.source)
    values = np.unique(alpha)
    extreme = float(np.isin(alpha, [0, _full(alpha)]).mean())
    if len(values) > _VALUES and extreme < _EXTREME:
        why = f"has {len(values)} values, few of them transparent or opaque, as data has"
    elif any(len(np.unique(band)) > _VALUES for band in under):
        why = f"makes {(alpha == 0).mean():.2g} of the pixels transparent that hold data"
    else:
        return None
    name = next((band.name for band in scene.bands if band.interpretation == "alpha"), str(number))
    asked = [band.name for band in scene.bands if band.interpretation != "alpha"] + [f"nir={name}"]
    return (
        f"{scene.name}: band {name}, marked as alpha, {why}; it is repeated and taken for a mask. "
        f"If it shows something, say what: --bands {','.join(asked)}"
    )


def _full(alpha: Array) -> float:
    """The value of opaque pixels."""
    return float(alpha.max()) if alpha.dtype.kind == "f" else float(np.iinfo(alpha.dtype).max)


def _samples(band: Source, source: Source) -> tuple[Array, list[Array]]:
    """A sample of the alpha, and the values of the first three bands where it is 0."""
    first = source.select(range(min(source.shape[1], 3)))
    alphas, under = [], [[np.empty(0, source.dtype)] for _ in range(first.shape[1])]
    for window in spread_windows(*source.shape[2:]):
        box = Box.of(0, window)
        alpha = band.read(box)[0, 0]
        alphas.append(alpha.ravel())
        if not alpha.all():
            for parts, values in zip(under, first.read(box)[0], strict=True):
                parts.append(values[alpha == 0])
    return np.concatenate(alphas), [np.concatenate(parts) for parts in under]
