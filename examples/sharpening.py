"""Coarse bands beside the same bands sharpened by a guide, one result pixel to 2 × 2 picture pixels.

    python examples/sharpening.py DATA [OUT.png]

DATA holds ``satellite/sentinel2_coast_{10,20}m.tif`` and ``satellite/landsat8_elkton_{rgb_30m,pan_15m}.tif``.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import geomedsr
from geomedsr import Window


def row(coarse: Path, guide: Path, window: Window, bands: list[str]) -> np.ndarray:
    """The coarse bands, repeated, and the sharpened ones: ``(y, x, 3)``, 0 … 255."""
    image = geomedsr.open(coarse)
    picks = [image.band_index(name) for name in bands]
    sharp = geomedsr.sharpen(image, geomedsr.open(guide)).crop(window.scaled(2)).data.values[0][picks]
    before = image.crop(window).data.values[0][picks]
    low, high = (np.percentile(before, q, axis=(1, 2))[:, None, None] for q in (1, 99))
    both = np.concatenate([before.repeat(2, 1).repeat(2, 2), sharp], 2)
    return np.moveaxis(np.clip((both - low) / (high - low), 0, 1) * 255, 0, -1).astype(np.uint8)


def main(words: list[str]) -> None:
    """Sentinel-2's bands of 20 m by those of 10 m, and Landsat's colours by its panchromatic band."""
    folder, out = Path(words[0]) / "satellite", Path(words[1] if len(words) > 1 else "demo/sharpening.png")
    rows = [
        row(
            folder / "sentinel2_coast_20m.tif",
            folder / "sentinel2_coast_10m.tif",
            Window(330, 500, 110, 110),
            ["B11", "B07", "B05"],
        ),
        row(
            folder / "landsat8_elkton_rgb_30m.tif",
            folder / "landsat8_elkton_pan_15m.tif",
            Window(76, 0, 110, 110),
            ["B4", "B3", "B2"],
        ),
    ]
    out.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.concatenate(rows, 1).repeat(2, 0).repeat(2, 1)).save(out)
    print(out)


if __name__ == "__main__":
    main(sys.argv[1:])
