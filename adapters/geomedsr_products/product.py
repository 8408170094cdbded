"""A satellite product as its metadata describe it: which files hold which bands, and what their numbers mean.

A family of products (:mod:`geomedsr_products.sentinel2` is one) is a module of two functions: ``recognises(path)`` says
whether a path is one of its own, and ``describe(path, tile)`` reads the metadata, and nothing else, into a
:class:`Product`. :mod:`geomedsr_products.scenes` then makes scenes of it, and knows nothing of families.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from geomedsr.geometry.grid import Grid

#: What the numbers of a band are: a measured quantity, one class a pixel, bits, or yes and no. All but the first are
#: carried over, never interpolated.
Kind = Literal["continuous", "classes", "flags", "mask"]

#: The tag of a band that tells the number that stands for saturated pixels.
SATURATED_VALUE = "SATURATED_VALUE"


@dataclass(frozen=True)
class BandFile:
    """One band of a product: where it is, and what it is.

    Physical value = stored number × ``scale`` + ``offset``, in ``units``, as the metadata have it; None of these is the
    file's own.

    Args:
        name: the product's own name of it, such as ``B05``.
        path: of its file, as GDAL takes it: ``/vsizip/{/data/a.zip}/a.SAFE/…`` of one in an archive.
        resolution: pixel size in units of the CRS.
        band: which band of the file, from 1.
        common: what it shows, by STAC's common names: ``red``, ``nir08``, ``rededge071``.
        wavelength: its centre, in µm.
        width: full width at half maximum, in µm.
        nodata: the number that is no data; the file's own, if it has one, where this is None.
        meanings: of classes: what each number means; of flags: what each mask of bits does.
        tags: more of it, by namespace.
        named: whether it comes only when it is named, as masks and footprints do.
        missing: why its file cannot be opened, where that is known from the metadata: such a band is listed, and
            refused when it is named.
        drawn: reads which pixels have which value, where that is told by polygons, and not by a raster.
    """

    name: str
    path: str
    resolution: float
    band: int = 1
    kind: Kind = "continuous"
    common: str | None = None
    wavelength: float | None = None
    width: float | None = None
    scale: float | None = 1.0
    offset: float | None = 0.0
    units: str | None = None
    nodata: float | int | None = None
    meanings: Mapping[int, str] = field(default_factory=dict)
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    named: bool = False
    missing: str | None = None
    drawn: Callable[[], Sequence[tuple[int, Outlined]]] | None = None


@dataclass(frozen=True)
class Flagged:
    """Pixels of a file that have one of some classes, or any of some bits; either may be empty.

    Of a file of several bands, ``bands`` are those that count, from 1: one of them is enough.
    """

    path: str
    values: tuple[int, ...] = ()
    bits: int = 0
    bands: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Outlined:
    """Pixels whose centre lies in polygons: rings ``(x, y), …`` in units of the CRS."""

    polygons: tuple[tuple[tuple[tuple[float, float], ...], ...], ...]


@dataclass(frozen=True)
class Product:
    """A product: its bands, who it is, and what of it may be masked.

    Args:
        path: as the user gave it.
        name: its identifier, without a suffix.
        bands: in the product's order; those of one resolution make a part.
        identity: tags that tell which product it is, when it was taken, and under which sun; see :data:`IDENTITY`.
        masks: what may be taken for no data, by what the user calls it: ``clouds``, ``shadows``, ``saturated``.
        files: local files besides the bands' own that were read.
        grids: what the metadata say of the grid at a resolution, for files that have no place of their own.
        resolution: the part that the path itself asks for.
        complaints: what a user should know of it, one line each.
    """

    path: str
    name: str
    bands: tuple[BandFile, ...]
    identity: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, tuple[Flagged | Outlined, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    grids: Mapping[float, Grid] = field(default_factory=dict)
    resolution: float | None = None
    complaints: tuple[str, ...] = ()


#: Tags of ``Product.identity``, the same for all families; those that a product does not tell are left out.
IDENTITY = (
    "PRODUCT_ID",
    "ACQUISITION_TIME",  # ISO 8601, UTC
    "PLATFORM",
    "INSTRUMENT",
    "PROCESSING_LEVEL",
    "PROCESSING_BASELINE",  # or version
    "TILE_ID",  # or path and row
    "RELATIVE_ORBIT",
    "SUN_AZIMUTH",  # degrees from north, clockwise
    "SUN_ELEVATION",  # degrees above the horizon
    "CLOUD_COVER",  # per cent
)
