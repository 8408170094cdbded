"""Cut a small Sentinel-2 product out of two files of one scene: a zip of a SAFE folder, with JPEG 2000 images.

    python examples/make_product.py FOLDER    # which holds sentinel2_coast_10m.tif and sentinel2_coast_20m.tif

The window lies in rows that no shipped model was trained on. The files say neither the level nor the date of the
product that they were cut from, and so the metadata do not say them, either: the tree is that of Level-1C, with the
bands that there are.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

#: In pixels of 20 m. The file of 10 m begins one of its pixels further east.
COL, ROW, WIDTH, HEIGHT = 61, 506, 240, 132

NAME, TILE = "S2_COAST_CUT.SAFE", "T18SVG"
GRANULE = f"L1C_{TILE}_CUT"
BANDS = {10: ["B02", "B03", "B04", "B08"], 20: ["B05", "B06", "B07", "B8A", "B11", "B12"]}

NOTICE = """Contains modified Copernicus Sentinel data.

Cut from a Sentinel-2 scene by examples/make_product.py. Pixels are the scene's; the metadata name no date and no
baseline, since the files that it was cut from do not.
"""


def main(source: Path, target: Path) -> None:
    """Write the zip."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / NAME
        images = root / "GRANULE" / GRANULE / "IMG_DATA"
        images.mkdir(parents=True)
        places = []
        for size, bands in BANDS.items():
            with rasterio.open(source / f"sentinel2_coast_{size}m.tif") as file:
                scale = 20 // size
                window = Window(COL * scale - (size == 10), ROW * scale, WIDTH * scale, HEIGHT * scale)
                place, values = file.window_transform(window), file.read(window=window)
            places.append((size, values.shape[1:], place))
            for band, array in zip(bands, values, strict=True):
                _write(images / f"{TILE}_{band}.jp2", array, place)
        assert places[0][2].c == places[1][2].c
        (root / f"GRANULE/{GRANULE}/MTD_TL.xml").write_text(_tile(places))
        (root / "MTD_MSIL1C.xml").write_text(_product())
        (root / "NOTICE.txt").write_text(NOTICE)
        with zipfile.ZipFile(target, "w") as pack:
            for path in sorted(root.rglob("*")):
                info = zipfile.ZipInfo(path.relative_to(folder).as_posix())  # without the time of day
                if path.is_file():
                    pack.writestr(info, path.read_bytes())


def _write(path: Path, array: np.ndarray, place: Affine) -> None:
    height, width = array.shape
    how = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES", "NBITS": 15}
    with rasterio.open(
        path, "w", width=width, height=height, count=1, dtype="uint16", crs="EPSG:32618", transform=place, **how
    ) as file:
        file.write(array, 1)


def _tile(places: list[tuple[int, tuple[int, int], Affine]]) -> str:
    grids = "".join(
        f'<Size resolution="{size}"><NROWS>{rows}</NROWS><NCOLS>{cols}</NCOLS></Size>'
        f'<Geoposition resolution="{size}"><ULX>{place.c:g}</ULX><ULY>{place.f:.0f}</ULY><XDIM>{size}</XDIM>'
        f"<YDIM>-{size}</YDIM></Geoposition>"
        for size, (rows, cols), place in places
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-1C_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd">
<n1:Geometric_Info><Tile_Geocoding><HORIZONTAL_CS_CODE>EPSG:32618</HORIZONTAL_CS_CODE>{grids}</Tile_Geocoding>
</n1:Geometric_Info></n1:Level-1C_Tile_ID>
"""


def _product() -> str:
    files = "".join(
        f"<IMAGE_FILE>GRANULE/{GRANULE}/IMG_DATA/{TILE}_{band}</IMAGE_FILE>" for of in BANDS.values() for band in of
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd">
<n1:General_Info><Product_Info><PRODUCT_URI>{NAME}</PRODUCT_URI><Product_Organisation><Granule_List>
<Granule imageFormat="JPEG2000">{files}</Granule></Granule_List></Product_Organisation></Product_Info>
<Product_Image_Characteristics><Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE></Product_Image_Characteristics></n1:General_Info>
</n1:Level-1C_User_Product>
"""


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent / "sentinel2_product" / "coast.zip")
