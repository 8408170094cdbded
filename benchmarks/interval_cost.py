"""What do half-widths, and the look at whether a scene is usual, cost? CPU time and peak memory beside a plain run.

    python benchmarks/interval_cost.py SCENE.tif [MODEL] [--rounds 3] [--side 1500]

The scene, made as large as ``side`` by repeating it, is upscaled, in a new process each time: plain (without
fitness), with fitness, with an interval (and fitness) as bands, and with an interval at the model's own realism. The
ways take turns, ``rounds`` times; told are the medians of user and system time, and of the largest resident memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import geomedsr

#: By name: the arguments of each way.
WAYS = {
    "plain": ("--quiet", "--realism", "0"),
    "with fitness": ("--realism", "0"),
    "with fitness and an interval": ("--realism", "0", "--interval", "0.9"),
    "plain, realism 1": ("--quiet", "--realism", "1"),
    "realism 1, with fitness and an interval": ("--realism", "1", "--interval", "0.9"),
}


def enlarged(path: str, side: int, target: Path) -> None:
    """A raster of ``side`` × ``side`` pixels, the scene repeated side by side, mirrored."""
    values = geomedsr.open(path).data.values[0]
    rows, cols = (max(side - n, 0) for n in values.shape[-2:])
    pads = [(0, 0)] * (values.ndim - 2) + [(0, rows), (0, cols)]
    np.save(target, np.pad(values, pads, mode="symmetric")[..., :side, :side])


def run(source: Path, folder: Path, model: str, more: tuple[str, ...]) -> tuple[float, float]:
    """CPU seconds, and the largest resident memory in MiB, of one upscaling."""
    command = [sys.executable, "-m", "geomedsr.cli", "upscale", str(source), str(folder / "out.tif"), "--model", model]
    command += ["--overwrite", *more]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        assert process.stderr is not None
        raise SystemExit(process.stderr.read().decode())
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene")
    parser.add_argument("model", nargs="?", default="satellite-x2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=1500)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "scene.npy"
        enlarged(options.scene, options.side, source)
        for _ in range(options.rounds):
            for name, more in WAYS.items():
                found[name].append(run(source, Path(folder), options.model, more))
    print(f"| {options.model}, {options.side} × {options.side} pixels | CPU s | over plain | MiB | over plain |")
    print("|---|---|---|---|---|")
    for name, each in found.items():
        base = found["plain, realism 1" if "realism 1" in name else "plain"]
        (seconds, mib), (least, lowest) = (np.median(rows, 0) for rows in (each, base))
        print(f"| {name} | {seconds:.1f} | {seconds / least - 1:+.0%} | {mib:.0f} | {mib / lowest - 1:+.0%} |")


if __name__ == "__main__":
    main()
