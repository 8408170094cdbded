"""Coders: what is sent of numbers that are nearly predictable, and the same read back.

A number is predicted as a weighted sum of others that are known by then. The weights are fitted where it is written,
and sent. Sums are of whole numbers so small that float64 holds them exactly, in whatever order a CPU adds them.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from geomedsr.scene.sources import Array
from geomedsr.transfer.coding import Damaged, inflated, numbers_bytes

#: Weights are multiples of 2⁻¹², from -8 to 8; what they weigh is clipped: 64 products stay below 2⁵³.
_ONE, _WEIGHTS, _CLIP = 12, 2**15 - 1, 2**31

#: Pixels that weights are fitted on, at most; with fewer than the second there are none.
_FITTED, _LEAST = 1 << 15, 64

#: The expected size of a residual is a multiple of 2⁻⁴.
_FINE = 4

#: The context of numbers of which nothing is expected.
PLAIN = 255


class Coder(ABC):
    """Passes numbers to or from streams; both ways ask for the same, in the same order."""

    def predicted(self, features: Array, scales: Array, values: Array | None) -> tuple[Array, Array]:
        """Numbers, and their residuals: what they differ by from the prediction.

        Args:
            features: what they are predicted from, ``(feature, number)`` int64.
            scales: not negative, ``(feature, number)`` int64: numbers are larger where these are.
            values: the numbers, where they are written.
        """
        features, scales = (
            np.minimum(np.maximum(array, -_CLIP), _CLIP).astype(np.float64) for array in (features, scales)
        )
        expected = self._weighed(features, values)
        residuals = None if values is None else values - expected
        size = self._weighed(scales, None if residuals is None else np.abs(residuals) << _FINE)
        residuals = self.coded(_contexts(size), residuals)
        return expected + residuals, residuals

    def _weighed(self, features: Array, values: Array | None) -> Array:
        features = np.minimum(np.maximum(features, -_CLIP), _CLIP).astype(np.float64)
        weights = self.weights(features, values)
        sums: Array = np.floor((weights @ features + (1 << (_ONE - 1))) / (1 << _ONE))
        return sums.astype(np.int64)

    @abstractmethod
    def weights(self, features: Array, values: Array | None) -> Array:
        """One for each feature, whole numbers in float64."""

    @abstractmethod
    def coded(self, contexts: Array, numbers: Array | None) -> Array:
        """Numbers of these contexts, to the streams or from there."""


@dataclass
class Writer(Coder):
    """Gathers the streams."""

    _weights: list[Array] = field(default_factory=list)
    _numbers: dict[int, list[Array]] = field(default_factory=dict)

    def weights(self, features: Array, values: Array | None) -> Array:
        """The best ones, in the least squares of differences."""
        assert values is not None
        found = np.zeros(len(features))
        if features.shape[1] >= _LEAST:
            step = -(-features.shape[1] // _FITTED)
            some, aim = features[:, ::step], values[::step].astype(np.float64)
            matrix = some @ some.T
            matrix[np.diag_indices(len(matrix))] += 1e-6 * np.trace(matrix) / len(matrix) + 1e-3
            found = np.linalg.solve(matrix, some @ aim)
        found = np.clip(np.round(found * (1 << _ONE)), -_WEIGHTS, _WEIGHTS)
        self._weights.append(found)
        return found

    def coded(self, contexts: Array, numbers: Array | None) -> Array:
        """Keep them."""
        assert numbers is not None
        order = np.argsort(contexts, kind="stable")
        counts = np.bincount(contexts, minlength=1)
        for context, part in zip(
            np.flatnonzero(counts), np.split(numbers[order], np.cumsum(counts[counts > 0])[:-1]), strict=True
        ):
            self._numbers.setdefault(int(context), []).append(part)
        return numbers

    def bytes(self) -> tuple[bytes, bytes]:
        """The weights, and all streams."""
        weights = np.concatenate([np.zeros(0), *self._weights]).astype("<i2").view(np.uint8).reshape(-1, 2)
        found = b"".join(numbers_bytes(context, np.concatenate(own)) for context, own in sorted(self._numbers.items()))
        return len(weights).to_bytes(4, "little") + zlib.compress(weights.T.tobytes(), 9), found


@dataclass
class Reader(Coder):
    """Reads them: ``_left`` are the streams by context, as far as they are not read, and the weights."""

    _left: dict[int, Array]
    _sent: Array

    @classmethod
    def of(cls, weights: memoryview, found: dict[int, Array]) -> Reader:
        """Of what :meth:`Writer.bytes` made.

        Raises:
            Damaged: it did not.
        """
        count = int.from_bytes(weights[:4], "little")
        if count > 1 << 24:
            raise Damaged
        octets = np.frombuffer(inflated(weights[4:], 2 * count), np.uint8).reshape(2, count)
        sent = np.ascontiguousarray(octets.T).view("<i2")[:, 0].astype(np.float64)
        return cls(found, sent)

    def weights(self, features: Array, values: Array | None) -> Array:
        """The next ones."""
        found, self._sent = self._sent[: len(features)], self._sent[len(features) :]
        if len(found) < len(features):
            raise Damaged
        return found

    def coded(self, contexts: Array, numbers: Array | None) -> Array:
        """The next ones of each context."""
        order = np.argsort(contexts, kind="stable")
        counts = np.bincount(contexts, minlength=1)
        parts = [self._next(int(context), int(counts[context])) for context in np.flatnonzero(counts)]
        found = np.empty(len(contexts), np.int64)
        if parts:
            found[order] = np.concatenate(parts)
        return found

    def done(self) -> None:
        """Raise Damaged where something is left."""
        if len(self._sent) or any(len(left) for left in self._left.values()):
            raise Damaged

    def _next(self, context: int, count: int) -> Array:
        left = self._left.get(context)
        if left is None or len(left) < count:
            raise Damaged
        self._left[context] = left[count:]
        return left[:count]


def _contexts(size: Array) -> Array:
    """Two contexts an octave; exact, as roots and logarithms of CPUs need not be."""
    part, power = np.frexp(np.maximum(size, 1).astype(np.float64))
    contexts: Array = np.minimum(2 * power + (part >= 0.75), PLAIN - 1)
    return contexts.astype(np.uint8)
