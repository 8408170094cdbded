"""Finished files and folders get their names together, or none does."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from geomedsr.errors import OutputError
from geomedsr.io.files import exists, reason, unwritable, write_page


@dataclass(frozen=True)
class Move:
    """What gets a name: ``made``, a file or folder under a hidden name, becomes ``target``; None: nothing has the name.

    ``spare`` is where what has the name now is kept, so that it can have it again. Without ``overwrite`` nothing may
    have it, not even what appeared meanwhile, but for an empty folder. All on one file system.
    """

    made: Path | None
    target: Path
    spare: Path
    overwrite: bool

    def do(self) -> None:
        """Give the name.

        Raises:
            OutputError: it is taken, or cannot be given; everything is as it was.
        """
        try:
            self._set_aside()
            try:
                if self.made is not None:
                    place(self.made, self.target, self.overwrite)
            except BaseException:
                self.give_back()
                raise
        except OutputError:
            raise
        except OSError as error:
            raise unwritable(self.target, reason(error)) from error

    def undo(self) -> None:
        """Take it back: everything is as it was."""
        if self.made is not None:
            if os.path.lexists(self.made):  # of which the target is another name
                self.target.unlink()
            else:
                os.replace(self.target, self.made)
        self.give_back()

    def give_back(self) -> None:
        """What was set aside has its name again, unless something has it."""
        if os.path.lexists(self.spare) and not os.path.lexists(self.target):
            os.replace(self.spare, self.target)

    def _set_aside(self) -> None:
        remove(self.spare)
        if not os.path.lexists(self.target):
            return
        folder = self.made is not None and self.made.is_dir()
        if self.target.is_dir() and not folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if folder and self.target.is_dir() and not any(self.target.iterdir()):
            os.replace(self.target, self.spare)
        elif self.overwrite:
            try:
                os.link(self.target, self.spare, follow_symlinks=False)  # there is no moment without it
            except OSError:  # a folder, or a file system without links
                os.replace(self.target, self.spare)
            if self.made is None:
                self.target.unlink(missing_ok=True)


def place(made: Path, target: Path, overwrite: bool) -> None:
    """Give a finished file or folder its name; without ``overwrite`` not in place of one that has it."""
    if overwrite or made.is_dir():
        if os.path.lexists(target) and not overwrite:
            raise exists(target)
        os.replace(made, target)
        return
    try:
        os.link(made, target)
    except FileExistsError as error:
        raise exists(target) from error
    except OSError:  # a file system without links
        os.replace(made, target)


def publish(moves: Sequence[Move], journal: Path | None = None) -> None:
    """Give them all their names; where one cannot have it, none gets it, and what had been replaced is back.

    A ``journal`` tells of them until all have theirs: a process that is killed before leaves it for :func:`take_back`.
    """
    if journal is not None:
        entries = [
            (move.made and str(move.made), str(move.target), str(move.spare), _mark(move.made)) for move in moves
        ]
        write_page(journal, json.dumps(entries).encode())
    done: list[Move] = []
    try:
        for move in moves:
            move.do()
            done.append(move)
    except BaseException:
        for move in reversed(done):
            with suppress(OSError):  # the fault is reported already
                move.undo()
        raise
    if journal is not None:
        with suppress(OSError):  # all have their names
            journal.unlink()


def take_back(journal: Path, folders: Set[Path]) -> None:
    """Take back the names that a killed process gave: everything is as it was before the first of them.

    Nothing is touched where the journal is not of jobs in just these hidden folders, or where something is not as that
    process left it: another call went on from there, or the user did.

    Raises:
        OutputError: one cannot be taken back; asked again, it is tried again.
    """
    try:
        entries = json.loads(journal.read_text())
        moves = [(Move(made and Path(made), Path(to), Path(spare), True), mark) for made, to, spare, mark in entries]
    except (OSError, ValueError, TypeError):
        return
    if {move.spare.parent.parent for move, _ in moves} != folders:
        return
    try:
        if all(_as_left(move, mark) for move, mark in moves):
            for move, mark in reversed(moves):
                if mark is not None and _mark(move.target) == mark:
                    move.undo()
                else:
                    move.give_back()
        journal.unlink()
    except OSError as error:
        raise unwritable(moves[0][0].target, reason(error)) from error


def _as_left(move: Move, mark: list[int] | None) -> bool:
    """Whether what a move names has its hidden name yet, or has got the other one; its job's folder being there."""
    job = move.spare.parent
    there = job.is_dir() and move.target.parent == job.parent.parent
    return there and (move.made is None or mark in (_mark(move.made), _mark(move.target)))


def _mark(path: Path | None) -> list[int] | None:
    """What a file or folder keeps when it gets another name, and no other has; None where there is none."""
    try:
        stat = os.lstat(path or "")
    except OSError:
        return None
    return [stat.st_ino, stat.st_mtime_ns]


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
