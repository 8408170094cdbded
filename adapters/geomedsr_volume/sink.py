"""Where the slices of an output volume gather, and how they become one file."""

from __future__ import annotations

import json
import math
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from geomedsr.errors import OutputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.grid import Plane
from geomedsr.outputs import Scratch, exists, file_target, publish, unwritable
from geomedsr.provenance import foreign
from geomedsr.scene import Scene
from geomedsr.sources import Array
from geomedsr.stack import Stack
from geomedsr_volume import nifti
from geomedsr_volume.names import suffix_of
from geomedsr_volume.reader import VolumeHeaders

#: NIfTI header fields that say what a volume is, not how it lies; the others follow from the image.
_NIFTI_KEPT = ("aux_file", "intent_code", "intent_name", "intent_p1", "intent_p2", "intent_p3", "cal_max", "cal_min")

#: Of what NIfTI's description is made; there is none of a provenance without some of them.
_DESCRIBED = ("VERSION", "MODEL", "MODEL_VERSION", "FACTOR", "OPERATOR", "CONSERVED", "MODEL_SHA256")


@dataclass(frozen=True)
class VolumeSink:
    """See :class:`geomedsr.adapters.Sink`; a region is a whole slice.

    ``lines`` turn stored values into physical ones, slice by slice, where the source had such and a volume has not;
    ``kind`` is the type they are written in. ``comment`` is a text for NIfTI, which has no fields of that kind.
    """

    target: Path
    scratch: Scratch
    overwrite: bool
    suffix: str
    shape: tuple[int, int, int]
    kind: str
    lines: tuple[tuple[float, float], ...] | None
    axes: int
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    metadata: Mapping[str, str]
    comment: str

    @property
    def block(self) -> tuple[int, int]:
        """Regions are whole slices."""
        return self.shape[1:]

    def put(self, box: Box, values: Array, valid: Array) -> None:
        """Store slices, ``(frame, 1, y, x)``."""
        with self._io():
            for number, stored in zip(range(box.start[0], box.stop[0]), values[:, 0], strict=True):
                if self.lines is not None:
                    slope, intercept = self.lines[number]
                    stored = stored.astype(np.float64) * slope + intercept
                self._store(f"{number}.raw", stored.astype(self.kind).tobytes())
            (self._folder / f"{box.key}.done").touch()

    def done(self) -> set[str]:
        """Keys of the regions that are stored."""
        return {p.name.removesuffix(".done") for p in self._folder.glob("*.done")}

    def finish(self) -> None:
        """Assemble, read back, rename."""
        with self._io():
            result = self._folder / f"result{self.suffix}"
            whole = self._write_nifti(result) if self.suffix in nifti.SUFFIXES else self._write(result)
            if not whole:
                raise OSError("what was written does not read back the same: is the disk full?")
            self._move(result)
        self.discard()

    def discard(self) -> None:
        """Remove the hidden folder."""
        self.scratch.discard()

    def release(self) -> None:
        """Leave it for the same job to go on with."""
        self.scratch.release()

    @property
    def _folder(self) -> Path:
        return self.scratch.folder

    def _store(self, name: str, data: bytes) -> None:
        """A file, whole or not at all; whoever else stores the same meanwhile has a name of his own for what is not."""
        partial = self._folder / f".{name}.{uuid.uuid4().hex}.part"
        try:
            partial.write_bytes(data)
            os.replace(partial, self._folder / name)
        except OSError:  # a full disk: leave room
            with suppress(OSError):
                partial.unlink()
            raise

    def _slices(self) -> Iterator[bytes]:
        """The stored slices, as they are."""
        for number in range(self.shape[0]):
            data = (self._folder / f"{number}.raw").read_bytes()
            if len(data) != math.prod(self.shape[1:]) * np.dtype(self.kind).itemsize:
                raise OSError(f"slice {number + 1} was not stored whole")
            yield data

    def _write_nifti(self, result: Path) -> bool:
        """Slice by slice, behind the header that ITK gives one of them; whether it reads back the same."""
        one = self._folder / "one.nii"
        sitk.WriteImage(self._image(np.zeros((1, *self.shape[1:]), self.kind)), str(one))
        nifti.write(one, result, self.shape[0], self._slices(), self.comment)
        one.unlink()
        return nifti.holds(result, self._slices())

    def _write(self, result: Path) -> bool:
        """All at once, as ITK does; whether it reads back the same. It holds the result twice; MetaImage, while it is
        compressed, nearly four times.
        """
        volume = np.empty(self.shape, self.kind)
        for plane, data in zip(volume, self._slices(), strict=True):
            plane[:] = np.frombuffer(data, self.kind).reshape(plane.shape)
        image = self._image(volume)
        del volume
        sitk.WriteImage(image, str(result), useCompression=True)
        del image
        written = sitk.ReadImage(str(result))
        view = sitk.GetArrayViewFromImage(written)
        same = view.shape == self.shape[-self.axes :]
        planes = view.reshape(self.shape) if same else ()
        return same and all(plane.tobytes() == data for plane, data in zip(planes, self._slices(), strict=True))

    def _image(self, volume: Array) -> Any:
        """Slices as ITK's image, in their place, with the metadata."""
        image = sitk.GetImageFromArray(volume if self.axes == 3 else volume[0])
        image.SetSpacing(self.spacing[: self.axes])
        image.SetOrigin(self.origin[: self.axes])
        matrix = np.reshape(self.direction, (3, 3))[: self.axes, : self.axes]
        image.SetDirection([float(v) for v in matrix.ravel()])
        for key, text in self.metadata.items():
            image.SetMetaData(key, text)
        return image

    def _move(self, result: Path) -> None:
        if self.target.exists() and not self.overwrite:
            raise exists(self.target)
        if self.suffix == ".mhd":  # its pixels lie beside it, and it names them
            data = next(p for p in self._folder.iterdir() if p.stem == "result" and p.suffix in (".raw", ".zraw"))
            final = self.target.with_suffix(data.suffix)
            text = result.read_text().replace(data.name, final.name)
            result.write_text(text)
            publish(data, final, self.overwrite)
        publish(result, self.target, self.overwrite)

    @contextmanager
    def _io(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except (OSError, RuntimeError) as error:
            raise unwritable(self.target, " ".join(str(error).split())[-200:]) from error


def create_sink(scene: Scene, path: str, overwrite: bool) -> VolumeSink:
    """Check everything that can be checked before the work begins, and make the hidden folder.

    Raises:
        OutputError: the slices are no regular stack, or too many for the format; the path is taken, or the source's, or
            would be confused with another's; or it cannot be written.
    """
    suffix = suffix_of(path)
    assert suffix is not None
    target = file_target(scene, path, overwrite)
    pixels = target.with_suffix(".zraw")
    if suffix == ".mhd" and pixels.exists() and not overwrite:  # its pixels lie beside it
        raise exists(pixels)
    if suffix in nifti.SUFFIXES and max(scene.shape) > nifti.LONGEST:
        raise OutputError(
            f"{max(scene.shape)} voxels along an axis, for NIfTI", f"at most {nifti.LONGEST}", "write .nrrd or .mha"
        )
    if (other := nifti.confused(str(target))) is not None:
        raise OutputError(
            f"the output {path} beside {other}: many programs would read the uncompressed one's voxels for both",
            "one NIfTI file of a name in a folder",
            "choose another name or folder",
        )
    spacing, origin, direction = _place(scene)
    kind, lines = _values(scene)
    scratch = Scratch.open(target, scene, {"format": suffix})
    headers = scene.headers
    frames, _, height, width = scene.shape
    return VolumeSink(
        target=target,
        scratch=scratch,
        overwrite=overwrite,
        suffix=suffix,
        shape=(frames, height, width),
        kind=kind,
        lines=lines,
        axes=headers.axes if isinstance(headers, VolumeHeaders) else 3,
        spacing=spacing,
        origin=origin,
        direction=direction,
        metadata=_metadata(scene, suffix),
        comment=json.dumps(_told(scene)) if _told(scene) and suffix in nifti.SUFFIXES else "",
    )


def _place(scene: Scene) -> tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, ...]]:
    """Spacing, origin and direction (SimpleITK's row-major matrix, a column per axis)."""
    planes = scene.grid.planes
    first = planes[0]
    headers = scene.headers
    if isinstance(headers, VolumeHeaders):
        along, step = headers.along_stack, headers.step
        origin = first.position
    else:
        along, step, origin = _stacked(scene.name, planes)
    matrix = np.column_stack([first.along_row, first.along_column, along])
    between_rows, between_columns = first.spacing
    return (between_columns, between_rows, step), origin, tuple(float(v) for v in matrix.ravel())


