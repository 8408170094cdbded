"""What the sink needs of the file that a scene came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geomedsr_volume.lattice import Lattice

if TYPE_CHECKING:
    from geomedsr_volume.nifti_header import NiftiFields


@dataclass(frozen=True)
class VolumeHeaders:
    """How many axes an image has (2 or 3; more of several volumes), where its voxels lie, and what else it says: as
    text, or as a header of NIfTI, of the volumes that were taken.
    """

    axes: int
    lattice: Lattice
    metadata: Mapping[str, str]
    fields: NiftiFields | None = None
