"""The central k-space crop: a coarse MR image holds the low spatial frequencies of the fine one.

MR samples k-space, the image's Fourier transform, up to a frequency that determines the pixel size. So a coarse
acquisition is the centre of a fine one. Two details keep image and k-space in register:

- The centre of ``n`` samples lies at index ``n // 2``, so the crop to ``m`` begins at ``n // 2 − m // 2``: the
  DC component stays at the centre, whether a size is even, odd, or 2 modulo 4.
- A coarse pixel's centre lies ``(s − 1) / 2`` fine pixels from the centre of its first fine pixel. The crop alone would
  align the centres of the first coarse and the first fine pixel; a linear phase in k-space shifts the image exactly.

For an even size the outermost frequency, −m/2, has no counterpart: it is the same as +m/2. It is
left out of ``project`` and of every comparison (:func:`central`). ``forward`` keeps its real part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch

from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.operators import large
from geomedsr.operators.conserve import unconserved
from geomedsr.operators.operator import Observation, Operator
from geomedsr.operators.sub_pixel import merged
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array

#: Rounding changes a pixel of the low-resolution image by less than this, in counts (floats: as a share of the range).
ROUNDING, FLOAT_ROUNDING = 1.0, 1e-5

#: The error of a float64 transform is less than this share of the range; for 64-bit integers that exceeds a count.
TRANSFORM = 1e-14

#: Clipping values that the type cannot hold, such as ringing below 0, changes more. Whether clipping explains a
#: deviation is tested by this many rounds of projection, which must end at most this many counts apart.
ROUNDS, GAP = 100, 0.5

#: If the gap after the last round is less than this share of the deviation, more rounds might close it: undecided.
OPEN = 1 / 100


class KSpaceCrop(Operator):
    """``forward(x)`` = the image of the central ``1/s × 1/s`` of k-space; every pixel depends on the whole frame.

    ``forward`` and ``project`` take float tensors with axes ``(B, C, H, W)`` and compute in their precision. Images are
    periodic, as the discrete Fourier transform assumes.
    """

    name = "k-space-crop"
    keeps = "central k-space"
    reduction = "k-space-crop"
    whole_frames = True
    seen = "k-space image"
    #: In float64, 80 bytes are in use. The C library retains more between transforms (``devices.keep_memory``), an
    #: amount that varies between runs. This is the largest that was measured; a test measures it again.
    held = 158

    def forward(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """``(B, C, s·H, s·W)`` to ``(B, C, H, W)``; the image's mean is kept."""
        height, width = fine.shape[-2] // scale, fine.shape[-1] // scale
        spectrum = torch.fft.fftshift(torch.fft.fft2(fine), dim=(-2, -1))
        top, left = fine.shape[-2] // 2 - height // 2, fine.shape[-1] // 2 - width // 2
        crop = spectrum[..., top : top + height, left : left + width] * _shift(fine, height, width, scale)
        coarse: torch.Tensor = torch.fft.ifft2(torch.fft.ifftshift(crop, dim=(-2, -1))).real / scale**2
        return coarse

    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """``fine`` with its central k-space replaced by that of ``coarse``, except for the Nyquist lines of even sizes.

        ``central(forward(result)) = central(coarse)``, up to float rounding.
        """
        return fine + _up(central(coarse - self.forward(fine, scale)), scale)

    def agree(self, seen: Observation, planes: Array, out: Array) -> float:
        """Keep the central k-space of each frame, apart from rounding and clipping."""
        scale = seen.factors.y
        fine = torch.from_numpy(merged(planes, seen.factors)).double()
        near = large.anchor(seen.low, seen.low + seen.span, out.dtype)
        if near is not None:
            return self._agree_large(seen, fine, near, out)
        exact = self.project(fine, seen.tensor().double(), scale).numpy()
        out[...] = unconserved(exact, seen.low, seen.span, out.dtype, seen.nodata, seen.limits)
        error = torch.from_numpy(out - (exact * seen.span + seen.low))
        return float(central(self.forward(error, scale)).abs().max())

    def _agree_large(self, seen: Observation, fine: torch.Tensor, near: Array, out: Array) -> float:
        """The same for integers that float32 cannot represent exactly: computed relative to one of them, ``near``."""
        scale = seen.factors.y
        shift = seen.low - near.astype(np.float64)
        filled = seen.tensor().numpy() * seen.span + shift
        given = torch.from_numpy(np.where(seen.data(), large.beyond(seen.stored, near), filled))
        exact = self.project(torch.from_numpy(fine.numpy() * seen.span + shift), given, scale).numpy()
        out[...] = large.rounded(exact, near, seen.limits, seen.nodata)
        error = torch.from_numpy(large.beyond(out, near) - exact)
        return float(central(self.forward(error, scale)).abs().max())

    def determined(self, coarse: torch.Tensor) -> torch.Tensor:
        """The image without the Nyquist lines of even sizes."""
        return central(coarse)

    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """Whether the central k-space of each frame is the source's, apart from rounding and clipping."""
        limits = source.limits
        worst, moved, unsettled, share, checked = 0.0, 0, 0, 0.0, 0
        for box in boxes:
            if not source.source.valid(box).all():
                continue  # padding has no k-space
            checked += 1
            stored = source.source.read(box), result.source.read(box.refined(factors))
            low, high = (np.array([float(end)]) for end in (stored[0].min(), stored[0].max()))
            base = large.anchor(low, high, source.dtype)
            if base is None or result.dtype != source.dtype:
                before, after = (torch.from_numpy(values.astype(np.float64)) for values in stored)
                shifted: tuple[float, float] | None = limits
            else:  # too large for floats: relative to one of them
                before, after = (torch.from_numpy(large.beyond(values, base)) for values in stored)
                shifted = None if limits is None else (limits[0] - float(base.item()), limits[1] - float(base.item()))
            error = central(self.forward(after, factors.y) - before).abs()
            span = float(before.max() - before.min()) or 1.0
            rounding = FLOAT_ROUNDING * span if source.dtype.kind == "f" else ROUNDING + TRANSFORM * span
            largest = float(error.max())
            if largest > rounding:
                explained = self._by_clipping(before, after, factors.y, shifted, largest)
                moved, unsettled = moved + (explained is False), unsettled + (explained is None)
            if largest > worst:
                worst, share = largest, largest / span
        name = "the central k-space is the source's, up to rounding and clipping"
        if not checked:
            return Check(name, None, "every slice holds padding, which has no k-space")
        detail = f"largest deviation {worst:.2g} counts, {share:.2%} of its slice's range"
        detail += f"; {moved} slices off by more than that explains" if moved else ""
        detail += f"; {unsettled} slices of so many clipped pixels that these may explain it" if unsettled else ""
        left = source.shape[0] - checked
        detail += f"; {left} slices with padding not checked" if left else ""
        return Check(name, None if not asked or (unsettled and not moved) else not moved, detail)

    def _by_clipping(
        self,
        before: torch.Tensor,
        after: torch.Tensor,
        scale: int,
        limits: tuple[float, float] | None,
        deviation: float,
    ) -> bool | None:
        """Whether some image with the source's central k-space becomes the result when it is rounded and clipped.

        None if undecided: the rounds found no such image, but the gap that is left is small compared to the deviation.
        Full-range noise takes thousands of rounds.

        Projections alternate between two sets: images with that k-space, and images that round and clip to the result.
        The latter lie within half a count of each value, and are unbounded beyond values at the type's limits. Each
        round is extrapolated from the one before (Nesterov's acceleration, in the form of Beck and Teboulle, 2009).
        Without acceleration, a dark image with many clipped pixels takes five times as many rounds.
        """
        if limits is None:
            return False
        infinity = torch.tensor(float("inf"), dtype=torch.float64)
        least, most = map(float, limits)
        low = torch.where(after <= least, -infinity, after - 0.5)
        high = torch.where(after >= most, infinity, after + 0.5)
        found = estimate = self.project(after, before, scale)
        pace, gap = 1.0, GAP + TRANSFORM * float(before.max() - before.min())
        for _ in range(ROUNDS):
            allowed = torch.maximum(torch.minimum(estimate, high), low)
            apart = float((estimate - allowed).abs().max())
            if apart <= gap:
                return True
            last, found = found, self.project(allowed, before, scale)
            slower, pace = pace, (1 + math.sqrt(1 + 4 * pace**2)) / 2
            estimate = found + (slower - 1) / pace * (found - last)
        return None if apart <= OPEN * deviation else False