def _stacked(
    name: str, planes: tuple[Plane, ...]
) -> tuple[tuple[float, float, float], float, tuple[float, float, float]]:
    """The regular stack nearest to a series of slices: its direction, step and origin."""
    stack = Stack.of(planes)
    faults = stack.faults
    if any(p.spacing != planes[0].spacing for p in planes):
        faults.append("pixels of several sizes")
    if faults:
        raise OutputError(
            f"{name} with {' and '.join(faults)}, for a volume",
            "an even stack of slices",
            "write a DICOM series: name a folder",
        )
    normal = np.array(planes[0].normal)
    step = stack.step or 1.0
    places = np.array([p.position for p in planes])
    ideal = np.arange(len(planes))[:, None] * step * normal
    origin = (places - ideal).mean(0) if len(planes) > 1 else places[0]
    off = float(np.linalg.norm(places - ideal - origin, axis=1).max())
    if off > 0.01 * min(*planes[0].spacing, abs(step)):
        warnings.warn(
            f"{name} is no exact grid: in a volume its slices lie up to {off:.2g} mm off", SceneWarning, stacklevel=2
        )
    if step < 0:
        normal, step = -normal, -step
    x, y, z = (float(v) for v in normal)
    ox, oy, oz = (float(v) for v in origin)
    return (x, y, z), step, (ox, oy, oz)


