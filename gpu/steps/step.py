"""What a step writes down as it goes: figures, what was left out, what failed."""

from __future__ import annotations

import json
import platform
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

import geomedsr
from geomedsr import Scene
from geomedsr.devices import choose_device, cores
from geomedsr.errors import GeomedsrError
from geomedsr.geometry.box import Box
from geomedsr.io.files import atomic_write
from geomedsr.scene.sources import Array

HOME = Path(__file__).resolve().parents[2]


class Step:
    """One step of ``gpu/run.py``, in its own process."""

    def __init__(self, name: str, results: Path, device: str) -> None:
        self.name, self.results = name, results
        self.place = choose_device(device)
        self.cuda = self.place.type == "cuda"
        self.device = "cuda" if self.cuda else "cpu"
        self.settings: dict[str, Any] = json.loads((HOME / "settings.json").read_text())
        self.figures: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []
        self.skipped: list[str] = []
        self.scratch = results / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)

    def figure(self, name: str, value: float | int | str, unit: str = "", note: str = "") -> None:
        """Note a figure."""
        device = "" if self.cuda else " --device cpu"
        command = f"python3 gpu/run.py --only {self.name} --again {self.name}{device}"
        self.figures.append({"name": name, "value": value, "unit": unit, "note": note, "command": command})
        print(f"{name}: {value} {unit} {note}".rstrip(), flush=True)
        self.save()

    def skip(self, text: str) -> None:
        """Note what is left out, and why."""
        self.skipped.append(text)
        self.save()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part whose failure does not stop the next."""
        try:
            yield
        except (Exception, SystemExit):
            self.failures.append({"part": name, "traceback": traceback.format_exc()[-6000:]})
            traceback.print_exc()
        self.save()

    def save(self) -> None:
        """Write down what there is."""
        folder = self.results / "steps"
        folder.mkdir(exist_ok=True)
        told = {"machine": machine(self.place), "figures": self.figures, "failures": self.failures}
        atomic_write(folder / f"{self.name}.json", json.dumps({**told, "skipped": self.skipped}))


def machine(place: torch.device) -> dict[str, str]:
    """What computes."""
    facts = {
        "device": f"CPU, {cores()} cores, {platform.machine()}",
        "software": f"geomedsr {geomedsr.__version__}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"NumPy {np.__version__}",
    }
    if place.type == "cuda":
        card = torch.cuda.get_device_properties(place)
        nccl = ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        facts["device"] = f"{card.name}, {card.total_memory / 2**30:.0f} GiB, beside {cores()} cores"
        facts["software"] += f", CUDA {torch.version.cuda}, cuDNN {cudnn}, NCCL {nccl}"
    return facts


def main(work: Callable[..., None]) -> None:
    """Run a step as ``gpu/run.py`` starts it: its name, the results' folder, the device, what else it is given."""
    name, results, device, *rest = sys.argv[1:]
    step = Step(name, Path(results), device)
    with step.part("the whole step"):
        work(step, *rest)
    step.save()


def imagery(domain: str, count: int, bands: int, side: int) -> Array:
    """Real pixels of a domain from the bundle's data, ``(count, bands, side, side)``, mirrored up to that size.

    Without any of that domain, a texture.
    """
    for path in sorted((HOME / "data").glob("*.npz")):
        scene = geomedsr.open(path)
        if scene.domain != domain or (domain == "satellite" and scene.dtype != np.uint16):
            continue
        stack = scene.source.read(Box.whole(scene.shape))
        break
    else:
        rng = np.random.default_rng(0)
        kind = np.dtype("uint16" if domain == "satellite" else "int16")
        stack = (rng.random((2, bands, 64, 64)).cumsum(-1) * 60).astype(kind)
    stack = stack[np.arange(count) % len(stack)][:, np.arange(bands) % stack.shape[1]]
    pads = [(0, 0), (0, 0), *((0, max(0, side - length)) for length in stack.shape[2:])]
    return np.pad(stack, pads, mode="symmetric")[..., :side, :side]


def everything(scene: Scene) -> Array:
    """All stored values of a scene; computed, if it is a result."""
    return scene.source.read(Box.whole(scene.shape))


__all__ = ["HOME", "GeomedsrError", "Step", "everything", "imagery", "main"]
