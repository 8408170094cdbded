"""Finished files and folders get their names together, or none does."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from geomedsr.errors import OutputError
from geomedsr.io.files import exists, reason, unwritable


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
                self._give_back()
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
        self._give_back()

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

    def _give_back(self) -> None:
        if os.path.lexists(self.spare):
            os.replace(self.spare, self.target)


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


def publish(moves: Sequence[Move]) -> None:
    """Give them all their names; where one cannot have it, none gets it, and what had been replaced is back."""
    done: list[Move] = []
    try:
        for move in moves:
            move.do()
            done.append(move)
    except BaseException:
        for move in reversed(done):
            with suppress(OSError):  # the fault is told already
                move.undo()
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
