"""The sink: it collects the slices of a derived series as a folder of DICOM files.

Everything is made in a hidden folder beside the destination, and renamed to it at the end, in one step.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Box, Factors
from geomedsr.io import Move, Scratch, Sink
from geomedsr.io.files import exists, reason, replacing, unwritable
from geomedsr.scene.provenance import STEPS
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr_dicom.attributes import load, quiet
from geomedsr_dicom.derive import DerivedSeries
from geomedsr_dicom.frames import Frame
from geomedsr_dicom.headers import CLASSIC, Header, read_header
from geomedsr_dicom.prose import NOT_DIAGNOSTIC, describe
from geomedsr_dicom.record import recorded
from geomedsr_dicom.result_slices import ResultSlice, by_file, locations_follow, result_slices
from geomedsr_dicom.rewriting import derived_file, rehearse
from geomedsr_dicom.source import SeriesSource
from geomedsr_dicom.uids import Uids


@dataclass(frozen=True)
class SeriesSink(Sink):
    """See :class:`geomedsr.io.Sink`; a region is a whole slice. ``single`` makes one file instead of a folder.

    ``multiframe`` tells that a file holds several slices; ``parents`` are folders that were made for the target.
    """

    single: bool
    multiframe: bool
    slices: tuple[ResultSlice, ...]
    size: tuple[int, int]
    dtype: str
    series: DerivedSeries
    parents: tuple[Path, ...] = ()

    @cached_property
    def _files(self) -> dict[str, list[ResultSlice]]:
        """The slices made from each source file, in its order; some frames may be left out."""
        return by_file(self.slices)

    @cached_property
    def _places(self) -> dict[int, tuple[int, int]]:
        """For each slice, the number of its file, and its number within the file."""
        return {
            slice_.number: (file, place)
            for file, slices in enumerate(self._files.values())
            for place, slice_ in enumerate(slices)
        }

    @property
    def block(self) -> tuple[int, int]:
        """Regions are whole slices."""
        return self.size

    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store slices, ``(frame, 1, y, x)``."""
        for number, stored in zip(range(box.start[0], box.stop[0]), values[:, 0], strict=True):
            if stored.shape != self.size:
                raise ValueError(f"a region of {stored.shape} pixels, not a slice of {self.size}")
            if self.multiframe:
                self._put_frame(*self._places[number], stored)
            else:
                stored = np.ascontiguousarray(stored)
                pixels = stored.tobytes() + b"\0" * (stored.nbytes % 2)
                with quiet():
                    ds = derived_file(self.series, [self.slices[number]], stored, pixels)
                    self._save(ds, f"{number + 1:04d}.dcm")

    def done(self) -> set[str]:
        """Keys of stored regions, except for slices that a stopped job had already moved."""
        files, raw = any((self.folder / "series").glob("*.dcm")), any(self.folder.glob("*.raw"))
        return super().done() if files or raw else set()

    def assemble(self) -> list[Move]:
        """The folder of files, or the single file; multi-frame files are written now."""
        if self.multiframe:
            for number, slices in enumerate(self._files.values()):
                self._write_multiframe(number, slices)
        folder = self.folder / "series"
        files = sorted(folder.glob("*.dcm"))
        if len(files) != (len(self._files) if self.multiframe else len(self.slices)):
            raise OSError("not every slice was stored")
        return [self.move(files[0] if self.single else folder)]

    def check(self) -> None:
        """Raise an OutputError if the destination holds files that geomedsr did not make, or must not be replaced."""
        if self.target.is_dir():
            _check_folder(self.target, self.overwrite)
        else:
            super().check()

    @contextmanager
    def io(self) -> Iterator[None]:
        """Report errors with headers and files in one line."""
        with headers_and_files(self.target):
            yield

    def discard(self) -> None:
        """Remove the hidden folder, and the parent folders that were made for it, if they are empty."""
        super().discard()
        for folder in self.parents:
            with suppress(OSError):
                folder.rmdir()

    def _put_frame(self, file: int, place: int, stored: Array) -> None:
        """Write a frame of a multi-frame file at its place in the raw pixels."""
        raw = self.folder / f"{file}.raw"
        handle = os.open(raw, os.O_CREAT | os.O_WRONLY)
        try:
            data = np.ascontiguousarray(stored).tobytes()
            os.lseek(handle, place * len(data), os.SEEK_SET)
            written = 0
            while written < len(data):
                written += os.write(handle, data[written:])
        finally:
            os.close(handle)

    def _write_multiframe(self, number: int, slices: list[ResultSlice]) -> None:
        name = f"{number + 1:04d}.dcm"
        if (self.folder / "series" / name).exists():  # by a job that was stopped just then
            return
        raw = self.folder / f"{number}.raw"
        stored = np.memmap(raw, self.dtype, "r", shape=(len(slices), *self.size))
        if os.path.getsize(raw) % 2:
            with open(raw, "ab") as file:
                file.write(b"\0")
        with quiet(), open(raw, "rb") as pixels:
            self._save(derived_file(self.series, slices, stored, pixels), name)
        del stored
        os.remove(raw)

    def _save(self, ds: Dataset, name: str) -> None:
        with replacing(self.folder / "series" / name, folder=self.folder) as partial:
            ds.save_as(partial, enforce_file_format=True)


