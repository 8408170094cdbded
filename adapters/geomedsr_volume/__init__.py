"""Volume adapter of geomedsr: NIfTI, NRRD and MetaImage, slice by slice, through SimpleITK."""

from geomedsr_volume.adapter import VolumeAdapter

__all__ = ["VolumeAdapter"]
