"""DICOM adapter of geomedsr: CT and MR series in, valid derived series out."""

from geomedsr_dicom.adapter import DicomAdapter

__all__ = ["DicomAdapter"]
