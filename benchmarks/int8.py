"""What 8-bit integers would bring on CPUs: residual blocks by oneDNN's int8 convolutions, beside bfloat16.

    python benchmarks/int8.py DATA [MODEL]

Weights have a scale for each output channel, activations a range for each channel, from training patches (their 0.05th
to 99.95th percentile, the widest of all patches). The sum that runs through the blocks stays in float32, the last
convolution in bfloat16. PSNR is of the network alone with block means kept, in normalised values, on validation scenes;
times are the least of ten, of one thread and one tile, and say nothing on a CPU without VNNI instructions.
"""

import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import geomedsr
from geomedsr import Scene
from geomedsr.models.compact import ResidualBlock, cropped, unpadded
from geomedsr.training import load_recipe
from geomedsr.training.data import training_scenes, validation_scenes

CONFIGS = Path(__file__).parents[1] / "configs"

#: Side of tiles and of patches, patches of each scene, the share of values within a range.
TILE, PATCH, PATCHES, WITHIN = 256, 64, 12, 0.9995

#: Stride, padding, dilation and groups.
GEOMETRY = ([1, 1], [0, 0], [1, 1], 1)


class Convolution:
    """3 × 3, without padding; inputs in 255 steps between ``low`` and ``high`` of each channel."""

    def __init__(self, layer: nn.Conv2d, low: torch.Tensor, high: torch.Tensor) -> None:
        self.step = (high - low).double().clamp(min=1e-9) / 255
        self.offset, self.gain = ((v.float()[None, :, None, None]) for v in (0.5 - low / self.step, 1 / self.step))
        weight = layer.weight.detach().double()
        self.bias = layer.bias.detach().double() + (weight * low.double()[None, :, None, None]).sum((1, 2, 3))  # type: ignore[union-attr]
        weight = weight * self.step[None, :, None, None]
        self.scales = weight.abs().amax((1, 2, 3)).clamp(min=1e-30) / 127
        self.whole = torch.round(weight / self.scales[:, None, None, None]).to(torch.int8)

    def prepared(self, to: torch.Tensor | float = 1.0) -> None:
        """For results in steps of ``to``."""
        self.scale, self.shift = (self.scales / to).float(), (self.bias / to).float()
        self.packed = torch.ops.onednn.qconv_prepack(self.whole, self.scale, 1.0, 0, *GEOMETRY, None)

    def steps(self, x: torch.Tensor) -> torch.Tensor:
        """An image in steps of its channels' ranges."""
        made = torch.empty(x.shape, dtype=torch.uint8, memory_format=torch.channels_last)
        for row in range(0, x.shape[-2], 16):  # these stay in the cache
            rows = ..., slice(row, row + 16), slice(None)
            made[rows] = torch.addcmul(self.offset, x[rows], self.gain).clamp_(0, 255)
        return made

    def __call__(self, x: torch.Tensor, kind: torch.dtype, after: str) -> torch.Tensor:
        """Of an image in steps."""
        zeros = torch.zeros(len(self.scale), dtype=torch.int32)
        parts = self.packed, self.scale, zeros, self.shift
        made: torch.Tensor = torch.ops.onednn.qconv2d_pointwise(
            x, 1.0, 0, *parts, *GEOMETRY, 1.0, 0, kind, after, [], ""
        )
        return made


class Block:
    """A residual block, as ``ResidualBlock.trimmed``."""

    def __init__(self, block: ResidualBlock, low: torch.Tensor, high: torch.Tensor, most: torch.Tensor) -> None:
        self.first, self.second = Convolution(block.first, low, high), Convolution(block.second, most * 0, most)
        self.first.prepared(self.second.step)
        self.second.prepared()

    def trimmed(self, x: torch.Tensor) -> torch.Tensor:
        """Two pixels smaller on each side."""
        hidden = self.first(self.first.steps(x), torch.uint8, "relu")
        return self.second(hidden, torch.float32, "none").add_(cropped(x, 2))


