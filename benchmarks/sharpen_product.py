"""A whole Sentinel-2 product through `geomedsr sharpen`: opening it, peak memory, and rate beside the network alone.

    python benchmarks/sharpen_product.py [SIDE]

A real tile has a side of 10980 pixels of 10 m, the default. The product is made of the shipped one, mirrored up to that
size, as a SAFE folder of Level-1C with JPEG 2000 images in tiles of 1024 pixels; B01 and B09 are block means of other
bands. It is written to a temporary folder, and deleted.
"""

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from measure import EACH, GEOMEDSR, conditions, timed, watched

import geomedsr
from geomedsr.devices import cores
from geomedsr.geometry import Box
from geomedsr.inference.gpu import exact
from geomedsr.inference.runtime import Runtime, prepared

PRODUCT = Path(__file__).parents[1] / "examples/sentinel2_product/coast.zip"
MODEL = "sentinel2-20m-x2"
SIX = ["B05", "B06", "B07", "B8A", "B11", "B12"]
TILE, GRANULE = "T32TQM", "L1C_T32TQM_A000000_20200101T000000"

#: Bands of 60 m are block means of these.
MADE = {"B01": "B02", "B09": "B8A"}

OPENING = """
import json, re, sys, time
import geomedsr
geomedsr.open  # the library, which is loaded once
began = time.perf_counter()
scene = geomedsr.open(sys.argv[1])
scene.at(20), scene.at(60)
seconds = time.perf_counter() - began
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]  # ru_maxrss begins at the parent's size
print(json.dumps([seconds, int(peak) / 1024]))
"""


def main(side: int) -> None:
    """Print what was measured."""
    side = side // 6 * 6
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        product = made(Path(folder), side)
        print(
            f"{side} × {side} pixels of 10 m; {conditions()}; product written in {time.perf_counter() - began:.0f} s\n"
        )
        told = subprocess.run([sys.executable, "-c", OPENING, str(product)], capture_output=True, text=True, check=True)
        seconds, memory = json.loads(told.stdout)
        print(f"opening, all three parts: {seconds:.2f} s, {memory:.0f} MiB in all")
        print(
            "| bands | minutes | 20 m pixels per second, 10⁶ | of the network alone | peak memory, MiB | result, MiB |"
        )
        print("|---|---|---|---|---|---|")
        pixels = (side // 2) ** 2
        alone = rate_alone()
        for name, more in (("six of 20 m", ["--bands", ",".join(SIX)]), ("all twelve", [])):
            out = Path(folder) / "out" / "out.tif"
            out.parent.mkdir(exist_ok=True)
            run = watched([GEOMEDSR, "sharpen", str(product), str(out), "--quiet", *more], out)
            share = f"{pixels / run.seconds / alone:.0%}" if more else "–"
            print(
                f"| {name} | {run.seconds / 60:.1f} | {pixels / run.seconds / 1e6:.3f} | {share} | {run.memory:.0f} "
                f"| {out.stat().st_size / 2**20:.0f} |",
                flush=True,
            )
            out.unlink()


def made(folder: Path, side: int) -> Path:
    """The product; its bands are written one by one."""
    root = folder / "S2A_MSIL1C_20200101T000000_N0200_R000_T32TQM_20200101T000000.SAFE"
    images = root / "GRANULE" / GRANULE / "IMG_DATA"
    images.mkdir(parents=True)
    sample = geomedsr.open(PRODUCT)
    for size in (10, 20):
        part = sample.at(size)
        values = part.source.read(Box.whole(part.shape))[0]
        for band, array in zip(part.bands, values, strict=True):
            length = side * 10 // size
            large = mirrored(array, length)
            write(images / f"{TILE}_{band.name}.jp2", large, size)
            for name, of in MADE.items():
                if of == band.name:
                    factor = 60 // size
                    few = large.reshape(length // factor, factor, length // factor, factor).mean((1, 3))
                    write(images / f"{TILE}_{name}.jp2", np.rint(few).astype(np.uint16), 60)
    listed = "".join(f"<IMAGE_FILE>GRANULE/{GRANULE}/IMG_DATA/{p.stem}</IMAGE_FILE>" for p in sorted(images.iterdir()))
    (root / "MTD_MSIL1C.xml").write_text(
        f"<a><PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL><Granule>{listed}</Granule><Special_Values><SPECIAL_VALUE_TEXT>"
        "NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>"
        "<QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE></a>"
    )
    (root / "GRANULE" / GRANULE / "MTD_TL.xml").write_text("<a/>")
    return root


def mirrored(array: np.ndarray, length: int) -> np.ndarray:
    """Mirrored up to a square."""
    rows, cols = (np.pad(np.arange(n), (0, max(0, length - n)), mode="symmetric")[:length] for n in array.shape)
    return array[np.ix_(rows, cols)]


def write(path: Path, array: np.ndarray, size: int) -> None:
    """A lossless JPEG 2000 file."""
    how = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES", "NBITS": 15, "dtype": "uint16", "count": 1}
    height, width = array.shape
    place = {"crs": "EPSG:32632", "transform": Affine(size, 0, 600000, 0, -size, 5100000)}
    with rasterio.open(path, "w", width=width, height=height, **place, **how) as file:
        file.write(array, 1)


def rate_alone() -> float:
    """Pixels of 20 m that the network alone makes finer in a second, on all cores: the faster of two ways."""
    model = geomedsr.load_model(MODEL)
    runtime = Runtime.choose(model, "auto", None, 2)
    alone = prepared(model, runtime, torch.device("cpu"))
    best = 0.0
    for side, at_once, threads in ((2 * EACH, 1, cores()), (EACH, cores(), 1)):
        last = torch.channels_last
        image = torch.rand(1, 6, side, side).contiguous(memory_format=last)
        guide = torch.rand(1, 4, 2 * side, 2 * side).contiguous(memory_format=last)

        def run(_: int, image: torch.Tensor = image, guide: torch.Tensor = guide, threads: int = threads) -> None:
            torch.set_num_threads(threads)
            with torch.inference_mode(), exact:
                alone(image, guide=guide)

        count = 4 * at_once
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(run, range(at_once)))
            seconds = timed(lambda pool=pool, run=run, count=count: list(pool.map(run, range(count))))
        best = max(best, count * side**2 / seconds)
    return best


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10980)
