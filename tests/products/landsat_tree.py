"""Small but true Landsat products of Collection 2: the names, the metadata and the grids of the format control books.

Groups, keys and file names are those of LSDS-1822 and LSDS-1328; real scenes have some 7800 × 7600 pixels. As there,
the centres of the first pixels of all bands lie in one place, so that the panchromatic band's corner lies half a pixel
of its own inside the others'.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

LEFT, TOP, EPSG = 435885.0, 4265115.0, 32618

#: Numbers of bits in QA_PIXEL: clear land, and a cloud of high confidence.
CLEAR, CLOUD = 21824, 22280

Groups = dict[str, dict[str, Any]]


@dataclass
class Landsat:
    """A product to be written; ``groups`` change its metadata: None leaves a key out, or a group. ``arrays`` are the
    numbers of bands, by name, instead of random ones.
    """

    level: str = "L2SP"
    craft: str = "LANDSAT_9"
    shape: tuple[int, int] = (20, 24)
    date: str = "20240506"
    groups: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    left: float = LEFT
    epsg: int = EPSG
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The product's identifier."""
        return f"LC0{self.craft[-1]}_{self.level}_015033_{self.date}_{self.date}_02_T1"

    @property
    def top(self) -> bool:
        """Whether it is of Level 1."""
        return self.level.startswith("L1")

    @property
    def bands(self) -> dict[str, str]:
        """Files of bands by their names."""
        names = [f"B{i}" for i in range(1, 12)] if self.top else [*(f"SR_B{i}" for i in range(1, 8)), "ST_B10"]
        more = [] if self.top else ["SR_QA_AEROSOL", "ST_TRAD", "ST_QA"]
        return {name: f"{self.name}_{name}.TIF" for name in [*names, "QA_PIXEL", "QA_RADSAT", *more]}

    def numbers(self, name: str) -> np.ndarray:
        """The stored numbers of a band: no data in the first pixel, a cloud in the pixel (5, 6)."""
        if name in self.arrays:
            return np.asarray(self.arrays[name], np.uint16)
        height, width = (2 * n - 1 for n in self.shape) if name == "B8" else self.shape
        rng = np.random.default_rng(sum(map(ord, name)))
        if name == "QA_PIXEL":
            found = np.full((height, width), CLEAR, np.uint16)
            found[5, 6], found[0, 0] = CLOUD, 1
        elif name == "QA_RADSAT":
            found = np.zeros((height, width), np.uint16)
            found[3, 4] = 1 << 3
        elif name == "SR_QA_AEROSOL":
            found = np.full((height, width), 0x42, np.uint8)
        elif name.startswith("ST_") and name != "ST_B10":
            found = rng.integers(-100, 9000, (height, width)).astype(np.int16)
        else:
            found = rng.integers(7273, 43636, (height, width)).astype(np.uint16)
            found[0, 0] = 0
        return found

    def metadata(self) -> Groups:
        """The groups of the MTL file."""
        made = _level1(self) if self.top else _level2(self)
        for group, values in self.groups.items():
            if values is None:
                del made[group]
                continue
            for key, value in values.items():
                if value is None:
                    del made[group][key]
                else:
                    made.setdefault(group, {})[key] = value
        return made

    def write(self, folder: Path, kinds: tuple[str, ...] = ("txt", "json")) -> Path:
        """The product as a folder, with its metadata as text, as JSON, or as both."""
        root = folder / self.name
        root.mkdir(parents=True)
        for name, file in self.bands.items():
            self._raster(root / file, name)
        groups = self.metadata()
        texts = {"txt": as_text(groups), "json": as_json(groups)}
        for kind in kinds:
            (root / f"{self.name}_MTL.{kind}").write_text(texts[kind])
        (root / f"{self.name}_ANG.txt").write_text("GROUP = FILE_HEADER\n")
        return root

    def _raster(self, path: Path, name: str) -> None:
        array, size = self.numbers(name), 15.0 if name == "B8" else 30.0
        inside = 7.5 if name == "B8" else 0.0
        fill = {"QA_PIXEL": 1, "QA_RADSAT": None, "SR_QA_AEROSOL": 1}.get(
            name, 0 if array.dtype == np.uint16 else -9999
        )
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=array.shape[1],
            height=array.shape[0],
            count=1,
            dtype=array.dtype,
            nodata=fill,
            crs=f"EPSG:{self.epsg}",
            transform=from_origin(self.left + inside, TOP - inside, size, size),
            tiled=True,
            blockxsize=16,
            blockysize=16,
        ) as file:
            file.write(array, 1)


def tarred(root: Path, path: Path | None = None) -> Path:
    """A product as it is delivered: one tar, without a folder in it."""
    target = path or root.with_suffix(".tar")
    with tarfile.open(target, "w") as tape:
        for file in sorted(root.iterdir()):
            info = tarfile.TarInfo(file.name)
            content = file.read_bytes()
            info.size = len(content)
            tape.addfile(info, io.BytesIO(content))
    return target


def as_text(groups: Groups) -> str:
    """Metadata as ODL."""
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for name, values in groups.items():
        lines += [f"  GROUP = {name}", *(f"    {key} = {_odl(value)}" for key, value in values.items())]
        lines.append(f"  END_GROUP = {name}")
    return "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""])


