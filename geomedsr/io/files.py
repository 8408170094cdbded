"""Output files and folders: checked before the computation, written atomically, each fault reported in one line."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from geomedsr.errors import OutputError
from geomedsr.scene.scene import Scene


@contextmanager
def replacing(target: Path, durable: bool = False, folder: Path | None = None) -> Iterator[Path]:
    """A temporary hidden file beside ``target``, or in ``folder``, that is renamed to it at the end.

    On an error the temporary file is removed. ``durable`` waits until the data are on the disk, so that even after a
    power cut no incomplete file has the name. Several processes may write the same file: each has its own temporary
    file.
    """
    partial = (folder or target.parent) / f".{target.name[:40]}.{uuid.uuid4().hex[:8]}.part"
    try:
        yield partial
        if durable:
            sync(partial)
        os.replace(partial, target)
    except BaseException:  # for example, a full disk: free the space
        with suppress(OSError):
            partial.unlink()
        raise


def atomic_write(target: Path, content: bytes | memoryview | str, durable: bool = False) -> None:
    """Write a file atomically; see :func:`replacing`."""
    with replacing(target, durable) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def sync(path: Path) -> None:
    """Wait until a file, or all files in a folder, are on the disk."""
    for part in path.rglob("*") if path.is_dir() else (path,):
        if part.is_file():
            with open(part, "rb+") as file:
                os.fsync(file.fileno())


def write_page(target: Path, content: bytes) -> None:
    """Write a small output atomically.

    Raises:
        OutputError: it cannot be written, for example because the disk is full.
    """
    try:
        atomic_write(target, content)
    except OSError as error:
        raise unwritable(target, reason(error)) from error


def file_target(scene: Scene, path: str, overwrite: bool) -> Path:
    """The resolved path of an output that is a single file.

    Raises:
        OutputError: it is the source itself, a directory, or an existing file; or its folder does not exist.
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


def page_target(path: str | os.PathLike[str], suffixes: Sequence[str], overwrite: bool) -> Path:
    """The resolved path of a small output, such as a page.

    Raises:
        OutputError: the suffix is wrong, the path is a directory or exists, or its folder cannot be written to.
    """
    try:
        target = Path(os.path.realpath(path))
        folder = target.is_dir()
    except (OSError, ValueError) as error:  # a name that the system does not accept
        raise unwritable(os.fspath(path), reason(error)) from error
    if target.suffix.lower() not in suffixes:
        raise OutputError(f"the name {target.name}", f"one in {' or '.join(suffixes)}", "rename it")
    if folder:
        raise OutputError(f"the output {path}, a directory", "a file name", "add one to it")
    if target.exists() and not overwrite:
        raise exists(target)
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"the output {path}", "in a folder that exists and can be written", "choose another")
    return target


def reason(error: Exception) -> str:
    """The reason for a failure, in a few words; some libraries put a whole traceback into the message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error.__cause__, OSError) and error.__cause__.strerror:
        return error.__cause__.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


def exists(target: Path) -> OutputError:
    """The error for a destination that exists."""
    return OutputError(f"the output {target}, which exists", "a new name", "add --overwrite to replace it")


def unwritable(target: Path | str, why: str) -> OutputError:
    """The error for a destination that cannot be written."""
    return OutputError(
        f"the output {target} ({why})", "room and permission to write there", "free space, or choose another place"
    )
