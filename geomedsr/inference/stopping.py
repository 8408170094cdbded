"""Stopping: a stopped job ends at the next tile, not at the end of a region. Threads check for it between tiles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_local = threading.local()


class Stopped(Exception):
    """Raised in a worker's thread if its job was stopped."""


class Flight:
    """The regions that threads of this process are currently computing."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._count, self._stopped = 0, False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Compute a region.

        Raises:
            Stopped: no more regions should be computed.
        """
        with self._change:
            if self._stopped:
                raise Stopped
            self._count += 1
        _local.flight = self
        try:
            yield
        finally:
            _local.flight = None
            with self._change:
                self._count -= 1
                self._change.notify_all()

    def stop(self) -> None:
        """Start no further regions, end running ones at their next tile, and wait for them."""
        with self._change:
            self._stopped = True
            self._change.wait_for(lambda: self._count == 0)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._stopped


def check() -> None:
    """End this thread's region if its job was stopped.

    Raises:
        Stopped: the job was stopped.
    """
    flight: Flight | None = getattr(_local, "flight", None)
    if flight is not None and flight.stopped:
        raise Stopped