def _values(scene: Scene) -> tuple[str, tuple[tuple[float, float], ...] | None]:
    """The type of the volume's values, and the lines that make physical values of stored ones."""
    slopes, offsets = scene.lines
    lines = tuple((float(s), float(o)) for s, o in zip(slopes[:, 0], offsets[:, 0], strict=True))
    lines = lines * (scene.shape[0] if len(lines) == 1 else 1)
    if set(lines) == {(1.0, 0.0)}:
        return str(scene.dtype), None
    whole = scene.dtype.kind in "iu" and all(s == 1 and o == int(o) for s, o in lines)
    if not whole:
        return "float32", lines
    low, high = scene.bands[0].limits or (int(np.iinfo(scene.dtype).min), int(np.iinfo(scene.dtype).max))
    ends = [low + min(o for _, o in lines), high + max(o for _, o in lines)]
    fits = np.iinfo(np.int16).min <= ends[0] and ends[1] <= np.iinfo(np.int16).max
    return ("int16" if fits else "int32"), lines


def _metadata(scene: Scene, suffix: str) -> dict[str, str]:
    """What the source said of itself, and what made this: in NIfTI's 80 characters, for programs without comments, as
    much as they hold.
    """
    before = foreign(scene.headers.metadata) if isinstance(scene.headers, VolumeHeaders) else {}
    told = _told(scene)
    p = {key.removeprefix("GEOMEDSR_"): text for key, text in told.items()}
    if suffix in nifti.SUFFIXES:
        kept = {key: text for key, text in before.items() if key in _NIFTI_KEPT}
        if all(name in p for name in _DESCRIBED):
            start = (
                f"geomedsr {p['VERSION']} {p['MODEL']} {p['MODEL_VERSION']} x{p['FACTOR']} {p['OPERATOR']} "
                f"{_agreement(p)} "
            )
            kept["descrip"] = kept["ITK_FileNotes"] = (start + p["MODEL_SHA256"])[:79]
        return kept
    kept = {
        key: text for key, text in before.items() if not key.startswith(("ITK_", "NRRD_", "qform", "sform", "dim["))
    }
    return {**kept, **told}


def _told(scene: Scene) -> dict[str, str]:
    """The provenance, without the source's name: a file may be called after a patient."""
    return {key: text for key, text in scene.provenance.items() if key != "GEOMEDSR_SOURCE"}


def _agreement(p: Mapping[str, str]) -> str:
    """Whether the result agrees with its source; and realism, neighbours and the halo of approximate tiling, if any."""
    words = ["kept" if p["CONSERVED"] == "yes" else "free"]
    if p.get("REALISM", "0") != "0":
        words.append(f"r{p['REALISM']}")
    if "NEIGHBOURS" in p:
        words.append(f"n{p['NEIGHBOURS']}")
    if p.get("TILING", "exact") != "exact":
        words.append(f"h{p['TILING'].rpartition(' ')[2]}")
    return ",".join(words)
