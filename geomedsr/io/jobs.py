"""Resumable jobs: each has a hidden folder beside its destination, locked by one process, that identifies the job.

A job writes one result to one destination. If one call writes several results, each has its own folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geomedsr._version import __version__
from geomedsr.errors import OutputError, SceneWarning
from geomedsr.io import publishing
from geomedsr.io.files import atomic_write, reason, unwritable
from geomedsr.scene.provenance import STEPS
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import ArraySource


def hold(folder: Path) -> int | None:
    """Lock a folder for this job; returns a handle to close. The lock ends with the process, even after a crash.

    None if the operating system or the file system does not support such locks.

    Raises:
        BlockingIOError: another job holds the lock.
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


#: The folders that this process has locked.
_held: dict[Path, int] = {}

#: The file that identifies the job, and the journal of names for its result and others.
_JOB, _JOURNAL = "job.json", "names.json"

#: Messages for parts of a job that have changed.
_CHANGED = {
    "geomedsr": "another version of geomedsr",
    "input": "another or a changed input",
    "model": "another model",
    "options": "other options",
}


@dataclass(frozen=True)
class Scratch:
    """A hidden folder beside the destination that collects the parts of a job, so that it can be resumed.

    It is on the destination's file system, so that the result can be renamed in one step. Its name is derived from the
    destination's. It holds a description of the job, and a subfolder ``folder`` for the parts, named after the job, so
    that a worker that still writes for a stopped job cannot interfere with another one. ``resumed`` tells that parts of
    the same job may already exist.
    """

    folder: Path
    resumed: bool = False

    @classmethod
    def open(cls, target: Path, scene: Scene, options: Mapping[str, str]) -> Scratch:
        """The folder of a job: as a stopped job left it, or new.

        ``options`` are the writer's options; the rest of the job's description is taken from the scene. If the folder
        holds an unfinished job that differs, its parts are removed, and a warning tells why.

        Raises:
            OutputError: the folder cannot be made, or another process is writing to this destination.
        """
        folder = _folder(target)
        job = _job(scene, options)
        inner = folder / hashlib.sha256(json.dumps(job).encode()).hexdigest()[:8]
        try:
            _hold(folder, target)
            (folder / _JOURNAL).unlink(missing_ok=True)  # left by an earlier call for other outputs
            before = _read_json(folder / _JOB)
            if before != job:
                for entry in folder.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                atomic_write(folder / _JOB, json.dumps(job))
            inner.mkdir(exist_ok=True)
            for partial in inner.glob(".*.part"):  # incomplete when the job was stopped
                partial.unlink()
        except OutputError:
            raise
        except OSError as error:
            cls(inner).release()
            raise unwritable(target, reason(error)) from error
        except BaseException:
            cls(inner).release()
            raise
        if isinstance(before, dict) and before != job:
            parts = [part for part in _CHANGED if before.get(part) != job[part]]
            why = [_CHANGED[part] for part in parts if part != "options" or len(parts) == 1]  # they include the rest
            warnings.warn(f"{target.name} was begun with {', '.join(why)}: starting afresh", SceneWarning, stacklevel=3)
        return cls(inner, before == job)

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """The value of ``make`` from its first call; the same value, read from JSON, when the job is resumed."""
        path = self.folder / f"{name}.json"
        value = _read_json(path)
        if value is None:
            value = make()
            atomic_write(path, json.dumps(value))
        return value

    def release(self) -> None:
        """Unlock the folder and keep everything, so that the job can be resumed."""
        handle = _held.pop(self.folder.parent, None)
        if handle is not None:
            os.close(handle)

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        self.release()


def journal(folders: Set[Path]) -> Path | None:
    """The path of the journal for the results of several jobs, given their hidden folders."""
    return min(folders) / _JOURNAL if folders else None


def take_back(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Undo the renaming of a call for the same outputs that was killed before all had their names.

    Calls that are still running are left alone.

    Raises:
        OutputError: a name cannot be restored.
    """
    folders = {_folder(Path(os.path.realpath(path))) for path in paths}
    noted = journal(folders)
    if noted is None or not os.path.exists(noted):
        return
    with ExitStack() as held:
        try:
            for folder in sorted(folders):
                if (handle := hold(folder)) is not None:
                    held.callback(os.close, handle)
        except OSError:  # another job is running, or has removed the folder
            return
        publishing.take_back(noted, folders)


def writing(target: Path) -> bool:
    """Whether this process is currently writing to a destination."""
    return _folder(target) in _held


def _folder(target: Path) -> Path:
    mark = hashlib.sha256(target.name.encode(errors="surrogateescape")).hexdigest()[:8]
    return target.parent / f".{target.name[:40]}.{mark}.part"


def _hold(folder: Path, target: Path) -> None:
    while True:
        folder.mkdir(exist_ok=True)
        try:
            handle = hold(folder)
        except FileNotFoundError:  # another job has just removed it
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
    """Everything that must be unchanged for a job to be resumed, as digests."""
    from dask.base import tokenize  # imported late: models can be loaded without dask

    provenance = replace(scene.provenance, software=None, source=None)
    kept = {key: text for key, text in provenance.items() if key != STEPS}  # earlier jobs recorded steps in words alone
    model = {k: v for k, v in kept.items() if k.startswith(("GEOMEDSR_MODEL", "GEOMEDSR_REALISM"))}
    stats = [(path, os.stat(path)) for path in sorted(scene.files) if os.path.isfile(path)]
    stats += [(path, _newest(path)) for path in sorted(scene.files) if os.path.isdir(path)]
    held = scene.source
    while (inner := held.inner) is not None:
        held = inner
    in_memory = held if isinstance(held, ArraySource) else None
    parts = {
        "geomedsr": (__version__,),
        "input": ([(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats], in_memory),
        "model": tuple(sorted(model.items())),
        "options": (sorted(kept.items()), sorted(options.items()), scene.shape, str(scene.dtype), scene.source),
    }
    return {part: tokenize(value) for part, value in parts.items()}


def _newest(folder: str) -> os.stat_result:
    """The status of the newest file under a folder: a Zarr store changes chunk by chunk."""
    stats = [os.stat(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names]
    return max(stats, key=lambda stat: stat.st_mtime_ns, default=os.stat(folder))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
