"""Jobs that can go on: a hidden folder beside the destination, held by one process, that knows what the job is.

A job is one result on its way to one destination. Several that are written by one call have a folder each.
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

#: The files that say what the job is, and which names it and others are to get.
_JOB, _JOURNAL = "job.json", "names.json"

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
        folder = _folder(target)
        job = _job(scene, options)
        inner = folder / hashlib.sha256(json.dumps(job).encode()).hexdigest()[:8]
        try:
            _hold(folder, target)
            (folder / _JOURNAL).unlink(missing_ok=True)  # of a call for other outputs: this one begins
            before = _read_json(folder / _JOB)
            if before != job:
                for entry in folder.iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                atomic_write(folder / _JOB, json.dumps(job))
            inner.mkdir(exist_ok=True)
            for partial in inner.glob(".*.part"):  # begun when the job was stopped
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
            why = [_CHANGED[part] for part in parts if part != "options" or len(parts) == 1]  # these hold the others
            warnings.warn(f"{target.name} was begun with {', '.join(why)}: starting afresh", SceneWarning, stacklevel=3)
        return cls(inner, before == job)

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives when first asked, and the same (as JSON has it) when the job goes on."""
        path = self.folder / f"{name}.json"
        value = _read_json(path)
        if value is None:
            value = make()
            atomic_write(path, json.dumps(value))
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


def journal(folders: Set[Path]) -> Path | None:
    """Where the names of several files are noted, whose jobs have these hidden folders."""
    return min(folders) / _JOURNAL if folders else None


def take_back(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Take back what a killed call for the same outputs has named, not all having their names; no live one's.

    Raises:
        OutputError: it cannot be taken back.
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
        except OSError:  # another job is at work, or has been
            return
        publishing.take_back(noted, folders)


def writing(target: Path) -> bool:
    """Whether this process is writing to a destination just now."""
    return _folder(target) in _held


def _folder(target: Path) -> Path:
    mark = hashlib.sha256(target.name.encode(errors="surrogateescape")).hexdigest()[:8]
    return target.parent / f".{target.name[:40]}.{mark}.part"


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
    from dask.base import tokenize  # which models, that need this package, load without

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
    """What the newest file under a folder is: a Zarr store changes chunk by chunk."""
    stats = [os.stat(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names]
    return max(stats, key=lambda stat: stat.st_mtime_ns, default=os.stat(folder))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
