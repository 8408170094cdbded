"""What is seen of a scene when as few bytes of it have come as its preview has: draws docs/images/transfer.png.

    python examples/transfer.py [PICTURE.png]

Needs the extras `demo` and `codecs`.
"""

import sys
import tempfile
from pathlib import Path

import imagecodecs
import numpy as np
from panels import draw, part

import geomedsr
from geomedsr.geometry import Box

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "examples/sentinel2_coast/reference.tif"

#: What is shown: top, left and side, as parts of the height; and the bands that are red, green and blue.
PLACE, RGB = (0.15, 0.2, 0.45), [2, 1, 0]


def values(scene: geomedsr.Scene) -> np.ndarray:
    """Stored values of the three bands, ``(band, y, x)``."""
    return scene.source.read(Box.whole(scene.shape))[0][RGB]


def main(picture: str = str(ROOT / "docs/images/transfer.png")) -> None:
    """Split the sample, and draw what its preview gives beside JPEG XL of the whole at as many bytes."""
    scene = geomedsr.open(SOURCE)
    truth = values(scene)
    with tempfile.TemporaryDirectory() as folder:
        preview = Path(folder) / "preview.tif"
        parts = geomedsr.split(scene, preview, Path(folder) / "detail.gdsr", progress=False)
        small = geomedsr.open(preview)
        coarse, fine = values(small), values(geomedsr.upscale(small, "satellite-x4"))
    budget = parts.preview_bytes * len(RGB) / scene.shape[1]
    coded = jpeg_xl(truth, budget)
    low, high = np.percentile(truth, [1, 99], axis=(1, 2))

    def shown(image: np.ndarray) -> np.ndarray:
        cut = (part(image, PLACE).transpose(1, 2, 0) - low) / (high - low)
        return np.clip(cut, 0, 1) ** 0.8

    kilobytes = f"{budget / 1e3:.0f} kB"
    draw(
        {
            "original": shown(truth),
            f"preview, {kilobytes}": shown(coarse),
            "satellite-x4 of it": shown(fine),
            f"JPEG XL, {kilobytes}": shown(coded),
        },
        Path(picture),
    )


def jpeg_xl(planes: np.ndarray, budget: float) -> np.ndarray:
    """The best of these planes within so many bytes, stretched over 16 bits as the codec expects."""
    least, span = float(planes.min()), float(np.ptp(planes))
    stretched = np.round((planes - least) * (65535 / span)).astype(np.uint16)
    for distance in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25):
        packed = [imagecodecs.jpegxl_encode(plane, distance=distance, effort=7) for plane in stretched]
        if sum(map(len, packed)) <= budget:
            break
    return np.stack([imagecodecs.jpegxl_decode(each) for each in packed]) * (span / 65535) + least


if __name__ == "__main__":
    main(*sys.argv[1:])
