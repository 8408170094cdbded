"""Ways to run the network on tiles: as it is, without regard for equal bits, compiled, as a CUDA graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from step import Step, imagery, main

import geomedsr
from geomedsr import Window
from geomedsr.devices import fast_bfloat16
from geomedsr.inference.gpu import BANDS, exact
from geomedsr.inference.runtime import Runtime, prepared
from geomedsr.models.network import IMAGE, Network

Way = Callable[[torch.Tensor], torch.Tensor]


def work(step: Step) -> None:
    """Tiles of several sides, four bands at once, in each precision; the batch is on the device."""
    part: dict[str, Any] = step.settings["ways"]
    model = geomedsr.load_model("satellite-x4")
    scene = geomedsr.Scene.from_array(imagery("satellite", 1, BANDS, part["side"])[0])
    for precision in ("bfloat16", "float32"):
        if precision == "bfloat16" and not fast_bfloat16(step.place):
            step.skip(f"bfloat16: {step.place} does not compute in it by itself")
            continue
        network = prepared(model, Runtime.choose(model, step.device, precision, 2), step.place)
        for side in dict.fromkeys(max(16, part["side"] // n) for n in (4, 2, 1)):
            window = Window(0, 0, side, side).grown(model.radius)
            tile = scene.tensor(window)[0].unsqueeze(1).to(step.place).contiguous(memory_format=torch.channels_last)
            plain: Way | None = None
            for name, make, around in (
                ("as it is", _as_it_is, exact),
                ("any kernels, TF32", _as_it_is, _Any()),
                ("compiled", _compiled(part["compiler"]), exact),
                ("CUDA graph", _graph, exact),
            ):
                title = f"{name}, {side} × {side}, {precision}"
                if name == "CUDA graph" and not step.cuda:
                    step.skip(f"{title}: no CUDA device")
                    continue
                with step.part(title), torch.inference_mode(), around:
                    started = time.perf_counter()
                    way = make(network, tile)
                    made = way(tile)
                    _wait(step)
                    first = time.perf_counter() - started
                    plain = plain or way
                    off = float((made.float() - plain(tile).float()).abs().max())
                    seconds = _median(step, way, tile, part["runs"])
                    rate = BANDS * side * side / seconds / 1e6
                    note = f"first call {first:.2f} s, at most {off:.2g} off what it is"
                    step.figure(title, rate, "million input values/s", note)


class _Any:
    """Whatever kernels are fastest, TF32 too."""

    def __enter__(self) -> None:
        cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
        parts = (cudnn.conv, products) if hasattr(cudnn, "conv") else (cudnn, products)
        name, value = ("fp32_precision", "tf32") if hasattr(cudnn, "conv") else ("allow_tf32", True)
        self.before = [(part, name, getattr(part, name)) for part in parts]
        self.before += [(cudnn, key, getattr(cudnn, key)) for key in ("benchmark", "deterministic")]
        for holder in parts:
            setattr(holder, name, value)
        cudnn.benchmark, cudnn.deterministic = True, False

    def __exit__(self, *error: object) -> None:
        for holder, name, value in self.before:
            setattr(holder, name, value)


def _as_it_is(network: Network, tile: torch.Tensor) -> Way:
    return lambda batch: network.planes({IMAGE: batch})[IMAGE]


def _compiled(backend: str) -> Callable[[Network, torch.Tensor], Way]:
    def make(network: Network, tile: torch.Tensor) -> Way:
        torch._dynamo.reset()
        compiled: Way = torch.compile(_as_it_is(network, tile), backend=backend, dynamic=False)
        return compiled

    return make


def _graph(network: Network, tile: torch.Tensor) -> Way:
    """Captured once, after warm-up in a stream of its own, and played."""
    plain = _as_it_is(network, tile)
    held = tile.clone(memory_format=torch.preserve_format)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            plain(held)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = plain(held)

    def play(batch: torch.Tensor) -> torch.Tensor:
        held.copy_(batch)
        graph.replay()
        return made

    return play


def _median(step: Step, way: Way, tile: torch.Tensor, runs: int) -> float:
    """Seconds of a call: the median of several runs, each of many calls."""
    calls = 20 if step.cuda else 1
    found = []
    for _ in range(runs):
        _wait(step)
        started = time.perf_counter()
        for _ in range(calls):
            way(tile)
        _wait(step)
        found.append((time.perf_counter() - started) / calls)
    return sorted(found)[len(found) // 2]


def _wait(step: Step) -> None:
    if step.cuda:
        torch.cuda.synchronize(step.place)


main(work)
