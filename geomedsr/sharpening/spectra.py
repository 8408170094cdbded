"""Which bands lie outside the wavelengths that a panchromatic guide sees, as far as products say what these are.

Detail of such a band follows from light of another colour: where the two do not go together, as in vegetation or water,
it may be wrong. Block means hold all the same, so nothing is refused.
"""

from __future__ import annotations

from geomedsr.scene.scene import Band, Scene
from geomedsr.scene.sensors import landsat

#: The least share of a band's range that the guide must see.
_SHARED = 0.5

#: Landsat 8 and 9, for files whose bands say no wavelengths: centre and width in µm.
_OLI = {f"b{number}": (band.centre, band.width) for number, band in landsat.SPECTRAL.items()}


def outside(coarse: Scene, pan: Scene) -> list[str]:
    """The bands of which a guide of one band sees less than half of the range, each with its range, in words."""
    sensor = _OLI if pan.bands[0].name.casefold() == "b8" else {}
    sees = _range(pan.bands[0], sensor)
    if sees is None:
        return []
    found = []
    for band in coarse.bands:
        own = _range(band, sensor)
        if band.kind == "continuous" and own is not None and _shared(own, sees) < _SHARED:
            found.append(f"{band.name} ({own[0]:.2f} to {own[1]:.2f} µm)")
    return found


def warning(coarse: Scene, pan: Scene) -> str | None:
    """What to warn of, in a line; None where all bands lie inside, or wavelengths are not known."""
    bands = outside(coarse, pan)
    if not bands:
        return None
    return (
        f"{', '.join(bands)}: outside what the guide {pan.name} sees, so their finer detail follows from other light; "
        "block means hold"
    )


def _range(band: Band, sensor: dict[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Where a band's response begins and ends, in µm: half its width on each side of the centre."""
    tags = band.tags.get("IMAGERY", {})
    try:
        centre, width = float(tags["CENTRAL_WAVELENGTH_UM"]), float(tags["FWHM_UM"])
    except (KeyError, ValueError):
        known = sensor.get(band.name.casefold().removeprefix("sr_"))
        if known is None:
            return None
        centre, width = known
    return centre - width / 2, centre + width / 2


def _shared(own: tuple[float, float], sees: tuple[float, float]) -> float:
    """The share of a band's range that the guide's covers."""
    common = min(own[1], sees[1]) - max(own[0], sees[0])
    return max(0.0, common) / max(own[1] - own[0], 1e-6)
