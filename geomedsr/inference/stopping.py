"""A job that is stopped ends at the next tile, not at the end of a region: what each thread asks between tiles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_local = threading.local()


class Stopped(Exception):
    """Raised in a worker's thread whose job was stopped."""


class Flight:
    """The regions that are being computed at this moment by threads of this process."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._count, self._stopped = 0, False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Compute a region.

        Raises:
            Stopped: none should be computed any more.
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
        """Let none begin, have those that have end at their next tile, and wait for that."""
        with self._change:
            self._stopped = True
            self._change.wait_for(lambda: self._count == 0)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._stopped


def check() -> None:
    """End this thread's region here, if its job was stopped.

    Raises:
        Stopped: it was.
    """
    flight: Flight | None = getattr(_local, "flight", None)
    if flight is not None and flight.stopped:
        raise Stopped
