"""The sink: it collects the slices of an output volume and joins them to one file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from geomedsr.errors import OutputError, SceneWarning
from geomedsr.geometry import Box
from geomedsr.geometry.grid import Plane
from geomedsr.geometry.stacking import Stacking, volumes_of
from geomedsr.io import Move, Scratch, Sink
from geomedsr.io.files import atomic_write, exists, file_target
from geomedsr.io.jobs import writing
from geomedsr.scene.provenance import Provenance, foreign
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr_volume.headers import VolumeHeaders
from geomedsr_volume.lattice import Lattice, slice_axis, triple
from geomedsr_volume.names import NIFTI, suffix_of
from geomedsr_volume.nifti_header import LONGEST
from geomedsr_volume.nifti_writer import NiftiHead, finer_head, new_head
from geomedsr_volume.texts import texts_of

#: Bytes of slices that are in memory at once while they are put in the order of the file.
_HELD = 1 << 25


@dataclass(frozen=True)
class VolumeSink(Sink):
    """See :class:`geomedsr.io.Sink`; a region is a whole slice.

    ``lines`` are the slopes and intercepts per slice that make values physical, if the source has them and the volume
    format does not; ``kind`` is the type in the file. Slices are stacked along the ``lattice``'s axis, for ``volumes``
    volumes in a row. ``head`` is the header for NIfTI, ``metadata`` are the texts for other formats.
    """

    suffix: str
    shape: tuple[int, int, int]
    volumes: int
    kind: str
    lines: tuple[tuple[float, float], ...] | None
    axes: int
    lattice: Lattice
    metadata: Mapping[str, str]
    head: NiftiHead | None

    faults = (OSError, RuntimeError)

    @property
    def block(self) -> tuple[int, int]:
        """Regions are whole slices."""
        return self.shape[1:]

    def store(self, box: Box, values: Array, valid: Array) -> None:
        """Store slices, ``(frame, 1, y, x)``."""
        for number, stored in zip(range(box.start[0], box.stop[0]), values[:, 0], strict=True):
            if self.lines is not None:
                slope, intercept = self.lines[number]
                stored = stored.astype(np.float64) * slope + intercept
            atomic_write(self.folder / f"{number}.raw", stored.astype(self.kind).tobytes())

    def assemble(self) -> list[Move]:
        """Make one file from the slices and read it back. MetaImage's header refers to its pixels in a second file."""
        result = self.folder / f"result{self.suffix}"
        whole = self._write(result) if self.head is None else self._write_nifti(self.head, result)
        if not whole:
            raise OSError("what was written does not read back the same: is the disk full?")
        moves = [self.move(result)]
        if self.suffix == ".mhd":
            data = next(p for p in self.folder.iterdir() if p.stem == "result" and p.suffix in (".raw", ".zraw"))
            final = self.target.with_suffix(data.suffix)
            result.write_text(result.read_text().replace(data.name, final.name))
            moves.insert(0, self.move(data, final))
        return moves

    def check(self) -> None:
        """Raise an OutputError if the destination is not free, for example because a file was made in the meantime."""
        super().check()
        check_alone(self.target)

    def why(self, error: Exception) -> str:
        """The reason for an error in a few words: the end of ITK's long message."""
        return " ".join(str(error).split())[-200:]

    def _slice(self, number: int, row: int = 0, rows: int | None = None) -> Array:
        """A stored slice, or some of its rows."""
        height, width = self.shape[1:]
        path, size = self.folder / f"{number}.raw", np.dtype(self.kind).itemsize
        if path.stat().st_size != height * width * size:
            raise OSError(f"slice {number + 1} was not stored whole")
        count = height if rows is None else rows
        return np.fromfile(path, self.kind, count * width, offset=row * width * size).reshape(count, width)

    def _voxels(self, kind: np.dtype[Any]) -> Iterator[bytes]:
        """The stored slices as bytes in the order of the file, in the given type."""
        if self.lattice.axis == 2:
            for number in range(self.shape[0]):
                yield self._slice(number).astype(kind, copy=False).tobytes()
            return
        count, height = self.shape[0] // self.volumes, self.shape[1]
        rows = max(1, _HELD // (count * self.shape[2] * kind.itemsize))
        for first in range(0, self.shape[0], count):
            for row in range(0, height, rows):
                some = min(rows, height - row)
                block = np.stack([self._slice(n, row, some) for n in range(first, first + count)])
                yield np.moveaxis(block, 0, 2 - self.lattice.axis).astype(kind, copy=False).tobytes()

    def _write_nifti(self, head: NiftiHead, result: Path) -> bool:
        """Write slice by slice after the header; returns whether it reads back the same."""
        kind = np.dtype(head.order + np.dtype(self.kind).str[1:])
        head.write(result, self._voxels(kind))
        return head.holds(result, self._voxels(kind))

    def _write(self, result: Path) -> bool:
        """Write all at once, as ITK does; returns whether it reads back the same.

        The result is in memory twice; nearly four times for MetaImage while it is compressed.
        """
        volume = np.empty(self.lattice.sizes[::-1], self.kind)
        for number, plane in enumerate(np.moveaxis(volume, 2 - self.lattice.axis, 0)):
            plane[:] = self._slice(number)
        image = self._image(volume)
        del volume
        sitk.WriteImage(image, str(result), useCompression=True)
        del image
        written = sitk.ReadImage(str(result))
        view = sitk.GetArrayViewFromImage(written)
        if view.shape != self.lattice.sizes[::-1][-self.axes :]:
            return False
        planes = np.moveaxis(view.reshape(self.lattice.sizes[::-1]), 2 - self.lattice.axis, 0)
        return all(plane.tobytes() == self._slice(number).tobytes() for number, plane in enumerate(planes))

    def _image(self, volume: Array) -> Any:
        """Voxels as an ITK image with positions and metadata."""
        image = sitk.GetImageFromArray(volume if self.axes == 3 else volume[0])
        image.SetSpacing(self.lattice.spacing[: self.axes])
        image.SetOrigin(self.lattice.origin[: self.axes])
        matrix = np.array(self.lattice.directions).T[: self.axes, : self.axes]
        image.SetDirection([float(v) for v in matrix.ravel()])
        for key, text in self.metadata.items():
            image.SetMetaData(key, text)
        return image


def create_sink(scene: Scene, path: str, overwrite: bool) -> VolumeSink:
    """Make all checks that are possible before the computation, and make the hidden folder.

    Raises:
        OutputError: the slices are not a regular stack, or too many for the format; the path exists, is the source, or
            would be confused with another file; or it cannot be written.
    """
    suffix = suffix_of(path)
    assert suffix is not None
    target = file_target(scene, path, overwrite)
    pixels = target.with_suffix(".zraw")
    if suffix == ".mhd" and pixels.exists() and not overwrite:  # its pixels are in a second file
        raise exists(pixels)
    headers = scene.headers if isinstance(scene.headers, VolumeHeaders) else None
    image = scene.provenance.model.output is None  # other outputs have their own types and offsets
    fields = headers.fields if headers is not None and suffix in NIFTI and image else None
    volumes = volumes_of(scene.grid.planes)
    sizes = (*scene.shape[2:], scene.shape[0] // volumes, volumes)
    if suffix in NIFTI and max(sizes) > LONGEST and (fields is None or fields.version == 1):
        raise OutputError(f"{max(sizes)} voxels along an axis, for NIfTI", f"at most {LONGEST}", "write .nrrd or .mha")
    if volumes > 1 and suffix not in NIFTI:
        raise OutputError(
            f"{scene.name} of {volumes} volumes, for {suffix}", "one", "write .nii.gz, or choose one with --series"
        )
    check_alone(target)
    lattice = _place(scene, volumes)
    kind, lines = (str(scene.dtype), None) if fields is not None else _values(scene)
    frames, _, height, width = scene.shape
    axes = headers.axes if headers is not None and volumes == 1 else 3
    if suffix not in NIFTI and not lattice.flat:  # an image with two axes has no third position
        axes = 3
    provenance = _provenance(scene, lattice, None if fields is None else fields.header().get_dim_info()[2])
    head = None
    if fields is not None and headers is not None:
        head = finer_head(fields, headers.lattice, scene.grid.planes[0], (height, width), _slices(scene), provenance)
    elif suffix in NIFTI:
        head = new_head(lattice, kind, axes, volumes, provenance)
    scratch = Scratch.open(target, scene, {"format": suffix})
    return VolumeSink(
        target=target,
        scratch=scratch,
        overwrite=overwrite,
        suffix=suffix,
        shape=(frames, height, width),
        volumes=volumes,
        kind=kind,
        lines=lines,
        axes=min(axes, 3),
        lattice=lattice,
        metadata=_metadata(headers, provenance),
        head=head,
    )


def confused(path: str) -> str | None:
    """The file that ITK confuses with a NIfTI file, existing or being written; None if there is none.

    If ``a.nii`` and ``a.nii.gz`` are in one folder, ITK's NIfTI library reads the voxels of ``a.nii`` for both, and
    only the header from the right file (github.com/InsightSoftwareConsortium/ITK/issues/2243).
    """
    packed, plain = (path.lower().endswith(suffix) for suffix in (".nii.gz", ".nii"))
    others = [path[:-3]] if packed else [f"{path}.gz", f"{path}.GZ"] if plain else []
    return next((other for other in others if os.path.lexists(other) or writing(Path(other))), None)


def check_alone(target: Path) -> None:
    """Raise an OutputError if a NIfTI file would be confused with another."""
    if (other := confused(str(target))) is not None:
        raise OutputError(
            f"the output {target} beside {other}: many programs would read the uncompressed one's voxels for both",
            "one NIfTI file of a name in a folder",
            "choose another name or folder",
        )


def _place(scene: Scene, volumes: int) -> Lattice:
    """The lattice of the result."""
    _, _, height, width = scene.shape
    headers, first = scene.headers, scene.grid.planes[0]
    if isinstance(headers, VolumeHeaders):
        return headers.lattice.moved(first, height, width, _slices(scene))
    count = len(scene.grid.planes) // volumes
    along, step, origin = _stacked(scene.name, scene.grid.planes[:count])
    between_rows, between_columns = first.spacing
    return Lattice(
        origin,
        (first.along_row, first.along_column, along),
        (between_columns, between_rows, step),
        (width, height, count),
    )


def _slices(scene: Scene) -> int:
    """How many slices are made from each of the source's."""
    return sum(frames[0] == 0 for frames in scene.lineage) or 1


def _stacked(
    name: str, planes: tuple[Plane, ...]
) -> tuple[tuple[float, float, float], float, tuple[float, float, float]]:
    """The regular stack nearest to a series of slices: its direction, step and origin."""
    stack = Stacking.of(planes)
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
    step = stack.step or planes[0].thickness or 1.0
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
    return triple(normal), step, triple(origin)


def _values(scene: Scene) -> tuple[str, tuple[tuple[float, float], ...] | None]:
    """The type of the volume's values, and the slopes and intercepts that make them physical."""
    slopes, offsets = scene.slopes_and_offsets
    lines = tuple((float(s), float(o)) for s, o in zip(slopes[:, 0], offsets[:, 0], strict=True))
    lines = lines * (scene.shape[0] if len(lines) == 1 else 1)
    if set(lines) == {(1.0, 0.0)}:
        return str(scene.dtype), None
    if scene.limits is None or not all(s == 1 and o == int(o) for s, o in lines):
        return "float32", lines
    ends = [scene.limits[0] + min(o for _, o in lines), scene.limits[1] + max(o for _, o in lines)]
    fits = np.iinfo(np.int16).min <= ends[0] and ends[1] <= np.iinfo(np.int16).max
    return ("int16" if fits else "int32"), lines


def _metadata(headers: VolumeHeaders | None, provenance: Provenance) -> dict[str, str]:
    """The source's metadata, with the result's provenance."""
    before = foreign(headers.metadata) if headers is not None else {}
    kept = {
        key: text for key, text in before.items() if not key.startswith(("ITK_", "NRRD_", "qform", "sform", "dim["))
    }
    return {**kept, **texts_of(provenance)}


def _provenance(scene: Scene, lattice: Lattice, header: int | None) -> Provenance:
    """The provenance without file names, which may contain a patient's name.

    The slice axis is added if readers would otherwise take another one.
    """
    provenance = scene.provenance.without_names
    if slice_axis(lattice.sizes, lattice.spacing, header)[0] != lattice.axis:
        provenance = provenance.choosing(slice_axis=lattice.axis + 1)
    return provenance
