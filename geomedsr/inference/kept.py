"""Predictions of single frames, kept while slabs of a series that overlap are made."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from geomedsr.scene.sources import Array

#: A network's outputs for a frame, by name.
Planes = dict[str, Array]


class KeptFrames:
    """The last predictions, up to so many bytes; it is empty where it is unpickled. Nothing is kept by default.

    Two threads may compute the same frame at the same time: the bits are equal.
    """

    def __init__(self, most: int = 0) -> None:
        self.most, self._held = most, 0
        self._frames: OrderedDict[Hashable, Planes] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptFrames, (self.most,)

    @property
    def empty(self) -> KeptFrames:
        """Another of the same size."""
        return KeptFrames(self.most)

    def get(self, key: Hashable, make: Callable[[], Planes]) -> Planes:
        """What is kept under a key; made, and kept, if it is not there. Do not change it."""
        if not self.most:
            return make()
        with self._lock:
            found = self._frames.get(key)
        if found is not None:
            return found
        made = make()
        with self._lock:
            if key not in self._frames:
                self._frames[key] = made
                self._held += _size(made)
            while self._held > self.most and len(self._frames) > 1:
                self._held -= _size(self._frames.popitem(last=False)[1])
        return made


def _size(planes: Planes) -> int:
    return sum(part.nbytes for part in planes.values())
