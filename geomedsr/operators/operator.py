"""What an observation operator is: the forward model of a sensor, and the agreement that follows from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.scene.provenance import texts
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


@dataclass(frozen=True)
class Observation:
    """What was observed where a result is made, of the bands that are made at once.

    ``stored`` are the input's stored values ``(frame, band, y, x)``, ``factors`` how many times finer the result is.
    ``low`` and ``span``, of axes ``(frame or 1, band, 1, 1)``, bring the network's numbers back to those units:
    stored = number × span + low. ``nodata`` is a value that no result may take; ``limits`` are the values that may be
    used, where they are fewer than the type has. ``tensor`` gives the network's own input there: normalised float32 of
    the same axes, filled where there is no data; ``data`` where there is. ``box`` is where that is, in the input's
    pixels, and ``bands`` which of the bands that go through the model these are.
    """

    box: Box
    bands: slice
    stored: Array
    factors: Factors
    low: Array
    span: Array
    nodata: float | int | None
    limits: tuple[int, int] | None
    tensor: Callable[[], torch.Tensor]
    data: Callable[[], Array]


class Operator(ABC):
    """The forward model of a sensor: how a coarse image comes from a fine one, and what makes a result agree with it.

    Its ``name`` is what a model's card says. The forward model and the projection are of float images, as training has
    them; :meth:`agree` does the same to stored values, as inference has them. Training, inference and metrics ask it,
    and never compare its name.

    Attributes:
        whole_frames: a coarse pixel depends on the whole frame rather than on its own block of ``s × s`` fine pixels:
            so regions are whole frames, and patches cannot be projected.
        alignment: rows and columns of the blocks of input pixels that agree as one, such as the 8 × 8 of a JPEG.
        origin: how many rows and columns of the first block lie before the input, where that is a part of a file.
        constrains: results are made to agree with the input.
        keeps: what then is the input's, in words.
        reduction: the ``kind`` of the degradation that reduces images by it.
        held: bytes that :meth:`agree` holds for each output value besides the prediction and its result; measured.
        needs: the model's inputs besides the image that it must be bound to.
    """

    name: str
    needs: tuple[str, ...] = ()
    whole_frames: bool = False
    alignment: tuple[int, int] = (1, 1)
    origin: tuple[int, int] = (0, 0)
    constrains: bool = True
    keeps: str
    reduction: str
    held: int

    def bind(self, scenes: Mapping[str, Scene]) -> Operator:
        """The operator with what it must know of its sources: a mask, tables, shifts. It stays picklable.

        Called once for a result, and again for some of its bands; and by ``verify``, which has the other inputs only
        where the user gives them.

        Args:
            scenes: all inputs by the names of their ports. That called ``image`` has the bands that go through the
                model. What :meth:`agree` is given of it anyway should not be held.

        Raises:
            InputError: a source that it cannot work with.
        """
        return self

    @abstractmethod
    def forward(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """A fine float image ``(B, C, s·H, s·W)`` as the sensor sees it: ``(B, C, H, W)``."""

    @abstractmethod
    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """The image nearest to ``fine`` (least squares) that ``forward`` makes ``coarse``.

        ``others`` are the network's inputs besides the image, by port, ``(B, C, fy·H, fx·W)``.
        """

    def valid(self, box: Box, valid: Array) -> Array:
        """Where a result is data, bool ``(frame, band, y, x)`` of the bands that go through the model, on the input's
        grid, for where the input is: by default the same.
        """
        return valid

    @abstractmethod
    def agree(self, seen: Observation, planes: Array, out: Array) -> float | None:
        """Put stored values that agree with the input into ``out``.

        Args:
            seen: what was observed, over a box that holds the operator's :meth:`support`.
            planes: the prediction there, normalised float32, as the planes ``(frame, band, v, y, x)`` that
                :mod:`geomedsr.operators.sub_pixel` describes.
            out: the same box on the fine grid, ``(frame, band, y, x)``, in the storage type.

        Returns:
            How far rounding and clipping took the result from agreement: the largest absolute difference, in stored
            units; None where agreement is exact, or is not sought.
        """

    @abstractmethod
    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """Whether a result agrees with its source.

        ``boxes`` are of the source, together all of it, and hold whole frames where those are needed; they are read one
        at a time. ``asked`` says whether agreement was asked for: where it was not, only figures are given.
        """

    def support(self, box: Box, shape: Sequence[int]) -> Box:
        """The part of an input of ``(frame, band, y, x)`` that agreement within a box of it depends on."""
        whole = Box.whole(shape)
        if self.whole_frames:
            return Box.of(box.frames, whole.window)
        return box if self.alignment == (1, 1) else box.aligned(self.alignment, self.origin) & whole

    def note(self, guessed: Factors) -> str:
        """What of a result is a guess, in a sentence; ``guessed`` is how many times finer all passes made it."""
        return f"{texts.guessed(guessed)}, not a measurement"

    def determined(self, coarse: torch.Tensor) -> torch.Tensor:
        """The part of a coarse image ``(…, H, W)`` that the forward model determines: all of it, for most."""
        return coarse


def by_fine_frame(values: Array, factors: Factors) -> Array:
    """What is ``(frame or 1, …)`` for the frames of a result, whose frames come from one of the input's each."""
    return values.repeat(factors.frame, 0) if len(values) > 1 else values
