"""Small but true Sentinel-2 products: the tree, the names and the metadata of the specification, and JPEG 2000 files.

Names and elements are those of S2-PDGS-TAS-DI-PSD, issue 14; sizes are a fortieth of real ones.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

#: Bands in the order of their numbers, and their resolutions.
NUMBERS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
SIZES = {10: ["B02", "B03", "B04", "B08"], 20: ["B05", "B06", "B07", "B8A", "B11", "B12"], 60: ["B01", "B09", "B10"]}
OWN = {band: size for size, bands in SIZES.items() for band in bands}

LEFT, TOP, EPSG = 600000, 5100000, 32632


def jp2(path: Path, array: np.ndarray, size: float, epsg: int = EPSG, **options: Any) -> None:
    """A lossless JPEG 2000 file of a band ``(y, x)``, or of several."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = array if array.ndim == 3 else array[None]
    count, height, width = bands.shape
    place = {} if epsg is None else {"crs": f"EPSG:{epsg}", "transform": from_origin(LEFT, TOP, size, size)}
    how = {"QUALITY": 100, "REVERSIBLE": "YES", "driver": "JP2OpenJPEG", "dtype": bands.dtype}
    with rasterio.open(path, "w", width=width, height=height, count=count, **place, **how, **options) as file:
        file.write(bands)


