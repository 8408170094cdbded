"""Where a product's files lie: a folder or an archive, read in place. Names within are relative, with ``/`` between."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from geomedsr.errors import InputError

#: A text of metadata that is longer is none: the largest of real products have less than 2 MiB.
_MOST = 64 << 20

#: How names of archives end, and how GDAL reads into them.
_ARCHIVES = {".zip": "/vsizip/", ".tar": "/vsitar/", ".tgz": "/vsitar/", ".tar.gz": "/vsitar/"}


class Folder(ABC):
    """What holds the files of a product, or of several."""

    path: str

    @abstractmethod
    def names(self, under: str = "") -> tuple[str, ...]:
        """All files in it, or those under one of its folders, sorted."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a small file.

        Raises:
            InputError: it is not there, cannot be read, or is no small file.
        """

    @abstractmethod
    def gdal(self, name: str) -> str:
        """What GDAL calls a file."""

    def _refused(self, name: str, why: str) -> InputError:
        return InputError(f"{name} of {self.path} ({why})", "a whole product", "download it again")


@dataclass(frozen=True)
class LocalFolder(Folder):
    """A folder of the file system."""

    path: str

    def names(self, under: str = "") -> tuple[str, ...]:
        """All files under it, links to folders not followed."""
        return tuple(sorted(self._walk(under)))

    def read(self, name: str) -> bytes:
        """The content of a small file."""
        try:
            with open(os.path.join(self.path, name), "rb") as file:
                content = file.read(_MOST + 1)
        except OSError as error:
            raise self._refused(name, error.strerror or type(error).__name__) from error
        if len(content) > _MOST:
            raise self._refused(name, "which is too long for metadata")
        return content

    def gdal(self, name: str) -> str:
        """Its path."""
        return os.path.join(self.path, *name.split("/"))

    def _walk(self, under: str) -> Iterator[str]:
        for root, _, files in os.walk(os.path.join(self.path, under)):
            place = os.path.relpath(root, self.path).replace(os.sep, "/")
            for file in files:
                yield file if place == "." else f"{place}/{file}"


@dataclass(frozen=True)
class Archive(Folder):
    """A zip or tar file."""

    path: str

    def names(self, under: str = "") -> tuple[str, ...]:
        """All files in it."""
        found = _members(self.path, _stamp(self.path))
        return tuple(name for name in found if name.startswith(f"{under}/")) if under else found

    def read(self, name: str) -> bytes:
        """The content of a small file."""
        try:
            if _suffix(self.path) == ".zip":
                with zipfile.ZipFile(self.path) as pack:
                    if pack.getinfo(name).file_size > _MOST:
                        raise self._refused(name, "which is too long for metadata")
                    return pack.read(name)
            with tarfile.open(self.path) as tape:
                found = [member for member in tape if member.name.removeprefix("./") == name]
                file = tape.extractfile(found[-1]) if found else None
                if file is None or found[-1].size > _MOST:
                    raise self._refused(name, "which is no small file")
                return file.read()
        except InputError:
            raise
        except (OSError, EOFError, KeyError, ValueError, RuntimeError, NotImplementedError, *_BROKEN) as error:
            raise self._refused(name, _why(error)) from error

    def gdal(self, name: str) -> str:
        """Its path through GDAL's virtual file systems; braces keep the archive's name apart, whatever it is."""
        return f"{_ARCHIVES[_suffix(self.path)]}{{{os.path.abspath(self.path)}}}/{name}"


_BROKEN = (zipfile.BadZipFile, tarfile.TarError)


def archive_at(path: str) -> Archive | None:
    """The archive of a path, by its name; None for any other."""
    return Archive(path) if _suffix(path) in _ARCHIVES and os.path.isfile(path) else None


def packed(path: str, named: re.Pattern[str], inside: Callable[[str], bool]) -> bool:
    """Whether a path is an archive of a product, by its own name or by the names that it lists."""
    pack = archive_at(path)
    if pack is None:
        return False
    if named.match(os.path.basename(path)):
        return True
    try:
        return any(inside(name) for name in pack.names())
    except InputError:
        return False


def split(path: str) -> tuple[Folder, str]:
    """The folder or archive of a file, and its name within; GDAL's paths into archives, too.

    Raises:
        InputError: an archive that cannot be found in such a path.
    """
    for prefix in dict.fromkeys(_ARCHIVES.values()):
        if path.startswith(prefix):
            rest = path.removeprefix(prefix)
            if rest.startswith("{"):
                pack, _, name = rest[1:].partition("}/")
                return Archive(pack), name
            pieces = rest.split("/")
            for count in range(1, len(pieces)):
                pack = "/".join(pieces[:count])
                if _suffix(pack) in _ARCHIVES and os.path.isfile(pack):
                    return Archive(pack), "/".join(pieces[count:])
            raise InputError(f"{path}", "a path into an archive that exists", "check it")
    return LocalFolder(os.path.dirname(path) or "."), os.path.basename(path)


def _suffix(path: str) -> str:
    lower = path.lower()
    return next((suffix for suffix in sorted(_ARCHIVES, key=len, reverse=True) if lower.endswith(suffix)), "")


def _stamp(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=16)
def _members(path: str, stamp: tuple[int, int]) -> tuple[str, ...]:
    """Files of an archive: a zip's directory is read, or a tape is wound through once."""
    try:
        if _suffix(path) == ".zip":
            with zipfile.ZipFile(path) as pack:
                return tuple(sorted(info.filename for info in pack.infolist() if not info.is_dir()))
        with tarfile.open(path) as tape:
            names = sorted(member.name.removeprefix("./") for member in tape if member.isfile())
            # A tape ends with blocks of zeros; one that is cut off in a header is read without a complaint.
            if tape.fileobj is not None:
                tape.fileobj.seek(tape.offset)
                if tape.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError("unexpected end of data")
            return tuple(names)
    except (OSError, EOFError, ValueError, *_BROKEN) as error:
        raise InputError(
            f"{path}, which cannot be read as an archive ({_why(error)})", "a whole zip or tar", "download it again"
        ) from error


def _why(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
