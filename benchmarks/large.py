"""Scenes of growing size through the command line, once each: seconds, rate, peak memory, scratch space.

    python benchmarks/large.py SIDE …

A Sentinel-2 tile of 10 m bands has a side of 10980. The sample is mirrored up to that size.
"""

import sys
import tempfile
from pathlib import Path

from measure import GEOMEDSR, conditions, sample, watched


def main(sides: list[int]) -> None:
    """Print a Markdown table."""
    print(f"4 bands, uint16, ×4 by satellite-x4, geomedsr upscale, whole process; {conditions()}\n")
    print("| input | minutes | input band-pixels per second, 10⁶ | peak memory, MiB | scratch, MiB | result, MiB |")
    print("|---|---|---|---|---|---|")
    for side in sides:
        with tempfile.TemporaryDirectory() as folder:
            path, out = Path(folder) / "in.tif", Path(folder) / "out.tif"
            sample(side, path)
            run = watched([GEOMEDSR, "upscale", str(path), str(out), "--quiet"], out)
            print(
                f"| {side} × {side} | {run.seconds / 60:.1f} | {4 * side**2 / run.seconds / 1e6:.2f} "
                f"| {run.memory:.0f} | {run.scratch:.0f} | {out.stat().st_size / 2**20:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main([int(side) for side in sys.argv[1:]] or [2048, 4096])
