"""Sinks: where the regions of one output gather until it is whole."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from geomedsr.errors import GeomedsrError
from geomedsr.geometry import Box
from geomedsr.io.files import exists, reason, sync, unwritable
from geomedsr.io.jobs import Scratch, journal
from geomedsr.io.publishing import Move, publish
from geomedsr.scene.sources import Array


@dataclass(frozen=True)
class Sink(ABC):
    """An output at work: regions gather in ``scratch``, a hidden folder beside ``target``, until it is whole.

    A format has two things to say: how a region is stored (:meth:`store`), and what is made of all of them in the end
    (:meth:`assemble`). Both may take their time and may fail; names are given by what all formats share, in one step
    that undoes itself.

    Contract: picklable; ``put`` is idempotent and atomic and may come from any thread or process; nothing appears under
    the final name before ``finish``, and nothing is left behind after ``finish`` or ``discard``. A sink that is opened
    for the same job after ``release``, or after the process died, knows from ``done`` what is stored already; while it
    is open, none can be opened for the same destination.
    """

    target: Path
    scratch: Scratch
    overwrite: bool

    #: What a format's libraries raise where a file cannot be written; the user sees one line.
    faults: ClassVar[tuple[type[Exception], ...]] = (OSError,)

    @property
    def block(self) -> tuple[int, int] | None:
        """The ``(height, width)`` that regions must have, all but the last of a row or column; None: any."""
        return None

    @abstractmethod
    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store a region: values ``(frame, band, y, x)`` in the scene's type, and which of them are data.

        It is called again for a region that was stored in part, and may be while another worker stores the same.
        """

    @abstractmethod
    def assemble(self) -> Sequence[Move]:
        """Make the result of the regions, checked, under hidden names in ``folder``; returns which names it is to get.

        A job that was stopped may have done so before, in part or wholly.
        """

    def check(self) -> None:
        """Raise an OutputError where something is in the way of the result; asked again before it gets its name."""
        if self.target.exists() and not self.overwrite:
            raise exists(self.target)

    @property
    def folder(self) -> Path:
        """Where the regions lie."""
        return self.scratch.folder

    def put(self, box: Box, values: Array, valid: Array) -> None:
        """Store a region, and remember that."""
        with self.io():
            self.store(box, values, valid)
            self.mark(box)

    def mark(self, box: Box) -> None:
        """Remember that a region is stored."""
        (self.folder / f"{box.key}.done").touch()

    def done(self) -> set[str]:
        """Keys of the regions that are safely stored."""
        return {path.name.removesuffix(".done") for path in self.folder.glob("*.done")}

    def forget(self) -> None:
        """Remove the marks of all regions, as what held them is gone."""
        for mark in self.folder.glob("*.done"):
            mark.unlink()

    def move(self, made: Path | None, target: Path | None = None, overwrite: bool | None = None) -> Move:
        """The move that gives ``made`` a name, by default the result's; None: the move after which nothing has it."""
        final = target or self.target
        spare = self.folder / f"old{zlib.crc32(final.name.encode(errors='surrogateescape')):08x}"
        return Move(made, final, spare, self.overwrite if overwrite is None else overwrite)

    def finish(self) -> None:
        """Assemble the result, and give it its name; nothing is left of the work."""
        finish([self])

    def release(self) -> None:
        """Stop here, and leave what is stored for the same job to go on with."""
        self.scratch.release()

    def discard(self) -> None:
        """Remove everything that is not the finished output."""
        self.scratch.discard()

    @contextmanager
    def io(self) -> Iterator[None]:
        """Tell what goes wrong with files in a line."""
        try:
            yield
        except GeomedsrError:
            raise
        except self.faults as error:
            raise unwritable(self.target, self.why(error)) from error

    def why(self, error: Exception) -> str:
        """A fault in a few words."""
        return reason(error)


@dataclass(frozen=True)
class Page:
    """A small file that appears together with the result of a sink, such as a description of it."""

    sink: Sink
    target: Path
    text: str

    def check(self) -> None:
        """Raise an OutputError where something is in its way."""
        if self.target.exists() and not self.sink.overwrite:
            raise exists(self.target)

    def make(self) -> Move:
        """Write it under a hidden name; the move that gives it its own."""
        with self.sink.io():
            made = self.sink.folder / f"page{self.target.suffix}"
            made.write_text(self.text, encoding="utf-8")
            sync(made)
        return self.sink.move(made, self.target)


def finish(sinks: Sequence[Sink], pages: Sequence[Page] = ()) -> None:
    """Assemble the results of all sinks, then give all of them, and the pages, their names: all are there, or none.

    Raises:
        GeomedsrError: one cannot be assembled, or named. What the names stood for before, they stand for again, and
            what is stored is still there; after a kill, by :func:`geomedsr.io.jobs.take_back`.
    """
    moves: list[Move] = []
    for sink in sinks:
        with sink.io():
            made = sink.assemble()
            for move in made:
                if move.made is not None:
                    sync(move.made)
            moves += made
    moves += [page.make() for page in pages]
    for sink in sinks:
        with sink.io():
            sink.check()
    for page in pages:
        page.check()
    publish(moves, journal({sink.scratch.folder.parent for sink in sinks}) if len(moves) > 1 else None)
    for sink in sinks:
        sink.discard()
