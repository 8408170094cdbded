"""End to end beside the bare network, in one run: seconds, the network's share, peak memory, scratch space.

    python benchmarks/speed.py [SIDE [DEVICE]]

A scene of SIDE × SIDE pixels (2048), 4 bands, uint16, GeoTIFF in, Cloud-Optimized GeoTIFF out, ×4 by the shipped
``satellite-x4``. Bare: the generator alone on the same band-pixels, no halo, nothing read or written, in the same
precision, channels-last; the fastest of one window of 512 after the other with all threads, and windows of 256, one per
core, with one thread each; on a GPU (DEVICE is ``cuda``) windows of 512 or 1024, four bands in each batch. Order
alternates, the best of two counts. Look at the load first: beside another process these figures mean nothing.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import torch
from measure import GEOMEDSR, Figures, bare, conditions, sample, timed, watched

import geomedsr
from geomedsr.devices import fast_bfloat16, keep_memory

RUNS = 2


def main(side: int = 2048, device: str = "cpu") -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    keep_memory()
    print(f"{side} × {side}, 4 bands, uint16, ×4; {conditions(device)}\n")
    print("| | precision | seconds | bare network's share | peak memory, MiB | scratch, MiB | result, MiB |")
    print("|---|---|---|---|---|---|---|")
    model = geomedsr.load_model("satellite-x4")
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "in.tif", Path(folder) / "out.tif"
        sample(side, path)
        for precision in ("bfloat16", "float32") if fast_bfloat16(torch.device(device)) else ("float32",):
            words = [GEOMEDSR, "upscale", str(path), str(out), "--quiet", "--precision", precision, "--device", device]
            network, runs = float("inf"), list[Figures]()
            for _ in range(RUNS):
                network = min(network, *(timed(way) for way in bare(path, model, precision, device)))
                if device != "cpu":
                    torch.cuda.empty_cache()  # the card is the command's now
                out.unlink(missing_ok=True)
                runs.append(watched(words, out))
            best = min(runs, key=lambda run: run.seconds)
            print(f"| bare network | {precision} | {network:.1f} | 100 % | | | |")
            print(
                f"| geomedsr upscale, whole process | {precision} | {best.seconds:.1f} | {network / best.seconds:.0%} "
                f"| {best.memory:.0f} | {best.scratch:.0f} | {out.stat().st_size / 2**20:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