@contextmanager
def headers_and_files(target: Path) -> Iterator[None]:
    """Report errors with headers and files in one line."""
    try:
        yield
    except (InputError, OutputError):
        raise
    except OSError as error:
        raise unwritable(target, reason(error)) from error
    except (ValueError, TypeError, AttributeError, LookupError, NotImplementedError) as error:
        # pydicom's texts may quote a header's values
        raise InputError(
            f"a header that cannot be rewritten ({type(error).__name__})", "valid values", "see `dciodvfy`"
        ) from error


def create_sink(scene: Scene, path: str, overwrite: bool, uid_seed: str | None = None) -> SeriesSink:
    """Make all checks that are possible before the computation, and make the hidden folder.

    Raises:
        OutputError: the scene is unchanged; the path exists or is the source; or it cannot be written.
    """
    if isinstance(scene.source, SeriesSource) or not (scene.provenance.made or scene.provenance.spikes):
        raise OutputError("a series as it was read", "one that a model upscaled", "upscale it first, or copy the files")
    if scene.provenance.model.output is not None:
        raise OutputError(
            f"{scene.name}, which is not the image, for DICOM",
            "the image",
            "write it as a volume, such as result.nii.gz",
        )
    frames: tuple[Frame, ...] = scene.headers
    slices = result_slices(frames, scene.grid.planes, scene.lineage)
    target, single, header, multiframe = layout_of(frames, path, len(slices))
    if multiframe and header.sop_class in CLASSIC and slices[0].parts > 1:
        raise OutputError(
            f"new slices of {scene.name}, whose files hold several frames each of a class for single ones",
            "a slice in each, or an enhanced image",
            "write a volume such as result.nii.gz",
        )
    check_target(scene, path, target, single, overwrite)
    when = _when(uid_seed)
    provenance = scene.provenance
    series = DerivedSeries(
        uids=Uids("", ""),
        number=new_number(header.number),
        series_description=described_as(frames[0].path, (provenance.model.name or "despiked")[:20]),
        description=describe(provenance),
        record=recorded(provenance),
        model=f"{provenance.model.name} {provenance.model.version}" if provenance.model.name else "",
        factors=provenance.model.factors or Factors(),
        along=locations_follow(frames) if slices[0].parts > 1 else 1.0,
        when=when,
    )
    return opened(scene, target, single, multiframe, overwrite, slices, series, uid_seed)


def layout_of(frames: Sequence[Frame], path: str, slices: int) -> tuple[Path, bool, Header, bool]:
    """Where so many slices made of a series go: the target, whether it is one file, the first header of the series,
    and whether its files hold several frames each.

    Raises:
        InputError: its files are gone.
        OutputError: one file for what needs several.
    """
    target = Path(os.path.realpath(path))
    single = target.suffix.lower() == ".dcm" and not target.is_dir()
    header = read_header(frames[0].path)
    if header is None:
        raise InputError("a series whose files are gone", "the files it was opened from", "put them back")
    multiframe = header.sop_class not in CLASSIC or any(f.index for f in frames)
    if single and (len({f.path for f in frames}) > 1 or (not multiframe and slices > 1)):
        raise OutputError(f"the file {path} for {slices} slices", "a folder", "leave the suffix out")
    return target, single, header, multiframe


