"""The adapter for volumes: NIfTI through nibabel, NRRD and MetaImage through SimpleITK."""

from geomedsr_volume.adapter import VolumeAdapter

__all__ = ["VolumeAdapter"]
