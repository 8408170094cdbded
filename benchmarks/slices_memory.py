"""What memory new slices take, by how many slices a series has: the peak of the command and its children.

    python benchmarks/slices_memory.py [--counts 50,500] [--side 512] [--slices 2] [--profile 5] [--seconds 120]

A CT series in a NIfTI file, bells that overlap unless told otherwise. A series is written in slabs, one like the other,
so a command that takes longer than so many seconds is stopped, and the table says how many of its regions were done.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import conditions, resident

import geomedsr
from geomedsr import Grid, Scene
from geomedsr.geometry.grid import Plane

SAMPLE = Path(__file__).parents[1] / "examples/ct_abdomen"


def series(path: Path, count: int, side: int) -> Path:
    """The shipped slices, one after the other, 5 mm apart, of ``side × side`` pixels."""
    shipped = geomedsr.open(SAMPLE).data.values
    first = (shipped.shape[2] - side) // 2
    cut = shipped[..., first : first + side, first : first + side]
    planes = tuple(Plane((0, 0, 5.0 * at), (1, 0, 0), (0, 1, 0), (0.7, 0.7), 5.0) for at in range(count))
    values = cut[np.arange(count) % len(cut)]
    geomedsr.write(Scene.from_array(values, grid=Grid((side, side), planes=planes)), path, progress=False)
    return path


def peak(words: list[str], folder: Path, seconds: float) -> tuple[float, float, int, bool]:
    """MiB at most, seconds, regions that were done, and whether all were."""
    most, done, started = 0, 0, time.perf_counter()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while child.poll() is None and time.perf_counter() - started < seconds:
        most = max(most, resident(child.pid))
        done = max(done, sum(1 for _ in folder.rglob("*.done")))
        time.sleep(0.1)
    whole = child.poll() is not None
    if whole and child.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit status {child.returncode}")
    child.kill()
    child.wait()
    return most / 2**20, time.perf_counter() - started, done, whole


def main() -> None:
    """See the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="50,500")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--slices", default="2")
    parser.add_argument("--profile", default="5")
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    print(conditions(), flush=True)
    print("\n| slices | pixels | peak, MiB | seconds | regions done |\n|---|---|---|---|---|", flush=True)
    for count in map(int, options.counts.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            source, out = series(Path(folder) / "in.nii", count, options.side), Path(folder) / "out"
            out.mkdir()
            words = [sys.executable, "-m", "geomedsr.cli", "upscale", str(source), str(out / "thin.nii"), "--quiet"]
            words += ["--model", "ct-slices", "--slices", options.slices, "--profile", options.profile]
            memory, seconds, done, whole = peak(words, out, options.seconds)
            told = "all" if whole else f"{done}, then stopped"
            print(f"| {count} | {options.side} × {options.side} | {memory:.0f} | {seconds:.0f} | {told} |", flush=True)


if __name__ == "__main__":
    main()
