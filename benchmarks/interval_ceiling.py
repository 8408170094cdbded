"""How well can half-widths rank errors at all? Beside the model's head, one that was trained on the scene itself.

    python benchmarks/interval_ceiling.py DATA MODEL …

DATA is the folder of the recipes' scenes; MODEL a shipped model, or a model file, with a head of half-widths. Each
validation scene is brought down, super-resolved and compared. Of up to a million of its pixels, in squares, every other
square trains a head of 96 channels on the model's features, by the same loss; both heads are then judged on the other
squares: the rank correlation of half-width and error, and AURC. The last columns are of errors that are drawn anew,
normal, as wide as the head of the scene says: what the best widths reach if it is right.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch
import torch.nn.functional as F

from geomedsr import operators
from geomedsr.geometry import Box, Window
from geomedsr.losses import Sample
from geomedsr.metrics.interval_figures import spearman
from geomedsr.metrics.protocol import Protocol
from geomedsr.metrics.reduced import reduced
from geomedsr.metrics.regions import divisible
from geomedsr.models import Model, load_model
from geomedsr.models.half_width import HalfWidthHead
from geomedsr.models.store import new_head
from geomedsr.scene.context import middle
from geomedsr.scene.scene import Scene
from geomedsr.scene.sources import Array
from geomedsr.training import load_recipe
from geomedsr.training.data import validation_scenes
from geomedsr.training.interval import pinball

#: Side of the squares in coarse pixels, the most of them, and the steps of training.
_SIDE, _MOST, _STEPS = 64, 60, 250

#: Features, errors on the network's value scale, and what counts, of one square.
Square = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def squares(scene: Scene, model: Model) -> list[Square]:
    """Squares of a scene, in a chequered order over its bands and frames."""
    card, network = model.descriptor, model.module
    operator, scale = operators.get(card.operator), card.scale
    fine = divisible(scene, scale)
    coarse = reduced(fine, scale, operator.reduction)
    if card.value_scale == "physical":
        fine = fine.with_physical_range(*card.value_range)
    low, span = (np.broadcast_to(e[..., 0, 0], (1, len(fine.bands)))[0] for e in fine.values.bounds(slice(0, 1)))
    above = Protocol.of(fine, None, None).above
    frames, bands, height, width = coarse.shape
    side = min(_SIDE, height, width)
    places = [
        (frame, band, row, col)
        for frame in range(frames)
        for band in range(bands)
        for row in range(0, height - side + 1, side)
        for col in range(0, width - side + 1, side)
    ]
    found = []
    for i in np.random.default_rng(0).permutation(len(places)):
        frame, band, row, col = places[i]
        window = Window(col, row, side, side)
        near, far = (
            (s.source.read(Box.of(frame, w))[0, band] - low[band]) / span[band]
            for s, w in ((coarse, window), (fine, Window(col * scale, row * scale, side * scale, side * scale)))
        )
        valid = fine.source.valid(Box.of(frame, Window(col * scale, row * scale, side * scale, side * scale)))[0, band]
        seen = valid if above is None else valid & (far * span[band] + low[band] > above)
        if not valid.all() or seen.mean() < 0.2:
            continue
        x, y = (torch.from_numpy(v.astype(np.float32))[None, None] for v in (near, far))
        with torch.no_grad():
            features = network.features(x)
            detail = F.pixel_shuffle(network.tail(features), scale)
            made = Sample.projected(detail.float() + network.skip(middle(x, 1)), x, operator, scale)
        found.append((features.float(), (made - y).abs(), torch.from_numpy(seen)[None, None]))
        if len(found) == _MOST:
            break
    return found


def trained(model: Model, given: list[Square]) -> HalfWidthHead:
    """A head of these squares alone."""
    torch.manual_seed(0)
    head = new_head(model, 96)
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    for step in range(_STEPS):
        features, errors, seen = (torch.cat([s[i] for s in (given * 4)[step % len(given) :][:4]]) for i in range(3))
        wide = F.pixel_shuffle(head(features), model.descriptor.scale)
        loss = pinball(wide[seen], errors[seen], 0.5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head


def ranked(wide: Array, off: Array) -> str:
    """Rank correlation and AURC, as cells."""
    order = np.argsort(wide, kind="stable")
    aurc = (np.cumsum(off[order]) / np.arange(1, off.size + 1)).mean() / off.mean()
    return f"{spearman(wide, off):.2f} | {aurc:.2f}"


def row(scene: Scene, model: Model, wide: HalfWidthHead) -> str:
    """A line of the table."""
    found = squares(scene, model)
    own = trained(model, found[::2])
    columns: dict[str, list[Array]] = {"off": [], "head": [], "own": []}
    for features, errors, seen in found[1::2]:
        with torch.no_grad():
            columns["off"].append(errors[seen].numpy())
            for name, head in (("head", wide), ("own", own)):
                columns[name].append(F.pixel_shuffle(head(features), model.descriptor.scale)[seen].numpy())
    off, ours, its = (np.concatenate(columns[name]) for name in ("off", "head", "own"))
    drawn = np.abs(np.random.default_rng(0).normal(size=its.size)) * its
    return f"| {scene.name} | {ranked(ours, off)} | {ranked(its, off)} | {ranked(its, drawn)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.models:
        model = load_model(name)
        model = model.with_realism(0) if model.realism else model
        wide = model.with_interval().module.half_width
        print(f"\n{name}\n\n| scene | head: Spearman | AURC | head of the scene | AURC | errors drawn | AURC |")
        print("|---|---|---|---|---|---|---|")
        for scene in validation_scenes(load_recipe(model.descriptor.name, [f"data.root={options.data}"])):
            print(row(scene, model, wide), flush=True)


if __name__ == "__main__":
    main()
