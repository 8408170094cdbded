"""End-to-end time of a 1024 × 1024, 4-band uint16 scene beside the bare network's, in one run.

    python benchmarks/speed.py [SIDE]

Bare: the generator alone on the same pixels, without halo, nothing read or written; once band by band in one window
with all threads, once in tiles of 256 with one thread each, as many at once as there are cores, as the engine does.
End to end: the command line as a user runs it, starting Python included; and the same inside a process that
runs already. Look at the load first: beside another process these figures mean nothing.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

import geomedsr
from geomedsr import Scene

SAMPLE = Path(__file__).parents[1] / "examples/sentinel2_coast/reference.tif"


def best(action: Callable[[], object], runs: int = 2) -> float:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def main(side: int) -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    sample = geomedsr.open(SAMPLE)
    stored = sample.data.values[0]
    pads = [(0, 0), (0, max(0, side - stored.shape[1])), (0, max(0, side - stored.shape[2]))]
    scene = Scene.from_array(np.pad(stored, pads, mode="reflect")[:, :side, :side], bands=sample.bands)
    model = geomedsr.load_model("satellite-x4")
    tensor = scene.tensor()[0]
    load = os.getloadavg()[0]

    def bare() -> None:
        with torch.inference_mode():
            for band in tensor:
                model.module(band[None, None])

    cores = os.cpu_count() or 1
    tiles = [t for band in tensor for row in band.split(256, 0) for t in row.split(256, 1)]

    def one(tile: torch.Tensor) -> None:
        torch.set_num_threads(1)
        with torch.inference_mode():
            model.module(tile[None, None].contiguous())

    def tiled() -> None:
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(one, tiles))
        torch.set_num_threads(threads)

    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "in.tif", Path(folder) / "out.tif"
        geomedsr.write(scene, path)
        process = [Path(sys.executable).with_name("geomedsr"), "upscale", path, out, "--overwrite", "--quiet"]
        rows = {
            "bare network, one window": best(bare),
            "bare network, tiles": best(tiled),
            "geomedsr.write(geomedsr.upscale(…))": best(
                lambda: geomedsr.write(geomedsr.upscale(geomedsr.open(path), model), out, overwrite=True)
            ),
            "geomedsr upscale (whole process)": best(lambda: subprocess.run(process, check=True)),
        }
    print(f"{side} × {side}, 4 bands, uint16; {cores} cores, load before the run {load:.1f}\n")
    print("| | seconds | network's share |\n|---|---|---|")
    network = rows["bare network, tiles"]
    for name, seconds in rows.items():
        print(f"| {name} | {seconds:.1f} | {network / seconds:.0%} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1024)
