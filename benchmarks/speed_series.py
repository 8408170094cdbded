"""A CT series of 100 slices of 512 × 512, made twice as fine, beside the bare network; and what memory it takes.

    python benchmarks/speed_series.py [SLICES]

The shipped slices are repeated as a series of that length. Bare: the generator alone on the same normalised slices,
one per core, in the same precision, without halo, nothing read, rounded or written. Memory: the process's peak for the
whole series and for a tenth of it. Look at the load first: beside another process these figures mean nothing.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import torch
from measure import conditions

import geomedsr
from geomedsr.devices import keep_memory
from geomedsr.inference.runtime import Runtime, prepared

SAMPLE = Path(__file__).parents[1] / "examples/ct_abdomen"


def make(folder: Path, count: int) -> Path:
    """A series of so many slices, native pixels."""
    folder.mkdir()
    slices = [pydicom.dcmread(path) for path in sorted(SAMPLE.glob("*.dcm"))]
    for ds in slices:
        ds.decompress(generate_instance_uid=False)
    for index in range(count):
        ds = slices[index % len(slices)]
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.{index + 1}"
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], 5.0 * index]
        ds.save_as(folder / f"{index:04d}.dcm")
    return folder


def bare(folder: Path, count: int) -> float:
    """Seconds per slice of the generator alone."""
    keep_memory()
    model = geomedsr.load_model("ct-x2")
    scene = geomedsr.open(folder).with_physical_range(*model.descriptor.value_range)
    tensors = [scene.tensor(frames=slice(i, i + 1)) for i in range(count)]
    runtime = Runtime.choose(model, "cpu", None, scene.dtype.itemsize)
    network = prepared(model, runtime, torch.device("cpu"))

    def one(tensor: torch.Tensor) -> None:
        torch.set_num_threads(1)
        with torch.inference_mode():
            network(tensor.contiguous(memory_format=torch.channels_last))

    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(one, tensors))
    return (time.perf_counter() - started) / count


def whole(folder: Path, out: Path) -> tuple[float, float]:
    """Seconds inside a process that runs already, and its peak memory in MiB."""
    code = f"""
import resource, time, geomedsr
model = geomedsr.load_model("ct-x2")
started = time.perf_counter()
geomedsr.write(geomedsr.upscale(geomedsr.open({str(folder)!r}), model), {str(out)!r})
print("seconds", time.perf_counter() - started, "peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    found = re.search(r"seconds ([\d.]+) peak ([\d.]+)", done.stdout)
    assert found
    return float(found[1]), float(found[2])


def main(count: int) -> None:
    """Print a Markdown table."""
    machine = conditions()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        few, many = max(1, count // 10), count
        folders = {n: make(root / str(n), n) for n in (few, many)}
        network = bare(folders[few], few)
        seconds, peaks = {}, {}
        for n, folder in folders.items():
            seconds[n], peaks[n] = whole(folder, root / f"out{n}")
        network = (network + bare(folders[few], few)) / 2
    print(f"512 × 512 int16, ct-x2; {machine}\n")
    print("| | slices per second | of the bare network | peak memory, MiB |\n|---|---|---|---|")
    print(f"| bare network, one slice per core | {1 / network:.2f} | 100% | |")
    for n in (few, many):
        print(
            f"| geomedsr.write(geomedsr.upscale(…)), {n} slices | {n / seconds[n]:.2f} "
            f"| {network * n / seconds[n]:.0%} | {peaks[n]:.0f} |"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
