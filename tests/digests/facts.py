"""What a written result is, as data that can be compared: a digest of its pixels, and all that is said about them.

Left out is what differs from run to run by design: versions, times, unique identifiers.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import rasterio
import SimpleITK as sitk  # noqa: N813

import geomedsr

#: Tags that say which software and machine made a result.
_SOFTWARE = ("GEOMEDSR_VERSION", "GEOMEDSR_RUNTIME")

#: Namespaces that GDAL makes up of a file's path.
_OF_THE_PATH = ("DERIVED_SUBDATASETS", "SUBDATASETS")

#: DICOM attributes that are new in every run, or say when it ran.
_OF_THE_RUN = re.compile(r"UID$|^(Instance|Content|Contribution)\w*(Date|Time)|^SoftwareVersions$")


def digest(*arrays: Any) -> str:
    """SHA-256 of arrays with their types and shapes."""
    found = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def facts_of(path: Path) -> dict[str, Any]:
    """``{"pixels": digest, "said": …}`` of a result: a raster, a Zarr store, a volume or a folder of DICOM files."""
    if path.is_dir() and any(path.glob("*.dcm")):
        found = _series(path)
    elif path.suffix == ".zarr":
        found = _store(path)
    elif path.suffix in (".tif", ".vrt"):
        found = _raster(path)
    else:
        found = _volume(path)
    return json.loads(_plain(found), parse_constant=str)  # type: ignore[no-any-return]


def _plain(found: Any) -> str:
    text = json.dumps(found, default=str, sort_keys=True)
    text = text.replace(geomedsr.__version__, "VERSION")
    text = re.sub(r"torch [\d.]+ cpu", "torch", text)
    text = re.sub(r'((?:MODEL_SHA|sha)256(?:\\*": \\*"| )?)[0-9a-f]{64}', r"\1SHA256", text)  # a card may say more
    text = re.sub(r"\([0-9a-f]{12}\) x", "(SHA256) x", text)
    text = re.sub(r"(block-mean|k-space-crop) kept [0-9a-f]+", r"\1 kept SHA256", text)
    return re.sub(r"2\.25\.\d{20,}", "UID", text)


def _raster(path: Path) -> dict[str, Any]:
    with rasterio.open(path) as dataset:
        gcps, gcp_crs = dataset.gcps
        namespaces = ["", *dataset.tag_namespaces()]
        overviews = dataset.overviews(1)
        reduced = []
        for level in range(len(overviews)):
            with rasterio.open(path, OVERVIEW_LEVEL=level) as smaller:
                reduced.append(digest(smaller.read()))
        said = {
            "crs": dataset.crs.to_wkt() if dataset.crs else None,
            "transform": list(dataset.transform),
            "dtypes": dataset.dtypes,
            "nodata": [repr(value) for value in dataset.nodatavals],
            "masks": digest(dataset.read_masks()),
            "overviews": overviews,
            "overview pixels": reduced,
            "blocks": dataset.block_shapes,
            "compression": str(dataset.compression),
            "descriptions": dataset.descriptions,
            "interpretation": [str(c) for c in dataset.colorinterp],
            "scales": [dataset.scales, dataset.offsets, dataset.units],
            "gcps": [str(p.asdict()) for p in gcps] + [str(gcp_crs)],
            "rpcs": dataset.rpcs.to_gdal() if dataset.rpcs else None,
            "tags": {ns: _tags(dataset.tags(ns=ns or None)) for ns in namespaces if ns not in _OF_THE_PATH},
            "band tags": [_tags(dataset.tags(i)) for i in dataset.indexes],
        }
        return {"pixels": digest(dataset.read()), "said": said}


def _tags(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in _SOFTWARE}


def _store(path: Path) -> dict[str, Any]:
    import zarr

    group = zarr.open_group(path, mode="r")
    arrays = dict(group.arrays())
    said = {
        "attributes": _tags(dict(group.attrs)),
        "arrays": {
            name: [str(a.dtype), a.shape, a.chunks, dict(a.attrs), str(a.fill_value)] for name, a in arrays.items()
        },
        "coordinates": {name: digest(a[...]) for name, a in arrays.items() if a.dtype.kind in "iuf" and a.ndim < 2},
    }
    return {"pixels": digest(*(a[...] for _, a in sorted(arrays.items()) if a.ndim >= 2)), "said": said}


def _volume(path: Path) -> dict[str, Any]:
    image = sitk.ReadImage(str(path))
    said: dict[str, Any] = {
        "type": image.GetPixelIDTypeAsString(),
        "place": [image.GetSpacing(), image.GetOrigin(), image.GetDirection()],
    }
    if ".nii" in path.name:
        held = nibabel.load(path)
        header = {key: np.asarray(held.header[key]).tolist() for key in held.header}
        said["header"] = {key: value.decode() if isinstance(value, bytes) else value for key, value in header.items()}
        said["extensions"] = [_without_software(e.get_content()) for e in held.header.extensions]
    else:
        keys = [key for key in image.GetMetaDataKeys() if key not in _SOFTWARE]
        said["metadata"] = {key: image.GetMetaData(key) for key in sorted(keys)}
    return {"pixels": digest(sitk.GetArrayFromImage(image)), "said": said}


def _without_software(content: Any) -> str:
    text = content.decode(errors="replace") if isinstance(content, bytes) else str(content)
    return re.sub(rf'"?({"|".join(_SOFTWARE)})"?\W*[^\n,]*', r"\1", text)


def _series(path: Path) -> dict[str, Any]:
    files = [pydicom.dcmread(file) for file in sorted(path.glob("*.dcm"))]
    said = [_attributes(file) for file in files]
    kept = {f"{key} of slice {i}": v for i, d in enumerate(said) for key, v in d.items() if said[0].get(key) != v}
    shared = {key: value for key, value in said[0].items() if all(d.get(key) == value for d in said)}
    return {
        "pixels": digest(*(np.frombuffer(file.PixelData, np.uint8) for file in files)),
        "said": {"all slices": shared, **kept, "syntax": str(files[0].file_meta.TransferSyntaxUID.name)},
    }


def _attributes(dataset: pydicom.Dataset) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in dataset:
        name = element.keyword or str(element.tag)
        if element.VR == "SQ":
            found[name] = [_attributes(item) for item in element.value]
        elif name != "PixelData" and not _OF_THE_RUN.search(name):
            found[name] = (
                digest(np.frombuffer(element.value, np.uint8))
                if isinstance(element.value, bytes)
                else _without_software(element.value)
            )
    return found
