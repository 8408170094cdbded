"""JPEG's artefacts taken off, measured where the truth is known: grey images, compressed here.

    python benchmarks/repair_jpeg.py DATA [--model NAME_OR_FILE] [--qualities 10,40] [--colour] [--dncnn DnCNN3.mat]

``DATA`` is a folder with ``satellite`` and ``ct``, as the recipes name it; only parts that the recipe keeps out are
counted. Each image becomes 8 bits, of its value scale for satellites and −1000 … 400 HU for CT, and a JPEG file of that
quality; PSNR is against these 8 bits, mean over the images of a group. Photographs are those that come with
scikit-image, if it is installed, as luma. ``blocks`` are those that have the file's coefficients when encoded again.
``--colour`` compresses the three bands of satellite scenes and photographs at 4:4:4 and 4:2:0 instead. ``--dncnn`` sets
DnCNN-3 beside it, on the same grey images (benchmarks/dncnn.py says where its file is).
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import geomedsr
from geomedsr import Window
from geomedsr.geometry import Box
from geomedsr.io import open_scene
from geomedsr.operators.jpeg_bins import Count
from geomedsr.repairing.deblocking import deblocked

Array = np.ndarray

#: Kept-out parts of scenes, and bands of them: red, green, blue; the first that is named is the grey one.
KEPT = {
    "Landsat 8 fields": ("landsat8_fields_south_30m.tif", Window(1500, 560, 541, 900), (3, 2, 1)),
    "Landsat 8 snow": ("landsat8_greenland_30m.tif", Window(500, 0, 300, 1093), (3, 2, 1)),
    "Sentinel-2 coast": ("sentinel2_coast_10m.tif", Window(0, 1000, 1500, 300), (3, 2, 1)),
    "Sentinel-2 desert": ("sentinel2_sahara_100m.tif", Window(0, 480, 1098, 240), (3, 2, 1)),
    "aerial, 1 m, not trained on": ("naip_3607717_1m.tif", None, (1, 2, 3)),
}

#: The series of a patient that is kept out, and how many slices of it.
CT, SLICES = "ct/crlm_1006", 8

#: What comes with scikit-image and is a photograph.
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "motorcycle_left")


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--qualities", default="10,40")
    parser.add_argument("--colour", action="store_true")
    parser.add_argument("--dncnn", metavar="FILE")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.colour and given.dncnn:
        parser.error("--dncnn is of grey images: leave --colour out")
    qualities = [int(quality) for quality in given.qualities.split(",")]
    peer = None
    if given.dncnn is not None:
        from dncnn import loaded

        peer = loaded(given.dncnn)
    more = "" if peer is None else " gain of DnCNN-3 |"
    print(f"| images | sampling | quality | decoded, dB | repair, dB | gain | blocks that hold |{more}")
    print("|---|---|---|---|---|---|---|" + ("---|" if peer is not None else ""))
    for name, images in groups(given.data, given.colour):
        for quality in qualities:
            for sampling in ("4:4:4", "4:2:0") if given.colour else ("grey",):
                line(name, images, quality, sampling, given.model, peer)


def line(
    name: str,
    images: list[Array],
    quality: int,
    sampling: str,
    model: str | None,
    peer: Callable[[Array], Array] | None,
) -> None:
    """Measure a group, and print it."""
    before, after, others, total = [], [], [], Count()
    for image in images:
        decoded, made, count = repaired(image, quality, sampling, model)
        before.append(psnr(decoded, image))
        after.append(psnr(made, image))
        if peer is not None:
            others.append(psnr(peer(decoded[0]), image[0]))
        total += count
    one, other, share = float(np.mean(before)), float(np.mean(after)), total.holding / total.units
    assert not total.changed
    more = f" {np.mean(others) - one:+.2f} |" if others else ""
    figures = f"{one:.2f} | {other:.2f} | {other - one:+.2f} | {share:.2%}"
    print(f"| {name} | {sampling} | {quality} | {figures} |{more}", flush=True)


def groups(data: Path, colour: bool) -> Iterator[tuple[str, list[Array]]]:
    """Groups of images ``(band, y, x)``, bytes."""
    for name, (file, window, bands) in KEPT.items():
        scene = geomedsr.open(data / "satellite" / file)
        scene = scene.select(list(bands) if colour else [bands[0]])
        low, high = (np.array(ends[0])[:, None, None] for ends in (scene.values.low, scene.values.high))
        values = scene.source.read(Box.of(0, window or Window(0, 0, scene.shape[3], scene.shape[2])))[0]
        yield name, [as_bytes(values, low, high)]
    if not colour:
        scene = geomedsr.open(data / CT)
        slope, offset = (part.ravel() for part in scene.slopes_and_offsets)
        picks = range(scene.shape[0] // (2 * SLICES), scene.shape[0], scene.shape[0] // SLICES)
        whole = Window(0, 0, scene.shape[3], scene.shape[2])
        values = [scene.source.read(Box.of(i, whole))[0] * slope[min(i, len(slope) - 1)] + offset[0] for i in picks]
        yield "CT, body, 8 slices of a patient", [as_bytes(value, -1000, 400) for value in values]
    found = photographs(colour)
    if found:
        yield f"photographs, {len(found)} of scikit-image", found


def photographs(colour: bool) -> list[Array]:
    """Those that are there."""
    try:
        import skimage
    except ImportError:
        return []
    found = []
    for name in PHOTOGRAPHS:
        with Image.open(Path(skimage.__file__).parent / "data" / f"{name}.png") as image:
            if colour and image.mode == "L":
                continue
            values = np.asarray(image.convert("RGB" if colour else "L"))
        found.append(values.transpose(2, 0, 1) if colour else values[None])
    return found


def as_bytes(values: Array, low: Array | float, high: Array | float) -> Array:
    """Between two ends."""
    return np.rint((values - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def repaired(image: Array, quality: int, sampling: str, model: str | None) -> tuple[Array, Array, Count]:
    """What a JPEG file is decoded to, what ``repair`` makes of it, and how many units hold."""
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "a.jpg"), Path(folder, "b.tif")
        options = {} if sampling == "grey" else {"subsampling": sampling}
        picture = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
        Image.fromarray(picture).save(source, quality=quality, **options)
        scene = open_scene(source)
        done = deblocked(scene, model)
        geomedsr.write(done.scene, result, progress=False)
        written = open_scene(result)
        return scene.data.values[0], written.data.values[0], done.counted(written)


def psnr(made: Array, truth: Array) -> float:
    """In dB, of 255."""
    return float(10 * np.log10(255**2 / np.mean((made.astype(float) - truth) ** 2)))


if __name__ == "__main__":
    main()