@dataclass
class Safe:
    """A product to be written: its level and baseline, the numbers of its bands at their own resolutions, and more."""

    level: str = "2A"
    baseline: str = "05.11"
    pixels: int = 120  # at 10 m; a multiple of 6
    tiles: Sequence[str] = ("32TQM",)
    offsets: Mapping[int, float] | None = None  # by the band's number; by default as of the baseline
    bands: Mapping[str, np.ndarray] = field(default_factory=dict)  # instead of made ones
    scl: np.ndarray | None = None
    seed: int = 0
    quantification: str = "10000"
    bits: int | None = 15

    @property
    def name(self) -> str:
        """The product's identifier."""
        of = f"N{self.baseline.replace('.', '')}_R022_T{self.tiles[0]}"
        return f"S2A_MSIL{self.level}_20240704T101031_{of}_20240704T120000"

    @property
    def raster_masks(self) -> bool:
        """Whether masks are rasters."""
        return self.baseline >= "04.00"

    @property
    def added(self) -> Mapping[int, float]:
        """The offset of each band, by number."""
        if self.offsets is not None:
            return self.offsets
        return dict.fromkeys(range(13), -1000) if self.baseline >= "04.00" else {}

    def granule(self, tile: str) -> str:
        """The granule's folder."""
        return f"L{self.level}_T{tile}_A047000_20240704T101559"

    def write(self, folder: Path) -> Path:
        """The ``.SAFE`` folder."""
        root = folder / f"{self.name}.SAFE"
        images: list[list[str]] = []
        for tile in self.tiles:
            granule = root / "GRANULE" / self.granule(tile)
            images.append([path.relative_to(root).with_suffix("").as_posix() for path in self._images(granule, tile)])
            self._masks(granule)
            (granule / "MTD_TL.xml").write_text(self._tile(tile), encoding="utf-8")
        (root / f"MTD_MSIL{self.level}.xml").write_text(self._product(images), encoding="utf-8")
        (root / "manifest.safe").write_text("<?xml version='1.0'?><xfdu/>", encoding="utf-8")
        for empty in ("AUX_DATA", "HTML", "rep_info", "DATASTRIP"):
            (root / empty).mkdir()
        return root

    def numbers(self, band: str, size: int) -> np.ndarray:
        """The stored numbers of a band."""
        if band in self.bands:
            return np.asarray(self.bands[band], np.uint16)
        side = self.pixels * 10 // size
        random = np.random.default_rng([self.seed, NUMBERS.index(band), size])
        return random.integers(1100, 9000, (side, side)).astype(np.uint16)

    def _images(self, granule: Path, tile: str) -> list[Path]:
        images, how = [], {} if self.bits is None else {"NBITS": self.bits}

        def put(band: str, array: np.ndarray, size: int, **options: Any) -> None:
            stem = f"T{tile}_20240704T101031_{band}"
            path = granule / "IMG_DATA"
            path = path / f"{stem}.jp2" if self.level == "1C" else path / f"R{size}m" / f"{stem}_{size}m.jp2"
            jp2(path, array, size, **options)
            images.append(path)

        side = self.pixels
        for band, own in OWN.items():
            if band == "B10" and self.level == "2A":
                continue
            put(band, self.numbers(band, own), own, **how)
            if self.level == "2A":
                for size in (20, 60):
                    if size > own and not (band == "B08" and size > 10):
                        put(band, self.numbers(band, own)[:: size // own, :: size // own], size, **how)
        if self.level == "2A":
            if self.baseline >= "04.00":
                put("B01", np.kron(self.numbers("B01", 60), np.ones((3, 3), np.uint16)), 20, **how)
            scl = self.scl if self.scl is not None else np.full((side // 2, side // 2), 4, np.uint8)
            put("SCL", scl, 20)
            for size in (10, 20, 60):
                put("AOT", np.full((side * 10 // size,) * 2, 120, np.uint16), size)
                put("WVP", np.full((side * 10 // size,) * 2, 1500, np.uint16), size)
        put("TCI", np.full((3, side, side), 99, np.uint8), 10)
        return images

    def _masks(self, granule: Path) -> None:
        quality, side = granule / "QI_DATA", self.pixels
        quality.mkdir(parents=True)
        for band in NUMBERS:
            if self.raster_masks:
                wide = side * 10 // OWN[band]
                feet = np.repeat(np.arange(wide) * 2 // wide + 3, wide).reshape(wide, wide).T.astype(np.uint8)
                jp2(quality / f"MSK_DETFOO_{band}.jp2", feet, OWN[band])
                layers = np.zeros((8, wide, wide), np.uint8)
                layers[7, 0, 0] = 1
                jp2(quality / f"MSK_QUALIT_{band}.jp2", layers, OWN[band])
        small = side // 6
        if self.raster_masks:
            clouds = np.zeros((3, small, small), np.uint8)
            clouds[0, 2, 3] = clouds[1, 5, 5] = clouds[2, 9, 9] = 1
            jp2(quality / "MSK_CLASSI_B00.jp2", clouds, 60)
        else:
            (quality / "MSK_CLOUDS_B00.gml").write_text(_CLOUDS, encoding="utf-8")
            for band in NUMBERS:
                (quality / f"MSK_DETFOO_{band}.gml").write_text(footprints(band, side * 10), encoding="utf-8")
        if self.level == "2A":
            jp2(quality / "MSK_CLDPRB_20m.jp2", np.full((side // 2, side // 2), 7, np.uint8), 20)

    def _tile(self, tile: str) -> str:
        places = "".join(
            f'<Size resolution="{size}"><NROWS>{self.pixels * 10 // size}</NROWS>'
            f"<NCOLS>{self.pixels * 10 // size}</NCOLS></Size>"
            f'<Geoposition resolution="{size}"><ULX>{LEFT}</ULX><ULY>{TOP}</ULY>'
            f"<XDIM>{size}</XDIM><YDIM>-{size}</YDIM></Geoposition>"
            for size in (10, 20, 60)
        )
        return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-{self.level}_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{self.level}_Tile_Metadata.xsd">
<n1:General_Info>
<TILE_ID>S2A_OPER_MSI_L{self.level}_TL_2APS_20240704T120000_A047000_T{tile}_N{self.baseline}</TILE_ID>
<SENSING_TIME>2024-07-04T10:16:02.123456Z</SENSING_TIME>
</n1:General_Info>
<n1:Geometric_Info>
<Tile_Geocoding><HORIZONTAL_CS_NAME>WGS84 / UTM zone 32N</HORIZONTAL_CS_NAME>
<HORIZONTAL_CS_CODE>EPSG:{EPSG}</HORIZONTAL_CS_CODE>{places}</Tile_Geocoding>
<Tile_Angles><Mean_Sun_Angle><ZENITH_ANGLE unit="deg">25.5</ZENITH_ANGLE>
<AZIMUTH_ANGLE unit="deg">143.25</AZIMUTH_ANGLE></Mean_Sun_Angle></Tile_Angles>
</n1:Geometric_Info>
<n1:Quality_Indicators_Info><Image_Content_QI><CLOUDY_PIXEL_PERCENTAGE>3.5</CLOUDY_PIXEL_PERCENTAGE></Image_Content_QI>
</n1:Quality_Indicators_Info>
</n1:Level-{self.level}_Tile_ID>
"""

    def _product(self, images: Sequence[Sequence[str]]) -> str:
        made = f"S2A_OPER_MSI_L{self.level}"
        granules = "".join(
            f'<Granule datastripIdentifier="{made}_DS_2APS_20240704T120000_S20240704T101559_N{self.baseline}"'
            f' granuleIdentifier="{made}_TL_2APS_20240704T120000_A047000_T{tile}_N{self.baseline}"'
            ' imageFormat="JPEG2000">' + "".join(f"<IMAGE_FILE>{image}</IMAGE_FILE>" for image in of) + "</Granule>"
            for tile, of in zip(self.tiles, images, strict=True)
        )
        special = "".join(
            f"<Special_Values><SPECIAL_VALUE_TEXT>{word}</SPECIAL_VALUE_TEXT>"
            f"<SPECIAL_VALUE_INDEX>{value}</SPECIAL_VALUE_INDEX></Special_Values>"
            for word, value in (("NODATA", 0), ("SATURATED", 65535))
        )
        tag, group = ("BOA_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST")
        quantity = (
            f'<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">{self.quantification}'
            '</BOA_QUANTIFICATION_VALUE><AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>'
            '<WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>'
        )
        if self.level == "1C":
            tag, group = "RADIO_ADD_OFFSET", "Radiometric_Offset_List"
            quantity = f'<QUANTIFICATION_VALUE unit="none">{self.quantification}</QUANTIFICATION_VALUE>'
        offsets = "".join(f'<{tag} band_id="{band}">{value:g}</{tag}>' for band, value in self.added.items())
        offsets = f"<{group}>{offsets}</{group}>" if offsets else ""
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{self.level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{self.level}.xsd">
<n1:General_Info><Product_Info>
<PRODUCT_START_TIME>2024-07-04T10:10:31.024Z</PRODUCT_START_TIME>
<PRODUCT_URI>{self.name}.SAFE</PRODUCT_URI>
<PROCESSING_LEVEL>Level-{self.level}</PROCESSING_LEVEL>
<PRODUCT_TYPE>S2MSI{self.level}</PRODUCT_TYPE>
<PROCESSING_BASELINE>{self.baseline}</PROCESSING_BASELINE>
<Datatake datatakeIdentifier="GS2A_20240704T101031_047000_N{self.baseline}">
<SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
<DATATAKE_SENSING_START>2024-07-04T10:10:31.024Z</DATATAKE_SENSING_START>
<SENSING_ORBIT_NUMBER>22</SENSING_ORBIT_NUMBER></Datatake>
<Query_Options completeSingleTile="true"><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT></Query_Options>
<Product_Organisation><Granule_List>{granules}</Granule_List></Product_Organisation></Product_Info>
<Product_Image_Characteristics>{special}{quantity}{offsets}
<Spectral_Information_List><Spectral_Information bandId="3" physicalBand="B4"><RESOLUTION>10</RESOLUTION><Wavelength>
<MIN unit="nm">646</MIN><MAX unit="nm">684</MAX><CENTRAL unit="nm">664.5</CENTRAL></Wavelength></Spectral_Information>
</Spectral_Information_List></Product_Image_Characteristics></n1:General_Info>
<n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>3.25</Cloud_Coverage_Assessment></n1:Quality_Indicators_Info>
</n1:Level-{self.level}_User_Product>
"""


def zipped(safe: Path, inner: str = "") -> Path:
    """The product in a zip beside it, as it is delivered."""
    pack = safe.with_suffix(".zip")
    with zipfile.ZipFile(pack, "w") as file:
        for path in sorted(safe.rglob("*")):
            if path.is_file():
                file.write(path, f"{inner}{safe.name}/{path.relative_to(safe).as_posix()}")
    return pack


def footprints(band: str, side: float) -> str:
    """What two detectors saw of a square, in GML: the left half, and the right one, from 60 m left of the middle on."""
    middle = LEFT + side / 2
    features = ""
    for count, (number, left, right) in enumerate(((3, LEFT - 100, middle), (4, middle - 60, LEFT + side + 100))):
        top, bottom = TOP + 50, TOP - side - 50
        corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
        places = " ".join(f"{x:g} {y:g} 0" for x, y in corners)
        features += (
            f'<eop:MaskFeature gml:id="detector_footprint-{band}-{number:02d}-{count}">'
            '<eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">DETECTOR_FOOTPRINT</eop:maskType>'
            "<eop:extentOf><gml:Polygon><gml:exterior><gml:LinearRing>"
            f'<gml:posList srsDimension="3">{places}</gml:posList>'
            "</gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf></eop:MaskFeature>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" '
        f'xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="footprints"><eop:maskMembers>{features}'
        "</eop:maskMembers></eop:Mask>"
    )


#: Opaque clouds over the square of 10 m pixels 12 … 23 down and 30 … 47 across.
_CLOUDS = f"""<?xml version="1.0" encoding="UTF-8"?>
<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="clouds">
<gml:boundedBy><gml:Envelope srsName="urn:ogc:def:crs:EPSG:8.7:{EPSG}"/></gml:boundedBy>
<eop:maskMembers><eop:MaskFeature gml:id="OPAQUE.0">
<eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">OPAQUE</eop:maskType>
<eop:extentOf><gml:Polygon gml:id="OPAQUE.0_Polygon"><gml:exterior><gml:LinearRing><gml:posList srsDimension="2">
{LEFT + 300} {TOP - 120} {LEFT + 480} {TOP - 120} {LEFT + 480} {TOP - 240} {LEFT + 300} {TOP - 240}
{LEFT + 300} {TOP - 120}
</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf></eop:MaskFeature></eop:maskMembers></eop:Mask>
"""
