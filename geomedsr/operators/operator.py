"""The interface of observation operators: a sensor's forward model, and agreement of results with the input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from geomedsr.checks import Check
from geomedsr.geometry import Box, Factors
from geomedsr.scene.provenance import Agreement, texts
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array


@dataclass(frozen=True)
class Observation:
    """The input where a result is made, for the bands that are made together.

    ``stored`` are the input's stored values ``(frame, band, y, x)``; the result is finer by ``factors``.
    ``low`` and ``span``, with axes ``(frame or 1, band, 1, 1)``, convert the network's numbers to stored units:
    stored = number × span + low. ``nodata`` is a value that no result may take. ``limits`` are the lowest and highest
    value that may be used, if narrower than the type. ``tensor`` returns the network's input for the box: normalised
    float32 with the same axes, filled where there is no data; ``data`` returns where there is data. ``box`` is the
    position in the input's pixels, and ``bands`` tells which of the bands that go through the model these are.
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
    """The forward model of a sensor, which makes a coarse image from a fine one, and the agreement of results with it.

    A model's card refers to it by ``name``. The forward model and the projection work on float images, for training;
    :meth:`agree` is the projection of stored values, for inference. Training, inference and metrics use these members,
    and never compare names.

    Attributes:
        whole_frames: a coarse pixel depends on the whole frame rather than on its own block of ``s × s`` fine pixels.
            Regions are then whole frames, and patches cannot be projected.
        alignment: rows and columns of the blocks of input pixels that must agree together, such as 8 × 8 for JPEG.
        origin: rows and columns of the first block that lie before the input, if the input is a part of a file.
        constrains: results are made to agree with the input.
        keeps: what agreement keeps of the input, in words.
        reduction: the ``kind`` of the degradation that reduces images with this operator.
        held: bytes that :meth:`agree` holds for each output value besides the prediction and its result; measured.
        needs: the model's inputs besides the image that it must be bound to.
        joint: all bands must be there to agree, even if they are predicted one by one.
        slab: how many frames of the input are best made to agree at once.
        seen: what of a result deviates by rounding and clipping, in words.
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
    joint: bool = False
    slab: int = 1
    seen: str = "image"

    def bind(self, scenes: Mapping[str, Scene]) -> Operator:
        """The operator with all that it needs from its sources: a mask, tables, shifts. It stays picklable.

        Called once for a result, and again for a selection of its bands. ``verify`` calls it, too, and has the other
        inputs only if the user gives them.

        Args:
            scenes: all inputs by the names of their ports. ``image`` has the bands that go through the model. Do not
                keep anything of it that :meth:`agree` is given anyway.

        Raises:
            InputError: a source that it cannot work with.
        """
        return self

    def record(self, agrees: bool) -> Agreement:
        """What a result's provenance says of its operator, and of what that was bound to."""
        return Agreement(self.name, "yes" if agrees else "no")

    @abstractmethod
    def forward(self, fine: torch.Tensor, scale: int) -> torch.Tensor:
        """The coarse image ``(B, C, H, W)`` that the sensor makes of a fine float image ``(B, C, s·H, s·W)``."""

    @abstractmethod
    def project(
        self, fine: torch.Tensor, coarse: torch.Tensor, scale: int, others: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """The image nearest to ``fine`` (least squares) whose ``forward`` is ``coarse``.

        ``others`` are the network's inputs besides the image, by port, ``(B, C, fy·H, fx·W)``.
        """

    def valid(self, box: Box, valid: Array) -> Array:
        """Where a result is data, given where the input is: by default the same.

        Bool ``(frame, band, y, x)`` on the input's grid, for the bands that go through the model.
        """
        return valid

    def optional(self, box: Box, valid: Array) -> Array | None:
        """Where a result may be data or not, of the pixels that :meth:`valid` gives; None where that is settled."""
        return None

    @abstractmethod
    def agree(self, seen: Observation, planes: Array, out: Array) -> float | None:
        """Write stored values that agree with the input into ``out``.

        Args:
            seen: the input over a box that holds the operator's :meth:`support`.
            planes: the prediction over that box, normalised float32, as sub-pixel planes ``(frame, band, v, y, x)``;
                see :mod:`geomedsr.operators.sub_pixel`.
            out: the same box on the fine grid, ``(frame, band, y, x)``, in the storage type.

        Returns:
            The largest deviation from agreement that rounding and clipping caused, in stored units; None where
            agreement is exact, or not intended.
        """

    @abstractmethod
    def check(self, source: Scene, result: Scene, factors: Factors, boxes: Iterable[Box], asked: bool) -> Check:
        """Whether a result agrees with its source.

        ``boxes`` together cover the source, in whole frames where the operator needs them; they are read one at a time.
        ``asked`` tells whether the result was made to agree. If it was not, the check reports figures alone.
        """

    def support(self, box: Box, shape: Sequence[int]) -> Box:
        """The part of an input of shape ``(frame, band, y, x)`` that agreement within a box depends on."""
        whole = Box.whole(shape)
        if self.whole_frames:
            return Box.of(box.frames, whole.window)
        return box if self.alignment == (1, 1) else box.aligned(self.alignment, self.origin) & whole

    def frames_beside(self, factors: Factors) -> int:
        """How many frames on each side, within its volume, agreement of what is made of a frame depends on."""
        return 0

    def note(self, guessed: Factors) -> str:
        """A sentence on what in a result is predicted; ``guessed`` is how many times finer all passes made it."""
        return f"{texts.guessed(guessed)}, not a measurement"

    def determined(self, coarse: torch.Tensor) -> torch.Tensor:
        """The part of a coarse image ``(…, H, W)`` that the forward model determines: all of it, for most."""
        return coarse


def by_fine_frame(values: Array, factors: Factors) -> Array:
    """Values ``(frame or 1, …)`` of an input's frames, repeated for the frames of the result that come from each."""
    return values.repeat(factors.frame, 0) if len(values) > 1 else values
