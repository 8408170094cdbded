"""The same scene, weights and machine: geomedsr beside opensr-utils, MONAI and a plain torch call.

    make bench-peers
    .venv/peers-env/bin/python benchmarks/peers.py [joint|shipped] [SIDE] [RUNS]

``joint``: a network of 4 bands together, 32 channels × 8 blocks, random weights that change every pixel a little.
``shipped``: ``satellite-x4``, band by band. Reflectance 0 … 10000 meets 0 … 1, as opensr-utils has it. Each tool runs
as a process of its own, from file to finished file, in turn, in alternating order; medians. opensr-utils runs with
its defaults; MONAI's sliding window with windows of 256, its default overlap and blending; it and the plain call read
and write with rasterio, ZSTD and predictor, all cores. "Off the untiled": the largest difference, in counts, from what
the same tool's values would be in one piece (geomedsr: one tile; the others: the plain call).
"""

import statistics
import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio
import torch
from measure import GEOMEDSR, Figures, bare, conditions, sample, timed, watched
from torch import nn

import geomedsr
from geomedsr.devices import fast_bfloat16
from geomedsr.models import Descriptor, save_model
from geomedsr.models.compact import Compact

#: Windows of MONAI's, and how many at once.
ROI, BATCH = 256, 4

FULL = 10000

OURS = "geomedsr, "


class BandByBand(nn.Module):
    """A network of one channel, for tools that give it all bands."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` to ``(B, C, s·H, s·W)``."""
        return torch.stack([self.network(band[None])[0, 0] for image in x for band in image[:, None]])[None].reshape(
            len(x), x.shape[1], x.shape[2] * 4, x.shape[3] * 4
        )


def joint(path: Path) -> None:
    """A model file of the network that the peers can run too."""
    torch.manual_seed(0)
    network = Compact(4, channels=4, width=32, blocks=8)
    nn.init.normal_(network.tail.weight, std=0.002)
    card = Descriptor(
        name="joint",
        version="1",
        architecture="compact",
        options={"width": 32, "blocks": 8},
        scale=4,
        channels=4,
        value_range=(1, 99),
        precision="bfloat16",
    )
    save_model(network, card, path)


def module(model: str) -> nn.Module:
    loaded = geomedsr.load_model(model)
    return loaded.module if loaded.descriptor.channels > 1 else BandByBand(loaded.module)


def by_opensr(path: str, out: str, model: str) -> None:
    import opensr_utils

    opensr_utils.super_resolve(path, module(model), out, device="cpu", factor=4)


def by_monai(path: str, out: str, model: str) -> None:
    from monai.inferers import sliding_window_inference

    values, profile = _read(path)
    with torch.inference_mode():
        _write(out, sliding_window_inference(values, (ROI, ROI), BATCH, module(model)), profile)


def by_torch(path: str, out: str, model: str) -> None:
    values, profile = _read(path)
    with torch.inference_mode():
        _write(out, module(model)(values), profile)


def _read(path: str) -> tuple[torch.Tensor, dict[str, object]]:
    with rasterio.open(path) as data:
        return torch.from_numpy(data.read().astype(np.float32) / FULL)[None], dict(data.profile)


def _write(out: str, fine: torch.Tensor, profile: dict[str, object]) -> None:
    values = (fine[0] * FULL).round_().clamp_(0, 65535).numpy().astype(np.uint16)
    profile |= {"height": values.shape[1], "width": values.shape[2], "driver": "GTiff", "interleave": "pixel"}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "zstd", "predictor": 2}
    with rasterio.open(out, "w", **{**profile, "num_threads": "all_cpus", "BIGTIFF": "IF_SAFER"}) as data:
        data.write(values)


PLAIN = "plain torch call"
PEERS = {"opensr-utils 2.1.0": by_opensr, "MONAI 1.6.1 sliding window": by_monai, PLAIN: by_torch}
NEEDS = {"opensr-utils 2.1.0": "opensr_utils", "MONAI 1.6.1 sliding window": "monai", PLAIN: "torch"}


def command(name: str, path: Path, out: Path, model: str, *more: str) -> list[str]:
    """How a tool is run."""
    if name in PEERS:
        return [sys.executable, "-W", "ignore", __file__, "--peer", name, str(path), str(out), model]
    words = [GEOMEDSR, "upscale", str(path), str(out), "--model", model, "--range", f"0,{FULL}", "--quiet"]
    return [*words, "--precision", name.removeprefix(OURS), *more]


def in_one_piece(name: str, path: Path, out: Path, model: str, side: int) -> list[str]:
    """The same without tiles."""
    if name in PEERS:
        return command(PLAIN, path, out, model)
    return command(name, path, out, model, "--tile", str(side), "--memory", "64GiB", "--overwrite")


def difference(one: Path, other: Path) -> int:
    """The largest, in counts."""
    with rasterio.open(one) as a, rasterio.open(other) as b:
        return max(
            int(np.abs(a.read(window=w).astype(np.int64) - b.read(window=w).astype(np.int64)).max())
            for _, w in a.block_windows(1)
        )


def main(which: str = "joint", side: int = 2048, runs: int = 3) -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    print(f"{which} network, {side} × {side}, 4 bands, uint16, ×4; {conditions()}; medians of {runs}\n")
    with tempfile.TemporaryDirectory() as folder:
        path, out, whole = (Path(folder) / name for name in ("in.tif", "work/out.tif", "whole.tif"))
        out.parent.mkdir()
        model = "satellite-x4"
        if which == "joint":
            model = f"{folder}/joint.safetensors"
            joint(Path(model))
        sample(side, path)
        precisions = ("bfloat16", "float32") if fast_bfloat16(torch.device("cpu")) else ("float32",)
        tools = [OURS + precision for precision in precisions] + [peer for peer in PEERS if find_spec(NEEDS[peer])]
        figures: dict[str, list[Figures]] = {name: [] for name in tools}
        off: dict[str, int] = {}
        for turn in range(runs):
            for name in tools if turn % 2 == 0 else tools[::-1]:
                out.unlink(missing_ok=True)
                figures[name].append(watched(command(name, path, out, model), out))
                if turn == 0:
                    watched(in_one_piece(name, path, whole, model, side), whole)
                    off[name] = difference(out, whole)
        networks = {p: min(timed(way) for way in bare(path, geomedsr.load_model(model), p)) for p in precisions}
        first = statistics.median(f.seconds for f in figures[tools[0]])
        columns = ("", "seconds", "× the first", "input pixels per second, 10⁶", "peak memory, MiB", "scratch, MiB")
        print(f"| {' | '.join(columns)} | off the untiled |")
        print("|---|---|---|---|---|---|---|")
        for name, measured in figures.items():
            seconds, memory, scratch = (
                statistics.median(getattr(f, what) for f in measured) for what in ("seconds", "memory", "scratch")
            )
            print(
                f"| {name} | {seconds:.1f} | {seconds / first:.1f} | {side**2 / seconds / 1e6:.2f} "
                f"| {memory:.0f} | {scratch:.0f} | {off[name]} |"
            )
        for precision, seconds in networks.items():
            print(f"| the network alone, {precision}, no file | {seconds:.1f} | {seconds / first:.1f} | | | | |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        PEERS[sys.argv[2]](*sys.argv[3:])
    else:
        main(*sys.argv[1:2], *map(int, sys.argv[2:]))