def central(coarse: torch.Tensor) -> torch.Tensor:
    """An image without the Nyquist lines of its even axes: the part that a crop of k-space determines.

    Float ``(…, H, W)``; the result has the same shape.
    """
    height, width = coarse.shape[-2:]
    spectrum = torch.fft.fft2(coarse)
    if height % 2 == 0:
        spectrum[..., height // 2, :] = 0
    if width % 2 == 0:
        spectrum[..., :, width // 2] = 0
    determined: torch.Tensor = torch.fft.ifft2(spectrum).real
    return determined


def _up(coarse: torch.Tensor, scale: int) -> torch.Tensor:
    """Zero-filling: the fine image whose k-space is the one of ``coarse`` in the centre and 0 elsewhere."""
    height, width = coarse.shape[-2:]
    fine = torch.zeros(
        *coarse.shape[:-2], height * scale, width * scale, dtype=torch.complex64, device=coarse.device
    ).to(torch.promote_types(coarse.dtype, torch.complex64))
    top, left = fine.shape[-2] // 2 - height // 2, fine.shape[-1] // 2 - width // 2
    spectrum = torch.fft.fftshift(torch.fft.fft2(coarse), dim=(-2, -1))
    fine[..., top : top + height, left : left + width] = spectrum * _shift(fine.real, height, width, scale).conj()
    image: torch.Tensor = torch.fft.ifft2(torch.fft.ifftshift(fine, dim=(-2, -1))).real * scale**2
    return image


def _shift(fine: torch.Tensor, height: int, width: int, scale: int) -> torch.Tensor:
    """The phase, for centred k-space, that moves the first coarse pixel's centre to the middle of the first block."""
    move = (scale - 1) / 2  # fine pixels
    options = {"dtype": torch.float64, "device": fine.device}
    rows = torch.arange(-(height // 2), height - height // 2, **options) * (move / fine.shape[-2])  # type: ignore[call-overload]
    cols = torch.arange(-(width // 2), width - width // 2, **options) * (move / fine.shape[-1])  # type: ignore[call-overload]
    angle = 2 * torch.pi * (rows[:, None] + cols[None, :])
    return torch.polar(torch.ones_like(angle), angle).to(torch.promote_types(fine.dtype, torch.complex64))
