"""What the benchmarks share: a scene to work on, a process watched from outside, the network alone."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

import geomedsr
from geomedsr import Model, Scene
from geomedsr.devices import choose_device, cores
from geomedsr.inference.gpu import exact
from geomedsr.inference.output import predicted
from geomedsr.inference.runtime import prepared

SAMPLE = Path(__file__).parents[1] / "examples/sentinel2_coast/reference.tif"

#: The installed command.
GEOMEDSR = str(Path(sys.executable).with_name("geomedsr"))

#: Sides of the windows that the network alone is given, the fastest in trials: with all threads, and one per core.
ALL, EACH = 512, 256


def sample(side: int, path: Path) -> None:
    """The shipped Sentinel-2 reference, 4 bands of uint16, mirrored up to ``side × side`` pixels, as a GeoTIFF."""
    scene = geomedsr.open(SAMPLE)
    stored = scene.data.values[0]
    pads = [(0, 0), (0, max(0, side - stored.shape[1])), (0, max(0, side - stored.shape[2]))]
    geomedsr.write(Scene.from_array(np.pad(stored, pads, mode="reflect")[:, :side, :side], bands=scene.bands), path)


def timed(action: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def bare(path: Path, model: Model, precision: str, device: str = "cpu") -> list[Callable[[], object]]:
    """Ways to run the network alone on a scene's values: no halo, nothing read, conserved or written.

    One window after the other with all threads, and a window for each core with one thread; the fastest counts. On a
    GPU one window of several bands after the other, the values being there.
    """
    ways = ((ALL, 1, cores()), (EACH, cores(), 1)) if device == "cpu" else ((ALL, 1, 1), (2 * ALL, 1, 1))
    run = network(path, model, precision, device)
    return [partial(run, *way) for way in ways]


def network(path: Path, model: Model, precision: str, device: str = "cpu") -> Callable[[int, int, int], None]:
    """The network alone on a scene's values, by the side of its windows, how many at once, and threads for each."""
    scene = geomedsr.open(path)
    source = predicted(geomedsr.upscale(scene, model, precision=precision, device=device).source)
    assert source is not None
    place, channels = choose_device(device), model.descriptor.channels
    alone = prepared(model, source.runtime, place)
    groups = [torch.stack(some) for some in batched(scene.tensor()[0].to(place).split(channels), source.runtime.bands)]

    def one(threads: int, window: torch.Tensor) -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode(), exact:
            alone(window.contiguous(memory_format=torch.channels_last))

    def run(side: int, at_once: int, threads: int) -> None:
        windows = [window for group in groups for row in group.split(side, 2) for window in row.split(side, 3)]
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(partial(one, threads), windows))
        if place.type == "cuda":
            torch.cuda.synchronize(place)

    return run


def batched(parts: Sequence[torch.Tensor], count: int) -> list[Sequence[torch.Tensor]]:
    """So many at a time."""
    return [parts[first : first + count] for first in range(0, len(parts), count)]


@dataclass(frozen=True)
class Figures:
    """Seconds; the peak resident memory of a process and its children, and its most scratch space, in MiB."""

    seconds: float
    memory: float
    scratch: float


def watched(words: Sequence[str], out: Path, **environment: str) -> Figures:
    """Run a command that makes the file ``out``; scratch is all that it has in ``out``'s folder besides it at the end.

    Raises:
        RuntimeError: it fails.
    """
    memory, most, before = 0, 0, _bytes(out.parent)
    done = threading.Event()
    started = time.perf_counter()
    child = subprocess.Popen(words, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)

    def watch() -> None:
        nonlocal memory, most
        while not done.wait(0.1):
            memory = max(memory, resident(child.pid))
            most = max(most, _bytes(out.parent))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = child.wait()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    if status:
        raise RuntimeError(f"{' '.join(words)}: exit status {status}")
    return Figures(seconds, memory / 2**20, max(0, most - before - out.stat().st_size) / 2**20)


def _bytes(folder: Path) -> int:
    """What a folder holds on disk: of sparse files what they take, of files that grow not what is kept for them.

    A file that is renamed meanwhile is met twice, and counted once.
    """
    sizes = {}
    for path in folder.rglob("*"):
        try:
            stat = path.stat()
            sizes[stat.st_ino] = min(stat.st_size, stat.st_blocks * 512)
        except OSError:  # it is gone by now
            continue
    return sum(sizes.values())


def resident(pid: int) -> int:
    """Bytes of a process and its descendants; 0 where /proc is not."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = {child for task in tasks for child in (task / "children").read_text().split()}
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident(int(child)) for child in children)


def conditions(device: str = "cpu") -> str:
    """The machine, in words; look at the load: beside another process the figures mean nothing."""
    name = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "CPU")
    flags = " ".join(line for line in _cpuinfo() if line.startswith("flags"))
    fast = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in flags.split()]
    card = "" if device == "cpu" else f"{_card(device)}, "
    return f"{card}{cores()} cores ({name}, {fast[0] if fast else '-'}), load before the run {os.getloadavg()[0]:.1f}"


def _card(device: str) -> str:
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = "not told"
    return f"{torch.cuda.get_device_name(device)} (driver {driver}, CUDA {torch.version.cuda})"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
