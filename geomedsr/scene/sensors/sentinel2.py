"""What is known of Sentinel-2's bands, whatever a product's metadata say of them.

Sources: the Products Specification Document (S2-PDGS-TAS-DI-PSD, issues 14 and 15) for names, identifiers, resolutions,
classes and layers of masks; the Spectral Response Functions (COPE-GSEG-EOPG-TN-15-0007, Sentinel-2A) for wavelengths;
the STAC extension ``eo`` 2.0 for common names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spectral:
    """A spectral band: its identifier in the metadata, resolution in m, common name, centre and width in nm."""

    number: int
    resolution: int
    common: str
    centre: float
    width: float


SPECTRAL = {
    "B01": Spectral(0, 60, "coastal", 442.7, 21),
    "B02": Spectral(1, 10, "blue", 492.4, 66),
    "B03": Spectral(2, 10, "green", 559.8, 36),
    "B04": Spectral(3, 10, "red", 664.6, 31),
    "B05": Spectral(4, 20, "rededge071", 704.1, 15),
    "B06": Spectral(5, 20, "rededge075", 740.5, 15),
    "B07": Spectral(6, 20, "rededge078", 782.8, 20),
    "B08": Spectral(7, 10, "nir", 832.8, 106),
    "B8A": Spectral(8, 20, "nir08", 864.7, 21),
    "B09": Spectral(9, 60, "nir09", 945.1, 20),
    "B10": Spectral(10, 60, "cirrus", 1373.5, 31),
    "B11": Spectral(11, 20, "swir16", 1613.7, 91),
    "B12": Spectral(12, 20, "swir22", 2202.4, 175),
}

#: The resolution at which what is no spectral band is computed, of those at which it is delivered.
OTHERS = {"SCL": 20, "AOT": 20, "WVP": 20}

#: Classes of the scene classification of Level-2A.
SCENE_CLASSES = {
    0: "no_data",
    1: "saturated_or_defective",
    2: "dark_feature_or_cast_shadow",
    3: "cloud_shadow",
    4: "vegetation",
    5: "not_vegetated",
    6: "water",
    7: "unclassified",
    8: "cloud_medium_probability",
    9: "cloud_high_probability",
    10: "thin_cirrus",
    11: "snow_or_ice",
}
CLOUDS, SHADOWS = (8, 9, 10), (3,)

#: Layers of ``MSK_CLASSI_B00.jp2``, from processing baseline 04.00 on; the first two are clouds.
CLASSI = ("opaque_clouds", "cirrus_clouds", "snow_or_ice")

#: Layers of ``MSK_QUALIT_Bnn.jp2``.
QUALIT = (
    "ancillary_lost",
    "ancillary_degraded",
    "msi_lost",
    "msi_degraded",
    "defective",
    "no_data",
    "partially_corrected_crosstalk",
    "saturated_l1a",
)

#: The twelve detectors, which are numbered in ``MSK_DETFOO_Bnn.jp2``; 0 is outside of all.
DETECTORS = {0: "none"} | {number: f"detector_{number}" for number in range(1, 13)}