def opened(
    scene: Scene,
    target: Path,
    single: bool,
    multiframe: bool,
    overwrite: bool,
    slices: tuple[ResultSlice, ...],
    series: DerivedSeries,
    uid_seed: str | None,
) -> SeriesSink:
    """The sink of a derived series whose target was checked, its first headers rehearsed, and its hidden folder made.

    Raises:
        InputError: a header that cannot be rewritten.
        OutputError: the folder cannot be made.
    """
    with headers_and_files(target), quiet():
        for own in by_file(slices).values() if multiframe else [[slices[0]]]:
            rehearse(series, own, scene.grid.shape, str(scene.dtype))
    folders = tuple(folder for folder in target.parents if not folder.exists())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, reason(error)) from error
    scratch = Scratch.open(target, scene, {"format": "dicom", "single": str(single), "uid_seed": str(uid_seed)})
    (scratch.folder / "series").mkdir(exist_ok=True)
    # A resumed job makes the same UIDs, with the same time.
    now = series.when.isoformat() if series.when else None
    random, moment = scratch.remember("uids", lambda: [secrets.token_hex(16), now])
    # A job from before there were records is resumed without one, so that all slices agree.
    begun = any((scratch.folder / "series").glob("*.dcm"))
    record = scratch.remember("record", lambda: "" if begun else series.record)
    return SeriesSink(
        target=target,
        scratch=scratch,
        single=single,
        overwrite=overwrite,
        multiframe=multiframe,
        slices=slices,
        size=scene.grid.shape,
        dtype=str(scene.dtype),
        series=replace(
            series,
            uids=Uids(random if uid_seed is None else uid_seed, _fingerprint(scene)),
            when=datetime.fromisoformat(moment) if moment else None,
            record=record,
        ),
        parents=folders,
    )


def check_target(scene: Scene, path: str, target: Path, single: bool, overwrite: bool) -> None:
    """Raise an OutputError if the destination must not be replaced, for example because it is the input."""
    sources = {os.path.realpath(f) for f in scene.files}
    folders = {os.path.dirname(f) for f in sources}
    if str(target) in sources or str(target) in folders or any(f.startswith(f"{target}{os.sep}") for f in folders):
        raise OutputError(f"the output {path}, which holds the input", "another folder", "choose another name")
    if target.is_dir():
        _check_folder(target, overwrite)
    elif target.exists():
        if not overwrite:
            raise exists(target)
        if not single or not _ours(target):
            raise OutputError(
                f"the output {path}, a file that geomedsr did not make" if single else f"the output {path}, a file",
                "an earlier result" if single else "a folder",
                "choose another name",
            )


def _check_folder(target: Path, overwrite: bool) -> None:
    """Raise an OutputError unless a folder is empty, or may be overwritten and holds only slices by geomedsr."""
    strangers = []
    for entry in target.iterdir():
        if not overwrite:
            raise exists(target)
        if entry.is_symlink() or not entry.is_file() or not _ours(entry):
            strangers.append(entry)
    if strangers:
        raise OutputError(
            f"the output {target}, a folder with {len(strangers)} files or folders that geomedsr did not make there",
            "an empty folder, or an earlier result",
            "choose another name",
        )


def _ours(path: Path) -> bool:
    header = read_header(str(path))
    return header is not None and (header.derived or header.preview)


def _fingerprint(scene: Scene) -> str:
    """A text that identifies the result and its geometry; with a seed, UIDs are derived from it."""
    first = scene.grid.planes[0]
    texts = {key: text for key, text in sorted(scene.provenance.items()) if key != STEPS}  # as earlier jobs did
    return json.dumps([texts, scene.grid.shape, first.position, first.spacing])


def now() -> datetime:
    """The current time with its time zone."""
    return datetime.now().astimezone()


def _when(seed: str | None) -> datetime | None:
    """The current time; with a seed, the time in SOURCE_DATE_EPOCH or None, so that files are reproducible."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if seed is None:
        return now()
    try:
        return datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else None
    except (ValueError, OverflowError, OSError) as error:
        raise OutputError(f"SOURCE_DATE_EPOCH={epoch[:20]}", "seconds since 1970, up to 9999", "correct it") from error


def new_number(source: int | None) -> int:
    """A series number that differs from the source's: 1000 more, within the limits of IS."""
    number = (source or 0) + 1000
    return number if number < 2**31 else 1000


def described_as(path: str, made: str) -> str:
    """A SeriesDescription of at most 64 characters: the source's, and how the result was made."""
    with quiet():
        ds, _ = load(path, specific_tags=["SeriesDescription", "SOPClassUID"])
        old = re.sub(r"\s+", " ", str(ds.get("SeriesDescription") or ""))
    added = f"{made} {NOT_DIAGNOSTIC}"
    return f"{old[: 64 - len(added) - 1]} {added}".strip()
