"""Many bands: CPU seconds and memory for each million input pixels, and how long headers take.

    python benchmarks/bands.py [BANDS …]    # by default 1, 28, 56, 224

Each scene has about as many pixels in all its bands; a rate that falls with the bands is a fault.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

#: Pixels of all bands together.
PIXELS = 8_000_000

_RUN = """
import json, resource, sys, time
import geomedsr
before = time.process_time()
scene = geomedsr.open(sys.argv[1])
opened = time.process_time()
geomedsr.write(geomedsr.upscale(scene), sys.argv[2], progress=False)
after = time.process_time()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"headers": opened - before, "seconds": after - opened, "memory": memory}))
"""


def measure(bands: int, folder: Path) -> dict[str, float]:
    """One scene, in a process of its own."""
    side = round((PIXELS / bands) ** 0.5)
    rng = np.random.default_rng(0)
    profile = {"driver": "GTiff", "count": bands, "height": side, "width": side, "dtype": "uint16", "compress": "zstd"}
    place = {"crs": "EPSG:32618", "transform": Affine(10, 0, 435730, 0, -10, 4179460), "interleave": "pixel"}
    with rasterio.open(folder / "in.tif", "w", tiled=True, **profile, **place) as dataset:
        for band in range(1, bands + 1):
            dataset.write(rng.integers(300, 4000, (side, side)).astype(np.uint16), band)
    command = [sys.executable, "-c", _RUN, str(folder / "in.tif"), str(folder / "out.tif")]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {**found, "rate": found["seconds"] / (side**2 * bands / 1e6)}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bands", nargs="*", type=int, default=[1, 28, 56, 224])
    print("| bands | headers, s | CPU s per million pixels | peak memory, MiB |\n|---|---|---|---|")
    for bands in parser.parse_args().bands:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(bands, Path(folder))
        print(f"| {bands} | {found['headers']:.2f} | {found['rate']:.2f} | {found['memory']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
