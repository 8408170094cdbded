"""What every sink does with its destination: check it, work beside it, and give the result its name in one step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from geomedsr.errors import OutputError
from geomedsr.scene import Scene


def file_target(scene: Scene, path: str, overwrite: bool) -> Path:
    """The real path of an output that is one file.

    Raises:
        OutputError: it is the source itself, a directory, or taken; or its folder is not there.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and any(os.path.exists(f) and os.path.samefile(f, target) for f in scene.files):
        raise OutputError(f"the output {path}, which is the input itself", "another file", "choose another name")
    if target.is_dir():
        raise OutputError(f"the output {path}, a directory", "a file name", "add one to it")
    if target.exists() and not overwrite:
        raise exists(target)
    if not target.parent.is_dir():
        raise OutputError(f"the output {path}", "a folder that exists", f"make {target.parent} first")
    return target


def scratch_folder(target: Path) -> Path:
    """A new hidden folder beside the destination, so that moving the result there is one step.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        return Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise unwritable(target, error.strerror or str(error)) from error


def publish(result: Path, target: Path, overwrite: bool) -> None:
    """Give a finished file its name; without ``overwrite`` not even in place of one that appeared meanwhile."""
    if overwrite:
        os.replace(result, target)
        return
    try:
        os.link(result, target)
    except FileExistsError as error:
        raise exists(target) from error
    except OSError:  # a file system without links
        os.replace(result, target)


def reason(error: Exception) -> str:
    """Why a system or a library failed, in a few words; some put a whole traceback into their text."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error.__cause__, OSError) and error.__cause__.strerror:
        return error.__cause__.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


def exists(target: Path) -> OutputError:
    """The error for a destination that is taken."""
    return OutputError(f"the output {target}, which exists", "a new name", "add --overwrite to replace it")


def unwritable(target: Path | str, why: str) -> OutputError:
    """The error for a destination that cannot be written."""
    return OutputError(
        f"the output {target} ({why})", "room and permission to write there", "free space, or choose another place"
    )
