"""The angle between spectra: a difference in colour, regardless of brightness."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from geomedsr.losses.loss import Loss, Sample

#: Spectra with a smaller norm (normalised values) have no defined direction.
SHORTEST = 1e-3


class SpectralAngle(Loss):
    """``mean arccos (⟨SR, HR⟩ / (‖SR‖ ‖HR‖))`` in radians over pixels; a spectrum has one value per band.

    The spectral angle mapper of Kruse et al. 1993, doi:10.1016/0034-4257(93)90013-N; at least two bands. A pixel counts
    as 0 if the norm of its spectrum in SR or HR is below :data:`SHORTEST`. Angles are between normalised values. They
    equal angles between reflectances only if the value scale begins at 0 for all bands
    (``values: {scale: physical, range: [0, …]}``).

    Computed as ``2 arctan (‖u − v‖ / ‖u + v‖)`` for the unit spectra u and v, which is the same angle, because the
    slope of arccos is infinite where they agree.
    """

    kind: Literal["spectral-angle"] = "spectral-angle"

    def __call__(self, sample: Sample) -> torch.Tensor:
        """The mean over all pixels, in radians."""
        made, real = sample.sr.movedim(1, -1), sample.hr.movedim(1, -1)
        directed = torch.minimum(_length(made), _length(real)) >= SHORTEST
        u, v = F.normalize(made[directed], dim=-1), F.normalize(real[directed], dim=-1)
        angles = 2 * torch.atan2(_length(u - v), _length(u + v))
        return angles.sum() / directed.numel()


def _length(spectra: torch.Tensor) -> torch.Tensor:
    length: torch.Tensor = torch.linalg.vector_norm(spectra, dim=-1)
    return length
