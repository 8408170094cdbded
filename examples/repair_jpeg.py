"""A scene as a JPEG file of quality 10 decodes it, what `repair` makes of that file, and the truth.

    python examples/repair_jpeg.py DATA [OUT.png]

DATA holds ``satellite/landsat8_fields_south_30m.tif``, a part of which training did not see.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import geomedsr
from geomedsr import Window
from geomedsr.repairing.deblocking import deblocked

WINDOW = Window(1640, 620, 176, 200)


def main(words: list[str]) -> None:
    """Three pictures, side by side."""
    out = Path(words[1] if len(words) > 1 else "demo/repair_jpeg.png")
    scene = geomedsr.open(Path(words[0]) / "satellite" / "landsat8_fields_south_30m.tif").crop(WINDOW).select([3, 2, 1])
    values = scene.data.values[0]
    low, high = (np.percentile(values, q, axis=(1, 2))[:, None, None] for q in (1, 99))
    truth = np.moveaxis(np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8), 0, -1)
    with TemporaryDirectory() as folder:
        file = Path(folder, "scene.jpg")
        Image.fromarray(truth).save(file, quality=10, subsampling="4:4:4")
        decoded = geomedsr.open(file)
        made = deblocked(decoded).scene.data.values[0]
        images = [np.moveaxis(decoded.data.values[0], 0, -1), np.moveaxis(made, 0, -1), truth]
    out.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.concatenate(images, 1).repeat(2, 0).repeat(2, 1)).save(out)
    print(out)


if __name__ == "__main__":
    main(sys.argv[1:])
