"""A scene with gaps as Landsat 7's, what GDAL makes of it, what `repair` makes of it, and the truth.

    python examples/repair.py DATA [OUT.png]

DATA holds ``satellite/landsat8_fields_south_30m.tif``, a part of which training did not see.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from rasterio.fill import fillnodata

import geomedsr
from geomedsr import Scene, Window
from geomedsr.degradations.gaps import slc_off

WINDOW = Window(1640, 620, 260, 200)


def main(words: list[str]) -> None:
    """Four pictures: broken and filled by GDAL above, repaired and true below."""
    out = Path(words[1] if len(words) > 1 else "demo/repair.png")
    scene = geomedsr.open(Path(words[0]) / "satellite" / "landsat8_fields_south_30m.tif").crop(WINDOW).select([3, 2, 1])
    truth = scene.data.values[0]
    mask = slc_off(truth.shape[1:], 2300.0, 5.0, 9.0)
    broken = np.where(mask, 0, truth)
    gdal = np.stack(
        [fillnodata(b.astype(np.float32), (~mask).astype(np.uint8), max_search_distance=100) for b in broken]
    )
    made = geomedsr.repair(Scene.from_array(broken), Scene.from_array(mask.astype(np.uint8))).data.values[0]
    low, high = (np.percentile(truth, q, axis=(1, 2))[:, None, None] for q in (1, 99))
    shown = [np.where(mask, low, broken), gdal, made, truth]
    images = [np.moveaxis(np.clip((x - low) / (high - low), 0, 1) * 255, 0, -1).astype(np.uint8) for x in shown]
    rows = [np.concatenate(images[:2], 1), np.concatenate(images[2:], 1)]
    out.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.concatenate(rows, 0).repeat(2, 0).repeat(2, 1)).save(out)
    print(out)


if __name__ == "__main__":
    main(sys.argv[1:])
