"""Cut the shipped sample out of a Sentinel-2 scene: a reference, and the same reduced 4 × by block means.

    python examples/make_sample.py FOLDER/sentinel2_coast_10m.tif

The window lies in rows that no shipped model was trained on.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import geomedsr
from geomedsr import Scene, Window

WINDOW = Window(col=40, row=1008, width=384, height=288)
FACTOR = 4
NOTICE = {"": {"SENSOR": "Sentinel-2 MSI", "ATTRIBUTION": "Contains modified Copernicus Sentinel data"}}


def main(source: str, folder: Path) -> None:
    """Write ``reference.tif`` (10 m) and ``input.tif`` (40 m)."""
    reference = replace(geomedsr.open(source).crop(WINDOW), tags=NOTICE)
    geomedsr.write(reference, folder / "reference.tif", overwrite=True)

    fine = reference.data.values[0].astype(np.int64)
    bands, height, width = fine.shape
    blocks = fine.reshape(bands, height // FACTOR, FACTOR, width // FACTOR, FACTOR)
    coarse = ((blocks.sum((2, 4)) + FACTOR**2 // 2) // FACTOR**2).astype(reference.dtype)  # to nearest
    grid = replace(
        reference.grid.scaled(1),
        shape=coarse.shape[1:],
        affine=reference.grid.affine @ reference.grid.affine.scale(FACTOR),
    )
    geomedsr.write(
        Scene.from_array(coarse, grid=grid, bands=reference.bands, tags=NOTICE), folder / "input.tif", overwrite=True
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(__file__).parent / "sentinel2_coast")
