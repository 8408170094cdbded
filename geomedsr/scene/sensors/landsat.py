"""What is known of the bands of Landsat 8 and 9, whatever a product's metadata say of them.

Sources: the Landsat 8-9 Collection 2 Data Format Control Books (LSDS-1822, LSDS-1328) for bits and fill values; Barsi
et al., Remote Sensing 6 (2014), 10232, for the spectral responses of OLI; Montanaro et al., ibid. 8835, for TIRS; the
STAC extension ``eo`` 2.0 for common names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spectral:
    """A spectral band: common name, centre and width in µm, and the side of what its detector sees, in m."""

    common: str
    centre: float
    width: float
    resolution: int = 30


SPECTRAL = {
    1: Spectral("coastal", 0.443, 0.016),
    2: Spectral("blue", 0.482, 0.06),
    3: Spectral("green", 0.5614, 0.057),
    4: Spectral("red", 0.6546, 0.037),
    5: Spectral("nir08", 0.8647, 0.028),
    6: Spectral("swir16", 1.6089, 0.085),
    7: Spectral("swir22", 2.2007, 0.187),
    8: Spectral("pan", 0.5895, 0.172, 15),
    9: Spectral("cirrus", 1.3734, 0.021),
    10: Spectral("lwir11", 10.895, 0.59, 100),
    11: Spectral("lwir12", 12.005, 1.01, 100),
}

#: Bands of TM and ETM+ on Landsat 4 to 7, by their numbers; 8 is ETM+ alone.
EARLIER = {1: "blue", 2: "green", 3: "red", 4: "nir08", 5: "swir16", 6: "lwir", 7: "swir22", 8: "pan"}

#: Bits of QA_PIXEL, as masks; confidences have two bits each: 1 low, 2 medium, 3 high.
PIXEL = {
    1: "fill",
    2: "dilated_cloud",
    4: "cirrus",
    8: "cloud",
    16: "cloud_shadow",
    32: "snow",
    64: "clear",
    128: "water",
    0x0300: "cloud_confidence",
    0x0C00: "cloud_shadow_confidence",
    0x3000: "snow_ice_confidence",
    0xC000: "cirrus_confidence",
}
CLOUDS, SHADOWS, SNOW = 2 | 4 | 8, 16, 32

#: Bits of QA_RADSAT: bands that saturated, and ground that the terrain hides.
SATURATION = {1 << (number - 1): f"band_{number}_saturated" for number in (1, 2, 3, 4, 5, 6, 7, 9)}
RADSAT = {**SATURATION, 1 << 11: "terrain_occlusion"}

#: Bits of SR_QA_AEROSOL; the level has two: 0 climatology, 1 low, 2 medium, 3 high.
AEROSOL = {1: "fill", 2: "valid_retrieval", 4: "water", 32: "interpolated", 0xC0: "aerosol_level"}
