"""One worker process of one thread, and two: how much faster two are; and the network alone on one core, and on two.

    python benchmarks/scaling.py [SIDE]

The same scene through ``geomedsr.write(…, cluster=client)`` with a cluster as ``--cluster local:N`` starts it, which is
up, and has computed a little, before the clock starts. Order alternates; the median of three counts.
"""

import statistics
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

from measure import EACH, conditions, network, sample, timed

import geomedsr
from geomedsr.inference.schedulers import local_cluster

RUNS = 3


def seconds(path: Path, out: Path, processes: int) -> float:
    with local_cluster(processes) as client:
        scene = geomedsr.open(path)
        fine = geomedsr.upscale(scene, "satellite-x4", tile=256)
        warm = geomedsr.upscale(scene.crop(geomedsr.Window(0, 0, 512, 512)), "satellite-x4", tile=64)
        geomedsr.write(warm, out.with_name("warm.tif"), cluster=client, overwrite=True)
        started = time.perf_counter()
        geomedsr.write(fine, out, cluster=client, overwrite=True)
        return time.perf_counter() - started


def main(side: int = 1536) -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    print(f"{side} × {side}, 4 bands, uint16, ×4 by satellite-x4; {conditions()}\n")
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "in.tif", Path(folder) / "out.tif"
        sample(side, path)
        times: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(RUNS):
            for processes in (1, 2) if turn % 2 == 0 else (2, 1):
                times[processes].append(seconds(path, out, processes))
        run = network(path, geomedsr.load_model("satellite-x4"), "bfloat16")
        alone = {n: min(timed(partial(run, EACH, n, 1)) for _ in range(2)) for n in (1, 2)}
    one, two = (statistics.median(times[n]) for n in (1, 2))
    print("| | seconds | × one |\n|---|---|---|")
    print(f"| 1 worker process of one thread | {one:.1f} | 1.00 |\n| 2 | {two:.1f} | {one / two:.2f} |")
    print(f"| the network alone, one window at a time | {alone[1]:.1f} | 1.00 |")
    print(f"| two at a time | {alone[2]:.1f} | {alone[1] / alone[2]:.2f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