def pair(scene: Scene, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The middle frame, normalised, and its block means: ``(band, 1, y, x)``."""
    frame = scene.shape[0] // 2
    fine = scene.tensor(frames=slice(frame, frame + 1))[0][:, None]
    fine = fine[..., : fine.shape[-2] // scale * scale, : fine.shape[-1] // scale * scale]
    return fine, F.avg_pool2d(fine, scale)


def ranges(network: nn.Module, patches: list[torch.Tensor]) -> list[tuple[torch.Tensor, ...]]:
    """For each block and channel: lowest and highest input, highest value after the ReLU."""
    found: list[list[torch.Tensor]] = [[] for _ in network.body]
    for patch in patches:
        shallow = deep = network.head(patch)
        for number, block in enumerate(network.body):
            hidden = F.relu(block.first(deep))
            ends = (deep, 1 - WITHIN), (deep, WITHIN), (hidden, WITHIN)
            found[number].append(torch.stack([torch.quantile(x[0].flatten(1), share, 1) for x, share in ends]))
            deep = deep + block.second(hidden)
        assert shallow.shape == deep.shape
    all_of = [torch.stack(each) for each in found]
    return [(each[:, 0].amin(0), each[:, 1].amax(0), each[:, 2].amax(0).clamp(min=1e-3)) for each in all_of]


def runner(network: nn.Module, radius: int, blocks: list[Block]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network on an image with its halo: planes ``(s², H, W)``."""
    head, skip = network.head, network.skip
    tail = copy.deepcopy(network.tail).to(torch.bfloat16)

    def run(x: torch.Tensor) -> torch.Tensor:
        shallow = deep = unpadded(head, x)
        for block in blocks:
            deep = block.trimmed(deep)
        made = unpadded(tail, deep.add_(cropped(shallow, 2 * len(blocks))).to(torch.bfloat16))
        return (skip.subpixels(cropped(x, radius - skip.radius)) + made[:, None].float())[0, 0]

    return run


def psnr(planes: torch.Tensor, coarse: torch.Tensor, fine: torch.Tensor, scale: int) -> float:
    planes = planes - planes.mean(0) + coarse[0]
    return float(-10 * torch.log10((F.pixel_shuffle(planes[None], scale)[0, 0] - fine[0]).square().mean()))


def main(data: str, name: str = "satellite-x4") -> None:
    """Print a Markdown table, and the ratio of times."""
    torch.set_num_threads(1)
    model = geomedsr.load_model(name, 0.0)
    network, radius, scale = model.module, model.radius, model.descriptor.scale
    recipe, rng = load_recipe(CONFIGS / f"{name}.yaml", [f"data.root={data}"]), np.random.default_rng(0)
    patches = []
    for scene in training_scenes(recipe):
        coarse = pair(scene, scale)[1]
        for _ in range(PATCHES):
            band, row, col = (
                int(rng.integers(max(1, n))) for n in (len(coarse), *(m - PATCH for m in coarse.shape[2:]))
            )
            patch = coarse[band : band + 1, :, row : row + PATCH, col : col + PATCH]
            patches.append((patch * rng.uniform(0.5, 1.5) + rng.uniform(-0.2, 0.2)).float())
    with torch.inference_mode():
        blocks = [Block(block, *each) for block, each in zip(network.body, ranges(network, patches), strict=True)]
        half = copy.deepcopy(network)
        for part in half.modules():
            if isinstance(part, nn.Conv2d):
                part.to(torch.bfloat16)
        half = half.to(memory_format=torch.channels_last)
        whole = copy.deepcopy(network).to(memory_format=torch.channels_last)
        ways = {
            "float32": lambda x: whole.planes({"image": x})["image"][0, 0],
            "bfloat16": lambda x: half.planes({"image": x})["image"][0, 0],
            "int8": runner(whole, radius, blocks),
        }
        print(f"| {name} | float32, dB | bfloat16 less float32 | int8 less float32 |\n|---|---|---|---|")
        for scene in validation_scenes(recipe):
            found = []
            for fine, coarse in zip(*pair(scene, scale), strict=True):
                around = F.pad(coarse[None], (radius,) * 4, mode="replicate").contiguous(
                    memory_format=torch.channels_last
                )
                found.append([psnr(way(around), coarse, fine, scale) for way in ways.values()])
            exact, *others = np.mean(found, 0)
            print(
                f"| {scene.name} | {exact:.2f} | {' | '.join(f'{other - exact:+.4f}' for other in others)} |",
                flush=True,
            )
        tile = torch.rand(1, 1, TILE + 2 * radius, TILE + 2 * radius).contiguous(memory_format=torch.channels_last)
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(10):
            for way, run in ways.items():
                started = time.perf_counter()
                run(tile)
                best[way] = min(best[way], time.perf_counter() - started)
        faster = best["bfloat16"] / best["int8"], best["float32"] / best["int8"]
        print(f"\nint8 is {faster[0]:.2f} × as fast as bfloat16, {faster[1]:.2f} × as fast as float32.")


if __name__ == "__main__":
    main(*sys.argv[1:])
