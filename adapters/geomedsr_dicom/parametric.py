"""Half-widths of a derived series as Parametric Maps (PS3.3 A.75), by highdicom, which is an extra.

highdicom makes the header from those of the derived series, as if slices had one pixel; the pixels are collected in
files and written from there, so that no volume is held in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from geomedsr._version import __version__
from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Box
from geomedsr.io import Move, Scratch, Sink
from geomedsr.io.files import reason, replacing, unwritable
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr_dicom.attributes import quiet
from geomedsr_dicom.derive import MAKER, MODEL_NAME
from geomedsr_dicom.headers import CLASSIC, Header, read_header
from geomedsr_dicom.record import put, recorded
from geomedsr_dicom.sink import SeriesSink, check_target, headers_and_files

#: The most bytes of pixels in a file: many programs read no longer ones.
MOST = 2**31 - 2**20

#: Elements that highdicom takes from a source without asking whether they are there (type 2 in the standard).
_ASKED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)

#: The largest half-width that is stored as a whole number.
_WHOLE = 2**16 - 1


def highdicom() -> ModuleType:
    """The package.

    Raises:
        OutputError: it is not installed.
    """
    try:
        import highdicom as package
    except ImportError as error:
        raise OutputError(
            "half-widths as DICOM without the package highdicom",
            "it, or a volume such as FILE.nii.gz",
            "pip install 'geomedsr[parametric-map]'",
        ) from error
    module: ModuleType = package
    return module


@dataclass(frozen=True)
class MapSink(Sink):
    """See :class:`geomedsr.io.Sink`; a region is a whole slice. ``single`` makes one file instead of a folder.

    ``parts`` are the slices of each file, in order. Half-widths are stored as ``stored``, which is ``uint16``, in units
    of ``slopes``, one for each slice; or ``float32``, in real units, if slices differ in these or a type is wider.
    ``unit`` is that of real values. ``beside`` is the sink of the image, in the same call.
    """

    single: bool
    size: tuple[int, int]
    parts: tuple[tuple[int, ...], ...]
    stored: str
    slopes: tuple[float, ...]
    unit: str | None
    record: str
    description: str
    series_description: str
    model_sha256: str
    beside: SeriesSink | None = None

    @property
    def block(self) -> tuple[int, int]:
        """Regions are whole slices."""
        return self.size

    def among(self, sinks: Sequence[Sink]) -> MapSink:
        """With the sink of the image."""
        images = [sink for sink in sinks if isinstance(sink, SeriesSink)]
        if len(images) != 1:
            raise OutputError(
                f"half-widths of a series as DICOM, {self.target}, beside {len(images)} DICOM series of the same call",
                "the image that they are of, which they refer to",
                "write the image as DICOM at once, or half-widths as a volume such as FILE.nii.gz",
            )
        return replace(self, beside=images[0])

    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store slices, ``(frame, 1, y, x)``; 0 where there are no data."""
        for number, plane, there in zip(range(box.start[0], box.stop[0]), values[:, 0], valid[:, 0], strict=True):
            if plane.shape != self.size:
                raise ValueError(f"a region of {plane.shape} pixels, not a slice of {self.size}")
            file, place = self._place(number)
            wide = np.where(there, plane, 0)
            data = _in_units(wide, self.slopes[number]) if self.stored == "float32" else wide.astype(self.stored)
            handle = os.open(self._raw(file), os.O_CREAT | os.O_WRONLY)
            try:
                os.lseek(handle, place * data.nbytes, os.SEEK_SET)
                with open(handle, "wb", closefd=False) as raw:
                    raw.write(data.tobytes())
            finally:
                os.close(handle)

    def done(self) -> set[str]:
        """Keys of stored regions, except for slices that a stopped job had already moved."""
        there = any(self.folder.glob("*.raw")) or any((self.folder / "maps").glob("*.dcm"))
        return super().done() if there else set()

    def assemble(self) -> list[Move]:
        """The folder of files, or the single file."""
        folder = self.folder / "maps"
        for file in range(len(self.parts)):
            path = folder / f"{file + 1:04d}.dcm"
            if path.exists():  # by a job that was stopped just then
                continue
            self._write(file, path)
            os.remove(self._raw(file))
        return [self.move(next(folder.glob("*.dcm")) if self.single else folder)]

    @contextmanager
    def io(self) -> Iterator[None]:
        """Report errors with headers and files in one line."""
        with headers_and_files(self.target):
            yield

    def _raw(self, file: int) -> Path:
        return self.folder / f"{file}.raw"

    def _place(self, number: int) -> tuple[int, int]:
        file = next(i for i, part in enumerate(self.parts) if part[0] <= number <= part[-1])
        return file, number - self.parts[file][0]

    def _write(self, file: int, path: Path) -> None:
        slices = self.parts[file]
        raw = np.memmap(self._raw(file), self.stored, "r", shape=(len(slices), *self.size))
        largest = max(float(plane.max()) for plane in raw)
        with quiet():
            ds, order = self._header(file, largest)
            pixels = self.folder / f"{file}.ordered"
            with open(pixels, "wb") as ordered:
                for place in order:  # highdicom sorts slices against our order
                    ordered.write(raw[place].tobytes())
            del raw
            with open(pixels, "rb") as data, replacing(path, folder=self.folder) as partial:
                name, vr = ("FloatPixelData", "OF") if self.stored == "float32" else ("PixelData", "OW")
                ds.add_new(name, vr, data)
                ds.save_as(partial, enforce_file_format=True)
            os.remove(pixels)

    def _header(self, file: int, largest: float) -> tuple[Dataset, list[int]]:
        """The header of a file, and which of its slices each frame is."""
        assert self.beside is not None
        hd, slices, series = highdicom(), self.parts[file], self.beside.series
        sources = self._sources(slices)
        first, floats = sources[0], self.stored == "float32"
        unit = (
            hd.sr.CodedConcept("[hnsf'U]", "UCUM", "Hounsfield unit")
            if self.unit == "HU"
            else hd.sr.CodedConcept("1", "UCUM", "no units")
        )
        mapping = hd.pm.RealWorldValueMapping(
            lut_label="HALFWIDTH",
            lut_explanation="Half-width of an interval; 0: no data",
            unit=unit,
            value_range=(0.0, max(largest, 1.0)) if floats else (0, _WHOLE),
            slope=1.0 if floats else self.slopes[slices[0]],
            intercept=0.0,
        )
        key = str(first.SeriesInstanceUID)
        faces = str(first.get("RecognizableVisualFeatures") or "YES") == "YES"
        made = hd.pm.ParametricMap(
            source_images=sources,
            pixel_array=np.zeros((len(slices), 1, 1), self.stored),
            series_instance_uid=series.uids.series(f"half-widths of {key}"),
            series_number=series.number + 1,
            sop_instance_uid=series.uids.instance(f"half-widths of {key}", file + 1),
            instance_number=file + 1,
            manufacturer=MAKER,
            manufacturer_model_name=MODEL_NAME,
            software_versions=(__version__, f"model {series.model}"),
            device_serial_number=self.model_sha256[:16],
            contains_recognizable_visual_features=faces,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[
                hd.VOILUTTransformation(window_center=max(largest, 1.0) / 2, window_width=max(largest, 1.0))
            ],
            content_label="HALFWIDTH",
            content_description=self.description,
            series_description=self.series_description,
        )
        ds = Dataset(made)
        ds.file_meta = made.file_meta
        for name in ("PixelData", "FloatPixelData"):
            if name in ds:
                del ds[name]
        ds.Rows, ds.Columns = self.size
        ds.Laterality = first.get("Laterality") or ""
        self._settle(ds, slices[0])
        return ds, _order(ds, sources)

    def _settle(self, ds: Dataset, start: int) -> None:
        """Times and UIDs as those of the image, numbers of a multi-frame source's frames, and the record."""
        assert self.beside is not None
        series = self.beside.series
        day, time = (
            (series.when.strftime(form) for form in ("%Y%m%d", "%H%M%S.%f")) if series.when else ("19700101", "0")
        )
        ds.ContentDate, ds.ContentTime = day, time.zfill(6)
        for name in ("InstanceCreationDate", "InstanceCreationTime"):
            if series.when is None and name in ds:
                del ds[name]
        if series.when is not None:
            ds.InstanceCreationDate, ds.InstanceCreationTime = day, time
        for item in ds.get("ContributingEquipmentSequence") or []:
            if item.get("ManufacturerModelName") == "highdicom" and "ContributionDateTime" in item:
                del item.ContributionDateTime  # another for each run; the object's own time says it
        organised = series.uids.dimensions(str(ds.SOPInstanceUID))
        for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
            for item in ds.get(sequence) or []:
                item.DimensionOrganizationUID = organised
        for group in ds.PerFrameFunctionalGroupsSequence:
            for derivation in group.get("DerivationImageSequence") or []:
                for source in derivation.SourceImageSequence:
                    if "ReferencedFrameNumber" in source:
                        source.ReferencedFrameNumber = int(source.ReferencedFrameNumber) + start
        if self.record:
            put(ds, self.record)

    def _sources(self, slices: Sequence[int]) -> list[Dataset]:
        """Headers of the image's files for these slices, of one pixel each; a multi-frame file has their frames."""
        image = self.beside
        assert image is not None
        folder = image.folder / "series"
        if not folder.exists():  # moved by a job that was stopped just then
            folder = image.target.parent if image.single else image.target
        headers: list[Dataset]
        if image.multiframe:
            name = image.target.name if image.single and folder == image.target.parent else "0001.dcm"
            headers = [pydicom.dcmread(folder / name, stop_before_pixels=True)]
            frames = list(headers[0].PerFrameFunctionalGroupsSequence)
            headers[0].PerFrameFunctionalGroupsSequence = [frames[i] for i in slices]
            headers[0].NumberOfFrames = len(slices)
        else:
            headers = [pydicom.dcmread(folder / f"{i + 1:04d}.dcm", stop_before_pixels=True) for i in slices]
        apart = abs(image.slices[-1].plane.depth - image.slices[0].plane.depth) / max(len(image.slices) - 1, 1)
        for ds in headers:
            ds.Rows = ds.Columns = 1
            for name in _ASKED:
                if name not in ds:
                    setattr(ds, name, None)
            if not image.multiframe and not ds.get("SliceThickness"):
                ds.SliceThickness = round(apart, 6) or 1.0
        return headers


