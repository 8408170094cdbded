"""Publishing: finished files and folders get their names all together, or none does."""

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
    """A renaming that can be undone: ``made``, a hidden file or folder, becomes ``target``; None removes ``target``.

    ``spare`` is the path at which an existing target is kept, so that it can be restored. Without ``overwrite`` the
    target must not exist, even if it appeared in the meantime; only an empty folder may. All paths are on one file
    system.
    """

    made: Path | None
    target: Path
    spare: Path
    overwrite: bool

    def do(self) -> None:
        """Rename.

        Raises:
            OutputError: the target exists, or renaming fails; everything is as before.
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
        """Undo the renaming: everything is as before."""
        if self.made is not None:
            if os.path.lexists(self.made):  # the target is a hard link to it
                self.target.unlink()
            else:
                os.replace(self.target, self.made)
        self.give_back()

    def give_back(self) -> None:
        """Restore the target that was set aside, unless another file has its name."""
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
                os.link(self.target, self.spare, follow_symlinks=False)  # a link: the target never disappears
            except OSError:  # a folder, or a file system without links
                os.replace(self.target, self.spare)
            if self.made is None:
                self.target.unlink(missing_ok=True)


def place(made: Path, target: Path, overwrite: bool) -> None:
    """Rename a finished file or folder; without ``overwrite`` an existing target is not replaced."""
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
    """Rename all; if one fails, undo all, so that replaced files are back.

    The ``journal`` lists all moves until they are done. A process that is killed before leaves it for
    :func:`take_back`.
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
            with suppress(OSError):  # the original error is reported
                move.undo()
        raise
    if journal is not None:
        with suppress(OSError):  # all moves are done; a journal that stays does no harm
            journal.unlink()


def take_back(journal: Path, folders: Set[Path]) -> None:
    """Undo the moves of a killed process: everything is as it was before the first of them.

    Nothing is touched if the journal belongs to jobs in other hidden folders, or if a file is not as that process left
    it, because another call or the user has changed it.

    Raises:
        OutputError: a move cannot be undone; the next call tries again.
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
    """Whether the file of a move still has its hidden name or already its final one, and its job's folder exists."""
    job = move.spare.parent
    there = job.is_dir() and move.target.parent == job.parent.parent
    return there and (move.made is None or mark in (_mark(move.made), _mark(move.target)))


def _mark(path: Path | None) -> list[int] | None:
    """An identity of a file or folder that survives renaming: inode and modification time; None if it is missing."""
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
