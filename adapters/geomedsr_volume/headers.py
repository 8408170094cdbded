"""The part of a source file's header that the sink needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geomedsr_volume.lattice import Lattice

if TYPE_CHECKING:
    from geomedsr_volume.nifti_header import NiftiFields


@dataclass(frozen=True)
class VolumeHeaders:
    """The number of an image's axes (2 or 3; more for several volumes), the positions of its voxels, and its metadata.

    The metadata are texts, or a NIfTI header for the selected volumes.
    """

    axes: int
    lattice: Lattice
    metadata: Mapping[str, str]
    fields: NiftiFields | None = None