def _in_units(wide: Array, slope: float) -> Array:
    """Half-widths in real units, float32, rounded up."""
    exact = wide.astype(np.float64) * abs(slope)
    near = exact.astype(np.float32)
    return np.where(near < exact, np.nextafter(near, np.float32(np.inf)), near)


def _order(ds: Dataset, sources: Sequence[Dataset]) -> list[int]:
    """Which slice each frame is, by what it refers to."""
    uids = {str(source.SOPInstanceUID): i for i, source in enumerate(sources)}
    refers = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in ds.PerFrameFunctionalGroupsSequence]
    if len(sources) > 1 or len(refers) == 1:
        return [uids[str(item.ReferencedSOPInstanceUID)] for item in refers]
    numbers = [int(item.ReferencedFrameNumber) for item in refers]
    return [number - min(numbers) for number in numbers]


def create_map(scene: Scene, path: str, overwrite: bool, uid_seed: str | None = None) -> MapSink:
    """Make all checks that are possible before the computation, and make the hidden folder.

    Raises:
        InputError: the files of the series are gone.
        OutputError: no highdicom; slices without a frame of reference, at the same place, or in several multi-frame
            files; one file for more than fits; or the path cannot be written.
    """
    highdicom()
    frames = scene.headers
    target = Path(os.path.realpath(path))
    header = read_header(frames[0].path)
    if header is None:
        raise InputError("a series whose files are gone", "the files it was opened from", "put them back")
    multiframe = header.sop_class not in CLASSIC or any(frame.index for frame in frames)
    single = target.suffix.lower() == ".dcm" and not target.is_dir()
    _check(scene, header, multiframe)
    check_target(scene, path, target, single, overwrite)
    lines = scene.rescale or ((scene.bands[0].scale, 0.0),) * scene.shape[0]
    slopes = tuple(abs(float(slope)) for slope, _ in lines)
    narrow = scene.dtype.kind in "iu" and scene.dtype.itemsize <= 2 and len(set(slopes)) == 1
    stored = "uint16" if narrow else "float32"
    parts = split(scene.shape[0], scene.grid.shape[0] * scene.grid.shape[1] * np.dtype(stored).itemsize)
    if single and len(parts) > 1:
        raise OutputError(f"the file {path} for half-widths of more than 2 GiB", "a folder", "leave the suffix out")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, reason(error)) from error
    scratch = Scratch.open(
        target, scene, {"format": "parametric map", "single": str(single), "uid_seed": str(uid_seed)}
    )
    (scratch.folder / "maps").mkdir(exist_ok=True)
    told = scene.provenance.interval
    return MapSink(
        target=target,
        scratch=scratch,
        overwrite=overwrite,
        single=single,
        size=scene.grid.shape,
        parts=parts,
        stored=stored,
        slopes=slopes,
        unit=scene.bands[0].units,
        record=recorded(scene.provenance),
        description=f"Half-widths around realism 0 for {told.nominal:g} of the pixels"[:64],
        series_description=f"Half-widths for {told.nominal:g} of the pixels, not for diagnostic use"[:64],
        model_sha256=scene.provenance.model.sha256 or "0",
    )


def split(slices: int, each: int, most: int = 0) -> tuple[tuple[int, ...], ...]:
    """The slices of each file, where one takes ``each`` bytes and a file at most ``most``, by default :data:`MOST`."""
    count = -(-slices // max((most or MOST) // each, 1))
    return tuple(tuple(int(i) for i in part) for part in np.array_split(np.arange(slices), count))


def _check(scene: Scene, header: Header, multiframe: bool) -> None:
    """Raise an OutputError for slices that a Parametric Map cannot hold."""
    why = None
    if not header.reference:
        why = "without a frame of reference"
    elif len({round(plane.depth, 4) for plane in scene.grid.planes}) < len(scene.grid.planes):
        why = "several of which are at one place"
    elif multiframe and (header.sop_class in CLASSIC or len(scene.files) > 1):
        why = "in several multi-frame files, or of a class for single frames"
    if why is not None:
        raise OutputError(
            f"half-widths of {scene.name} as a Parametric Map, slices {why}",
            "one stack of slices in space",
            "write a volume such as FILE.nii.gz",
        )