def _odl(value: Any) -> str:
    bare = not isinstance(value, str) or (value[:4].isdigit() and value[4:5] == "-") or value == "02"
    return str(value) if bare else f'"{value}"'


def as_json(groups: Groups) -> str:
    """Metadata as JSON, in which all values are texts."""
    texts = {name: {key: str(value) for key, value in values.items()} for name, values in groups.items()}
    return json.dumps({"LANDSAT_METADATA_FILE": texts}, indent=2)


def _contents(product: Landsat) -> dict[str, Any]:
    keys = {
        "QA_PIXEL": "QUALITY_L1_PIXEL",
        "QA_RADSAT": "QUALITY_L1_RADIOMETRIC_SATURATION",
        "SR_QA_AEROSOL": "QUALITY_L2_AEROSOL",
        "ST_TRAD": "THERMAL_RADIANCE",
        "ST_QA": "QUALITY_L2_SURFACE_TEMPERATURE",
        "ST_B10": "BAND_ST_B10",
    }
    found = {
        "ORIGIN": "Image courtesy of the U.S. Geological Survey",
        "LANDSAT_PRODUCT_ID": product.name,
        "PROCESSING_LEVEL": product.level,
        "COLLECTION_NUMBER": "02",
        "COLLECTION_CATEGORY": "T1",
        "OUTPUT_FORMAT": "GEOTIFF",
    }
    for name, file in product.bands.items():
        found[f"FILE_NAME_{keys.get(name, 'BAND_' + name.removeprefix('SR_').removeprefix('B'))}"] = file
    return found | {"FILE_NAME_ANGLE_COEFFICIENT": f"{product.name}_ANG.txt"}


def _image(product: Landsat) -> dict[str, Any]:
    day = f"{product.date[:4]}-{product.date[4:6]}-{product.date[6:]}"
    return {
        "SPACECRAFT_ID": product.craft,
        "SENSOR_ID": "OLI_TIRS",
        "WRS_TYPE": 2,
        "WRS_PATH": 15,
        "WRS_ROW": 33,
        "DATE_ACQUIRED": day,
        "SCENE_CENTER_TIME": "15:40:29.1234560Z",
        "CLOUD_COVER": 4.29,
        "SUN_AZIMUTH": 134.10932851,
        "SUN_ELEVATION": 63.86310443,
        "EARTH_SUN_DISTANCE": 1.0086,
    }


def _map(product: Landsat) -> dict[str, Any]:
    lines, samples = product.shape
    pan = {"PANCHROMATIC_LINES": 2 * lines - 1, "PANCHROMATIC_SAMPLES": 2 * samples - 1} if product.top else {}
    sizes = {
        "REFLECTIVE_LINES": lines,
        "REFLECTIVE_SAMPLES": samples,
        "THERMAL_LINES": lines,
        "THERMAL_SAMPLES": samples,
    }
    return {"MAP_PROJECTION": "UTM", "DATUM": "WGS84", "UTM_ZONE": 18, **pan, **sizes, "ORIENTATION": "NORTH_UP"}


def _level1(product: Landsat) -> Groups:
    spectral, rescaling = range(1, 10), {}
    for i in range(1, 12):
        rescaling[f"RADIANCE_MULT_BAND_{i}"] = 0.00038 if i > 9 else round(0.0125 / i, 6)
        rescaling[f"RADIANCE_ADD_BAND_{i}"] = 0.1 if i > 9 else round(-62.5 / i, 5)
    rescaling |= {f"REFLECTANCE_MULT_BAND_{i}": 2.0e-5 for i in spectral}
    rescaling |= {f"REFLECTANCE_ADD_BAND_{i}": -0.1 for i in spectral}
    return {
        "PRODUCT_CONTENTS": _contents(product),
        "IMAGE_ATTRIBUTES": _image(product),
        "PROJECTION_ATTRIBUTES": _map(product),
        "LEVEL1_PROCESSING_RECORD": {"PROCESSING_SOFTWARE_VERSION": "LPGS_16.4.0"},
        "LEVEL1_RADIOMETRIC_RESCALING": rescaling,
        "LEVEL1_THERMAL_CONSTANTS": {
            "K1_CONSTANT_BAND_10": 799.0284,
            "K2_CONSTANT_BAND_10": 1329.2405,
            "K1_CONSTANT_BAND_11": 475.6581,
            "K2_CONSTANT_BAND_11": 1198.3494,
        },
    }


def _level2(product: Landsat) -> Groups:
    surface = {f"REFLECTANCE_MULT_BAND_{i}": 2.75e-05 for i in range(1, 8)}
    surface |= {f"REFLECTANCE_ADD_BAND_{i}": -0.2 for i in range(1, 8)}
    return {
        "PRODUCT_CONTENTS": _contents(product),
        "IMAGE_ATTRIBUTES": _image(product),
        "PROJECTION_ATTRIBUTES": _map(product),
        "LEVEL2_PROCESSING_RECORD": {"PROCESSING_SOFTWARE_VERSION": "LPGS_16.4.0"},
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": surface,
        "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS": {
            "TEMPERATURE_MULT_BAND_ST_B10": 0.00341802,
            "TEMPERATURE_ADD_BAND_ST_B10": 149.0,
        },
        "LEVEL1_PROCESSING_RECORD": {"PROCESSING_SOFTWARE_VERSION": "LPGS_16.3.1"},
    }
