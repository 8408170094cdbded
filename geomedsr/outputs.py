"""What every sink does with its destination: check it, work beside it, and give the result its name in one step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask.base import tokenize

from geomedsr._version import __version__
from geomedsr.errors import OutputError, SceneWarning
from geomedsr.scene import Scene
from geomedsr.sources import ArraySource


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


def page_target(path: str | os.PathLike[str], suffixes: Sequence[str], overwrite: bool) -> Path:
    """The real path of a small output, such as a page.

    Raises:
        OutputError: another suffix, a directory, taken, or in no folder that can be written.
    """
    try:
        target = Path(os.path.realpath(path))
        folder = target.is_dir()
    except (OSError, ValueError) as error:  # a name that the system does not take
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


def write_page(target: Path, content: bytes) -> None:
    """Write a small file, whole or not at all.

    Raises:
        OutputError: the disk is full, or such.
    """
    partial = target.with_name(f".{target.name[:40]}.{uuid.uuid4().hex[:8]}.part")
    try:
        partial.write_bytes(content)
        os.replace(partial, target)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise unwritable(target, error.strerror or str(error)) from error
        raise


def hold(folder: Path) -> int | None:
    """Hold a folder for this job alone: a handle to close. The system lets go when the process ends, however it does.

    None where the file system or the system has no such locks.

    Raises:
        BlockingIOError: another job holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:
        os.close(handle)
        return None
    return handle


#: The folders that this process holds.
_held: dict[Path, int] = {}

#: What is said of a part of a job that is not as it was.
_CHANGED = {
    "geomedsr": "another version of geomedsr",
    "input": "another or a changed input",
    "model": "another model",
    "options": "other options",
}


@dataclass(frozen=True)
class Scratch:
    """A hidden folder beside the destination where the parts of a job gather, so that it can go on after a stop.

    On the destination's own file system, so that moving the result there is one step. Its name follows from the
    destination's; what the job is lies in it, and the parts in a ``folder`` in it that is named after the job: a worker
    that still writes for a job that was stopped cannot meddle with another. ``resumed`` tells that parts of the same
    job may be there.
    """

    folder: Path
    resumed: bool = False

    @classmethod
    def open(cls, target: Path, scene: Scene, options: Mapping[str, str]) -> Scratch:
        """The folder of a job: as a stopped one left it, or new.

        ``options`` are those of the writer; what the scene is and how it was made is looked up. Where an unfinished
        job was another one, its parts are removed, and a warning says why.

        Raises:
            OutputError: it cannot be made, or another process is writing to this destination.
        """
        mark = hashlib.sha256(target.name.encode(errors="surrogateescape")).hexdigest()[:8]
        folder = target.parent / f".{target.name[:40]}.{mark}.part"
        job = _job(scene, options)
        inner = folder / hashlib.sha256(json.dumps(job).encode()).hexdigest()[:8]
        try:
            _hold(folder, target)
            before = _read_json(folder / _JOB)
            if before != job:
                for entry in folder.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                _write_json(folder / _JOB, job)
            inner.mkdir(exist_ok=True)
            for partial in inner.glob(".*.part"):  # begun when the job was stopped
                partial.unlink()
        except OutputError:
            raise
        except OSError as error:
            cls(inner).release()
            raise unwritable(target, error.strerror or str(error)) from error
        except BaseException:
            cls(inner).release()
            raise
        if isinstance(before, dict) and before != job:
            parts = [part for part in _CHANGED if before.get(part) != job[part]]
            why = [_CHANGED[part] for part in parts if part != "options" or len(parts) == 1]  # these hold the others
            warnings.warn(f"{target.name} was begun with {', '.join(why)}: starting afresh", SceneWarning, stacklevel=3)
        return cls(inner, before == job)

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives when first asked, and the same (as JSON has it) when the job goes on."""
        path = self.folder / f"{name}.json"
        value = _read_json(path)
        if value is None:
            value = make()
            _write_json(path, value)
        return value

    def release(self) -> None:
        """Leave everything for the same job to go on with."""
        handle = _held.pop(self.folder.parent, None)
        if handle is not None:
            os.close(handle)

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        self.release()


_JOB = "job.json"


def _hold(folder: Path, target: Path) -> None:
    while True:
        folder.mkdir(exist_ok=True)
        try:
            handle = hold(folder)
        except FileNotFoundError:  # the job before removed it at this moment
            continue
        except BlockingIOError as error:
            raise OutputError(
                f"the output {target}, which another job is writing",
                "one job for each",
                "wait for it, or choose another name",
            ) from error
        if handle is None:
            return
        if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
            _held[folder] = handle
            return
        os.close(handle)


def _job(scene: Scene, options: Mapping[str, str]) -> dict[str, str]:
    """What must be the same for a job to go on, each as a digest."""
    kept = {k: v for k, v in scene.provenance.items() if k not in ("GEOMEDSR_VERSION", "GEOMEDSR_SOURCE")}
    model = {k: v for k, v in kept.items() if k.startswith(("GEOMEDSR_MODEL", "GEOMEDSR_REALISM"))}
    stats = [(path, os.stat(path)) for path in sorted(scene.files) if os.path.isfile(path)]
    stats += [(path, _newest(path)) for path in sorted(scene.files) if os.path.isdir(path)]
    held = scene.source
    while (inner := getattr(held, "scene", None) or getattr(held, "whole", None)) is not None:
        held = inner.source if isinstance(inner, Scene) else inner
    in_memory = held if isinstance(held, ArraySource) else None
    parts = {
        "geomedsr": (__version__,),
        "input": ([(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats], in_memory),
        "model": tuple(sorted(model.items())),
        "options": (sorted(kept.items()), sorted(options.items()), scene.shape, str(scene.dtype), scene.source),
    }
    return {part: tokenize(value) for part, value in parts.items()}


def _newest(folder: str) -> os.stat_result:
    """What the newest file under a folder is: a Zarr store changes chunk by chunk."""
    stats = [os.stat(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names]
    return max(stats, key=lambda stat: stat.st_mtime_ns, default=os.stat(folder))


#: Sides of blocks of a GeoTIFF and of chunks of a Zarr store, in pixels.
BLOCK, CHUNK = 512, 1024


def region_side(pixels: int, least: int = CHUNK) -> int:
    """The side of the regions that raster sinks store, for tiles that are so many output pixels wide.

    Whole chunks; or ``least``, a format's own block. Chunks are an even number of blocks, so that overviews end where
    regions do.
    """
    return least if pixels <= least else -(-pixels // CHUNK) * CHUNK


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _write_json(path: Path, value: Any) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(value))
    os.replace(partial, path)


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
