"""A regression of coarse bands on a guide, estimated on the scene itself: a model for where none was trained."""

from __future__ import annotations

import numpy as np

from geomedsr._version import __version__
from geomedsr.errors import InputError
from geomedsr.geometry import Box, Factors
from geomedsr.models.descriptor import Descriptor
from geomedsr.models.ports import Port, Ports
from geomedsr.models.regression import NAME, FittedModel, fitted
from geomedsr.scene.sampling import spread_windows
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: What the command line and provenance call such a model.
REGRESSION = "regression"

#: Coarse pixels that it is estimated on, at most, in blocks of this side.
_PIXELS, _SIDE = 1 << 17, 64

#: The fewest pixels for each number that is estimated.
_LEAST = 8

#: Ridge: what is added to the guide bands' variance, as a share of its mean, so that bands that are alike share weight.
_RIDGE = 1e-4


def regression(coarse: Scene, guide: Scene, factor: int) -> FittedModel:
    """The model that explains the continuous bands of a coarse scene by a guide on a grid ``factor`` times finer.

    Least squares with a small ridge between the coarse pixels and the guide's block means, in normalised units, over
    blocks spread over the scene: a few pixels are read now. See :class:`geomedsr.models.regression.GuidedRegression`.

    Raises:
        InputError: too few pixels where both are data, or a guide without anything to tell from.
    """
    computed = [i for i, band in enumerate(coarse.bands) if band.kind == "continuous"]
    x, y = _samples(coarse.select([i + 1 for i in computed]), guide, factor)
    if len(x) < _LEAST * (x.shape[1] + 1):
        raise InputError(
            f"{len(x)} pixels of {coarse.name} on which the guide {guide.name} is data",
            f"at least {_LEAST * (x.shape[1] + 1)}",
            "give a guide that covers more of it",
        )
    weights, offsets = _least_squares(x, y)
    card = Descriptor(
        name=REGRESSION,
        version=__version__,
        architecture=NAME,
        scale=factor,
        channels=len(computed),
        ports=Ports(inputs=(Port(name="guide", bands=names(guide), factors=(1, factor, factor)),)),
        domain=coarse.domain,
        value_range=(1, 99),
        description="least squares of this scene's own pixels",
    )
    return fitted(card.model_dump_json(), weights.tolist(), offsets.tolist())


def names(guide: Scene) -> tuple[str, ...]:
    """Names of a guide's bands, each once."""
    found = [band.name for band in guide.bands]
    return tuple(name if found.count(name) == 1 else f"{name}#{i}" for i, name in enumerate(found, 1))


def _samples(coarse: Scene, guide: Scene, factor: int) -> tuple[Array, Array]:
    """Normalised values of the guide, reduced, and of the image: ``(pixel, band)`` each, where all bands are data."""
    by, (_, _, height, width) = Factors.in_plane(factor), coarse.shape
    xs, ys = [], []
    for window in spread_windows(height, width, _PIXELS, _SIDE):
        for frame in range(coarse.shape[0]):
            box = Box.of(frame, window)
            there = box.refined(by)
            whole = np.all(_blocks(guide.source.valid(there), factor), (1, 3, 5))
            known: Array = np.all(coarse.source.valid(box), 1) & whole
            if not known.any():
                continue
            fine = guide.values.normalise(np.where(guide.source.valid(there), guide.source.read(there), 0), box.frames)
            image = coarse.values.normalise(coarse.source.read(box), box.frames)
            x = _blocks(fine.numpy().astype(np.float64), factor).mean((-3, -1))
            xs.append(np.moveaxis(x, 1, -1)[known])
            ys.append(np.moveaxis(image.numpy().astype(np.float64), 1, -1)[known])
    if not xs:
        return np.empty((0, guide.shape[1])), np.empty((0, coarse.shape[1]))
    return np.concatenate(xs), np.concatenate(ys)


def _blocks(array: Array, factor: int) -> Array:
    """``(…, s·H, s·W)`` as ``(…, H, s, W, s)``."""
    *lead, height, width = array.shape
    return array.reshape(*lead, height // factor, factor, width // factor, factor)


def _least_squares(x: Array, y: Array) -> tuple[Array, Array]:
    """Weights ``(band, guide band)`` and offsets ``(band,)``."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    centred = x - mean_x
    square = centred.T @ centred / len(x)
    ridge = _RIDGE * max(float(np.trace(square)) / len(square), 1e-12)
    weights = np.linalg.solve(square + ridge * np.eye(len(square)), centred.T @ (y - mean_y) / len(x)).T
    return weights, mean_y - weights @ mean_x
