"""Adapters: reading scenes from files, and writing scenes to files."""

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
    """One of several scenes under a path. ``key`` selects it; ``folder`` is its folder, relative to the path.

    ``refusal`` tells in one line why it cannot be processed.
    """

    key: str
    number: int | None
    title: str
    folder: str
    facts: Mapping[str, Any]
    refusal: str | None = None


@dataclass(frozen=True)
class Contents:
    """The scenes under a path that may hold several; ``notes`` tell what was skipped."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


class Adapter(ABC):
    """A file format, or a family of them.

    Each format implements five methods; abilities that only some formats have come with a default here. ``open`` is
    called only after ``can_open`` has returned True, ``sink`` only after ``can_write`` has. Both raise a
    :class:`~geomedsr.errors.GeomedsrError` for input that they cannot use.
    """

    #: The order in which adapters are asked whether they can open a path, the lowest first.
    priority: ClassVar[int] = 0

    #: Additional keyword arguments of ``open``; it is given no others. The core knows ``slice_axis``, ``mask``, and
    #: ``part``: the resolution (or None) and the bands (or none) of the part to open.
    options: ClassVar[tuple[str, ...]] = ()

    #: Keyword arguments of ``sink``, and the name of its files in the error for an unknown option.
    sink_options: ClassVar[tuple[str, ...]] = ()
    title: ClassVar[str] = "this format"

    #: Whether the format can store a nodata value.
    tells_nodata: ClassVar[bool] = True

    @abstractmethod
    def can_open(self, path: str) -> bool:
        """Whether this adapter can read the path."""

    @abstractmethod
    def open(self, path: str, series: str | None = None, force: bool = False, **options: Any) -> Scene:
        """The scene of a path, or of one series under it; only headers are read.

        ``force`` also opens results of geomedsr.
        """

    @abstractmethod
    def explain(self, path: str) -> GeomedsrError | None:
        """Why ``can_open`` returned False, as far as this adapter knows; None leaves the answer to the next adapter."""

    @abstractmethod
    def can_write(self, scene: Scene, path: str) -> bool:
        """Whether this adapter writes such scenes to paths with such names."""

    @abstractmethod
    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> Sink:
        """A sink for the scene at a path. All checks that are possible before the computation are made here."""

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
        """The scenes under a path; None where the path can only be a single scene."""
        return None

    def checks(self, source: Scene, result: Scene) -> list[Check]:
        """Checks of the format's own guarantees, for :func:`geomedsr.verify`."""
        return []

    def same_tag(self, key: str, one: str, other: str) -> bool:
        """Whether a tag written as ``one`` may be read back as ``other``: by default, up to outer white space."""
        return one.strip() == other.strip()
