"""Frames of MR averaged on the reference's own grid, before a model makes them finer.

A coarse MR image is the centre of k-space (:mod:`geomedsr.operators.k_space`). It holds no aliased frequencies, so
other frames say nothing about detail beyond its pixels; they only measure the same centre again, each with other noise.
The fine image that all frames could be views of has the mean of their centres, and beyond it what the model makes of
that. A shift is a linear phase in k-space, so frames are shifted exactly.
"""

from __future__ import annotations

import numpy as np

from geomedsr.fusion.fused import Fusing, View
from geomedsr.fusion.registration import read_beyond
from geomedsr.fusion.trust import trust, window_sum
from geomedsr.geometry import Box, Window
from geomedsr.operators.conserve import unconserved
from geomedsr.scene.sources import Array


class AveragedSource(Fusing):
    """Each frame of ``whole``, the reference, averaged with its ``views`` where these are trusted."""

    def touches(self, box: Box) -> Box:
        """The whole frames: a shift in k-space depends on every pixel."""
        return Box((box.frames.start, 0, 0), (box.frames.stop, *self.shape[2:]))

    def read(self, box: Box) -> Array:
        """Stored values of a box."""
        out, valid = np.array(self.whole.read(box)), self.whole.valid(box)
        height, width = self.shape[2:]
        for number, frame in enumerate(range(box.frames.start, box.frames.stop)):
            around = Box.of(frame, Window(0, 0, width, height))
            _, _, rows, columns = Box.of(frame, box.window).within(around).index
            for band in np.flatnonzero(self.fused):
                made = self._mean(int(band), around)[rows, columns]
                out[number, band] = np.where(valid[number, band], made, out[number, band])
        return out

    def _mean(self, band: int, around: Box) -> Array:
        """A band of a frame in the storage type: the mean of all frames, weighted by trust."""
        own, known = (plane[0] for plane in read_beyond(self.whole.select([band]), around))
        total, weight = np.where(known, own, 0), known.astype(np.float64)
        for view in self.views[around.frames.start]:
            values, usable = (plane[0] for plane in read_beyond(view.source.select([band]), _over(view, around)))
            values = np.where(usable, values * view.gains[band] + view.offsets[band], own)
            part = tuple(s - round(s) for s in view.footprints.shift)
            moved = shifted(values, (part[0], part[1]))
            trusted = trust(moved, own, _inside(usable) & known, self.noise[band])
            total, weight = total + trusted * moved, weight + trusted
        mean = (total / np.maximum(weight, 1))[None, None]
        one = np.ones((1, 1, 1, 1))
        return np.asarray(unconserved(mean, one * 0, one, self.dtype, self.nodata[band], self.limits[band])[0, 0])


def _over(view: View, around: Box) -> Box:
    """The box of a view that lies over one of the reference, to whole pixels."""
    down, right = (round(shift) for shift in view.footprints.shift)
    return Box.of(view.frame, around.window.shifted(-right, -down))


def shifted(values: Array, shift: tuple[float, float]) -> Array:
    """An image ``(y, x)``, float64, moved down and right by parts of a pixel: a linear phase in k-space.

    The outermost frequencies of even sizes keep their real part, as in :mod:`geomedsr.operators.k_space`.
    """
    if shift == (0.0, 0.0):
        return values
    rows, columns = (np.fft.fftfreq(length) * along for length, along in zip(values.shape, shift, strict=True))
    phase = np.exp(-2j * np.pi * (rows[:, None] + columns[None, :]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(values) * phase).real)


def _inside(usable: Array) -> Array:
    """Where all pixels of the trust's window are usable."""
    return np.asarray(window_sum((~usable).astype(np.float64)) == 0)
