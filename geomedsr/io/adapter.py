"""Adapters: how files become scenes, and scenes files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from geomedsr.checks import Check
from geomedsr.errors import GeomedsrError, OutputError
from geomedsr.io.sink import Sink
from geomedsr.scene.scene import Scene


@dataclass(frozen=True)
class Item:
    """One of the scenes that a path holds. ``key`` chooses it; ``folder`` is where it lies, relative to the path.

    ``refusal`` says why it cannot be processed, in one line.
    """

    key: str
    number: int | None
    title: str
    folder: str
    facts: Mapping[str, Any]
    refusal: str | None = None


@dataclass(frozen=True)
class Contents:
    """What a path holds, where an adapter finds several scenes in one; ``notes`` tell of what was skipped."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


class Adapter(ABC):
    """A file format, or a family of them.

    Five methods are a format's own; what only some formats can has a default here. ``open`` is called only after
    ``can_open`` said yes, ``sink`` only after ``can_write`` did; both raise a
    :class:`~geomedsr.errors.GeomedsrError` for what they cannot use.
    """

    #: Adapters are asked in this order whether a path is theirs, the lowest first.
    priority: ClassVar[int] = 0

    #: What ``open`` takes by name beside its three arguments; it is given nothing else. Known are ``slice_axis``,
    #: ``mask``, and ``part``: the resolution (or None) and the bands (or none) of the part that is to be opened.
    options: ClassVar[tuple[str, ...]] = ()

    #: What ``sink`` takes by name, and how its files are called where a user names another option.
    sink_options: ClassVar[tuple[str, ...]] = ()
    title: ClassVar[str] = "this format"

    #: Whether the files can say which numbers are no data.
    tells_nodata: ClassVar[bool] = True

    @abstractmethod
    def can_open(self, path: str) -> bool:
        """Whether this adapter can read the path."""

    @abstractmethod
    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        """The scene of a path, or of one series under it; nothing but headers is read.

        ``force`` opens what was made by geomedsr itself.
        """

    @abstractmethod
    def explain(self, path: str) -> GeomedsrError | None:
        """Why ``can_open`` said no, as far as this adapter can tell; None leaves that to the next one."""

    @abstractmethod
    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether this adapter writes such a scene to a path of such a name."""

    @abstractmethod
    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> Sink:
        """A sink for the scene at a path; everything that can be checked before the work is checked here."""

    def preview_sink(self, scene: Scene, path: str, overwrite: bool) -> Sink:
        """A sink for a preview, from which the same values will be read: for :func:`geomedsr.split`.

        Raises:
            OutputError: by default: this format has no previews.
        """
        raise OutputError(f"the preview {path}", "one in .tif, or a folder for a series", "choose another name")

    def kept(self, scene: Scene) -> bytes:
        """What :meth:`restored_sink` must know of the scene's files besides what a scene holds."""
        return b""

    def restored_sink(self, scene: Scene, kept: bytes, path: str, overwrite: bool) -> Sink:
        """A sink for a scene as it was before it was split.

        Raises:
            ValueError: ``kept`` is not what :meth:`kept` gave.
            OutputError: by default: this format has no previews.
        """
        raise OutputError(f"the output {path}", "one in .tif, or a folder for a series", "choose another name")

    def contents(self, path: str) -> Contents | None:
        """What a path holds, where there may be several scenes under one; None where it is one by its nature."""
        return None

    def checks(self, source: Scene, result: Scene) -> list[Check]:
        """What the files promise beyond a raster's, checked: for :func:`geomedsr.verify`."""
        return []

    def same_tag(self, key: str, one: str, other: str) -> bool:
        """Whether its files, asked for a tag that was written as ``one``, may well give ``other``: in most formats an
        empty one is none.
        """
        return one.strip() == other.strip()
