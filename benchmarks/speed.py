"""End to end beside the bare network, in one run: seconds, the network's share, peak memory, scratch space.

    python benchmarks/speed.py [SIDE]

A scene of SIDE × SIDE pixels (2048), 4 bands, uint16, GeoTIFF in, Cloud-Optimized GeoTIFF out, ×4 by the shipped
``satellite-x4``. Bare: the generator alone on the same band-pixels, no halo, nothing read or written, in the same
precision, channels-last; the fastest of one window of 512 after the other with all threads, and one per core with one
thread each. Order alternates, the best of two counts. Look at the load first: beside another process these figures
mean nothing.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

import geomedsr
from geomedsr import Scene
from geomedsr.devices import cores, fast_bfloat16, keep_memory
from geomedsr.inference.runtime import _prepared
from geomedsr.inference.upscale import upscaled

SAMPLE = Path(__file__).parents[1] / "examples/sentinel2_coast/reference.tif"

WINDOW, RUNS = 512, 2


def sample(side: int, path: Path) -> None:
    scene = geomedsr.open(SAMPLE)
    stored = scene.data.values[0]
    pads = [(0, 0), (0, max(0, side - stored.shape[1])), (0, max(0, side - stored.shape[2]))]
    geomedsr.write(Scene.from_array(np.pad(stored, pads, mode="reflect")[:, :side, :side], bands=scene.bands), path)


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def bare(path: Path, precision: str) -> list[Callable[[], object]]:
    """Ways to run the network alone."""
    scene = geomedsr.open(path)
    model = geomedsr.load_model("satellite-x4")
    source = upscaled(geomedsr.upscale(scene, model, precision=precision).source)
    assert source is not None
    module: torch.nn.Module = _prepared(model, source.runtime, torch.device("cpu")).generator  # type: ignore[assignment]
    windows = [
        w for band in scene.tensor()[0] for row in band.split(WINDOW, 0) for w in row.split(WINDOW, 1) if w.numel()
    ]

    def run(threads: int, window: torch.Tensor) -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            module(window[None, None].contiguous(memory_format=torch.channels_last))

    def each_with_all() -> None:
        for window in windows:
            run(cores(), window)

    def all_with_one() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(lambda window: run(1, window), windows))

    return [each_with_all, all_with_one]


def process(path: Path, out: Path, precision: str, *more: str) -> tuple[float, float, float]:
    """The command line: seconds, peak resident memory of it and its children in MiB, most scratch space in MiB."""
    words = [str(Path(sys.executable).with_name("geomedsr")), "upscale", str(path), str(out), "--quiet"]
    started, scratch, memory = time.perf_counter(), 0, 0
    child = subprocess.Popen([*words, "--precision", precision, *more])
    done = threading.Event()

    def watch() -> None:
        nonlocal scratch, memory
        while not done.wait(0.1):
            scratch = max(scratch, sum(p.stat().st_size for p in out.parent.glob(".*.part/f*") if p.exists()))
            memory = max(memory, resident(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert child.wait() == 0
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    return seconds, memory / 2**20, scratch / 2**20


def resident(pid: int) -> int:
    """Bytes of a process and its descendants; 0 where /proc is not."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident(int(child)) for child in children)


def main(side: int = 2048) -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    keep_memory()
    print(f"{side} × {side}, 4 bands, uint16, ×4; {cores()} cores, load before the run {os.getloadavg()[0]:.1f}\n")
    print("| | precision | seconds | bare network's share | peak memory, MiB | scratch, MiB | result, MiB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "in.tif", Path(folder) / "out.tif"
        sample(side, path)
        for precision in ("bfloat16", "float32") if fast_bfloat16(torch.device("cpu")) else ("float32",):
            ways = bare(path, precision)
            network, whole = float("inf"), (float("inf"), 0.0, 0.0)
            for _ in range(RUNS):
                network = min(network, *(timed(way) for way in ways))
                out.unlink(missing_ok=True)
                whole = min(whole, process(path, out, precision))
            size = out.stat().st_size / 2**20
            print(f"| bare network | {precision} | {network:.1f} | 100 % | | | |")
            seconds, memory, scratch = whole
            print(
                f"| geomedsr upscale, whole process | {precision} | {seconds:.1f} | {network / seconds:.0%} "
                f"| {memory:.0f} | {scratch:.0f} | {size:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
