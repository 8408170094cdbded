"""UIDs of derived objects: new for each run, or reproducible for the same seed and the same processing."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Uids:
    """Each UID is a hash, in the form of a UUID (PS3.5 B.2), of ``seed``, ``work`` and the source's own UID.

    ``work`` describes everything else that determines the result: model, factor, window, software.
    """

    seed: str
    work: str

    def series(self, source: str) -> str:
        """The new series' UID."""
        return self._uid("series", source)

    def instance(self, source: str, part: int = 0) -> str:
        """A new instance's UID; ``part`` is its number among the instances from one source, from 0."""
        return self._uid("instance", f"{source}#{part}" if part else source)

    def dimensions(self, source: str) -> str:
        """The dimension organization UID of new frames."""
        return self._uid("dimensions", source)

    def _uid(self, kind: str, source: str) -> str:
        digest = hashlib.sha256("\0".join((self.seed, self.work, kind, source)).encode()).digest()
        return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"
