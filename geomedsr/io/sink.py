"""Sinks: they collect the regions of one output until it is complete."""

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
    """An output in progress: regions are collected in ``scratch``, a hidden folder beside ``target``.

    A format implements how a region is stored (:meth:`store`), and how the result is made from all regions in the end
    (:meth:`assemble`). Both may take long and may fail. Renaming is common to all formats: one step that undoes itself
    on failure.

    Contract: picklable; ``put`` is idempotent and atomic and may be called from any thread or process; nothing appears
    under the final name before ``finish``, and nothing is left behind after ``finish`` or ``discard``. A sink that is
    opened for the same job after ``release``, or after the process died, tells by ``done`` what is already stored.
    While a sink is open, no other can be opened for the same destination.
    """

    target: Path
    scratch: Scratch
    overwrite: bool

    #: Exceptions that the format's libraries raise if a file cannot be written; they are reported in one line.
    faults: ClassVar[tuple[type[Exception], ...]] = (OSError,)

    @property
    def block(self) -> tuple[int, int] | None:
        """The required ``(height, width)`` of regions, except for the last of a row or column; None: any."""
        return None

    @abstractmethod
    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store a region: values ``(frame, band, y, x)`` in the scene's type, and which of them are data.

        It is called again for a region that was only partly stored, and another worker may store the same region at
        the same time.
        """

    @abstractmethod
    def assemble(self) -> Sequence[Move]:
        """Make and check the result from the regions, under hidden names in ``folder``; returns the moves to publish
        it.

        A stopped job may have done so before, partly or completely.
        """

    def check(self) -> None:
        """Raise an OutputError if the destination is not free; called again before the result is published."""
        if self.target.exists() and not self.overwrite:
            raise exists(self.target)

    @property
    def folder(self) -> Path:
        """The folder of the regions."""
        return self.scratch.folder

    def among(self, sinks: Sequence[Sink]) -> Sink:
        """The same sink, told of the others of one call once all are open; for formats whose files refer to others.

        Raises:
            OutputError: a result that it refers to is not among them.
        """
        return self

    def put(self, box: Box, values: Array, valid: Array) -> None:
        """Store a region and mark it as stored."""
        with self.io():
            self.store(box, values, valid)
            self.mark(box)

    def mark(self, box: Box) -> None:
        """Mark a region as stored."""
        (self.folder / f"{box.key}.done").touch()

    def done(self) -> set[str]:
        """Keys of the regions that are safely stored."""
        return {path.name.removesuffix(".done") for path in self.folder.glob("*.done")}

    def forget(self) -> None:
        """Remove the marks of all regions, because their data are gone."""
        for mark in self.folder.glob("*.done"):
            mark.unlink()

    def move(self, made: Path | None, target: Path | None = None, overwrite: bool | None = None) -> Move:
        """The move that renames ``made``, by default to the result's name; None: a move that removes the target."""
        final = target or self.target
        spare = self.folder / f"old{zlib.crc32(final.name.encode(errors='surrogateescape')):08x}"
        return Move(made, final, spare, self.overwrite if overwrite is None else overwrite)

    def finish(self) -> None:
        """Assemble the result, publish it, and remove the scratch folder."""
        finish([self])

    def release(self) -> None:
        """Stop, and keep the stored regions, so that the same job can be resumed."""
        self.scratch.release()

    def discard(self) -> None:
        """Remove everything that is not the finished output."""
        self.scratch.discard()

    @contextmanager
    def io(self) -> Iterator[None]:
        """Report errors with files in one line."""
        try:
            yield
        except GeomedsrError:
            raise
        except self.faults as error:
            raise unwritable(self.target, self.why(error)) from error

    def why(self, error: Exception) -> str:
        """The reason for an error, in a few words."""
        return reason(error)


@dataclass(frozen=True)
class Page:
    """A small file that is published together with the result of a sink, such as a description of it."""

    sink: Sink
    target: Path
    text: str

    def check(self) -> None:
        """Raise an OutputError if its destination is not free."""
        if self.target.exists() and not self.sink.overwrite:
            raise exists(self.target)

    def make(self) -> Move:
        """Write it under a hidden name; returns the move to its own name."""
        with self.sink.io():
            made = self.sink.folder / f"page{self.target.suffix}"
            made.write_text(self.text, encoding="utf-8")
            sync(made)
        return self.sink.move(made, self.target)


def finish(sinks: Sequence[Sink], pages: Sequence[Page] = ()) -> None:
    """Assemble the results of all sinks, then publish them and the pages: all appear, or none.

    Raises:
        GeomedsrError: a result cannot be assembled or renamed. Earlier files are restored, and stored regions are kept.
            If the process is killed, :func:`geomedsr.io.jobs.take_back` restores the files.
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
