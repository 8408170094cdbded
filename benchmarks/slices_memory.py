"""What memory new slices take, by how many slices a series has, and how much of the time is the network's.

    python benchmarks/slices_memory.py [--counts 50,500] [--side 512] [--slices 2] [--profile 5] [--seconds 120]
        [--rate 16]

A CT series in a NIfTI file, bells that overlap unless told otherwise. Memory is the peak of the command and its
children. A series is written in slabs, one like the other, so a command that takes longer than so many seconds is
stopped, and the table says how many of its regions were done. The rate is that of so many slices, in processor seconds
of one core, so that it holds beside other processes too: the network alone on the same normalised slices, before and
after all that the command does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measure import conditions, resident

import geomedsr
from geomedsr import Grid, Scene
from geomedsr.geometry.grid import Plane
from geomedsr.inference.runtime import Runtime, prepared

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


def alone(source: Path, factor: int, width: float) -> float:
    """Processor seconds of the network on a series' slices: nothing read, agreed, rounded or written."""
    model = geomedsr.load_model("ct-slices").with_factors((factor, 1, 1)).with_profile(width)
    scene = geomedsr.open(source).with_physical_range(*model.descriptor.value_range)
    count, near = scene.shape[0], model.descriptor.neighbours
    slices = [scene.tensor(frames=slice(at, at + 1))[0, 0] for at in range(count)]
    network = prepared(model, Runtime.choose(model, "cpu", None, scene.dtype.itemsize), torch.device("cpu"))
    started = time.process_time()
    for at in range(count):
        around = [slices[min(max(at + of, 0), count - 1)] for of in range(-near, near + 1)]
        with torch.inference_mode():
            network(torch.stack(around)[None].contiguous(memory_format=torch.channels_last))
    return time.process_time() - started


def entire(source: Path, out: Path, factor: int, profile: str) -> float:
    """Processor seconds of all that the command does, in this process."""
    started = time.process_time()
    made = geomedsr.upscale(geomedsr.open(source), "ct-slices", slices=factor, profile=profile)
    geomedsr.write(made, out, progress=False)
    return time.process_time() - started


def main() -> None:
    """See the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="50,500")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--slices", default="2")
    parser.add_argument("--profile", default="5")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=int, default=16, help="slices that the rate is taken of; 0 for none")
    options = parser.parse_args()
    print(conditions(), flush=True)
    print("\n| slices | pixels | peak, MiB | seconds | regions done |\n|---|---|---|---|---|", flush=True)
    for count in map(int, filter(None, options.counts.split(","))):
        with tempfile.TemporaryDirectory() as folder:
            source, out = series(Path(folder) / "in.nii", count, options.side), Path(folder) / "out"
            out.mkdir()
            words = [sys.executable, "-m", "geomedsr.cli", "upscale", str(source), str(out / "thin.nii"), "--quiet"]
            words += ["--model", "ct-slices", "--slices", options.slices, "--profile", options.profile]
            memory, seconds, done, whole = peak(words, out, options.seconds)
            told = "all" if whole else f"{done}, then stopped"
            print(f"| {count} | {options.side} × {options.side} | {memory:.0f} | {seconds:.0f} | {told} |", flush=True)
    if options.rate:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # threads that wait for each other take time, too
        torch.set_num_threads(1)
        factor, width = int(options.slices), 0.0 if options.profile == "box" else float(options.profile) / 5
        with tempfile.TemporaryDirectory() as folder:
            source = series(Path(folder) / "in.nii", options.rate, options.side)
            before = alone(source, factor, width)
            took = entire(source, Path(folder) / "thin.nii", factor, options.profile)
            network = (before + alone(source, factor, width)) / 2
        print(
            f"\n{options.rate} slices: {took:.1f} s of the processor, the network alone {network:.1f} s: "
            f"{network / took:.0%} of the bare network's rate"
        )


if __name__ == "__main__":
    main()
