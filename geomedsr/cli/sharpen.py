"""``geomedsr sharpen``."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from geomedsr.cli.output import print_json
from geomedsr.cli.places import part_asked, whole_pixels, window_asked
from geomedsr.cli.work import work_asked, writing_asked
from geomedsr.devices import keep_memory
from geomedsr.errors import InputError
from geomedsr.geometry import Factors
from geomedsr.inference import write
from geomedsr.io import open_part, open_scene
from geomedsr.io.files import exists
from geomedsr.models import load_model
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.scene import Scene
from geomedsr.sharpening.adapting import Adapting
from geomedsr.sharpening.sharpen import sharpen


def run(options: argparse.Namespace) -> None:
    """A coarse scene and its guide, or a product."""
    keep_memory()  # before threads are started
    started = time.perf_counter()
    product = options.guide is None
    named = () if product else options.bands or ()
    coarse = open_part(options.src, named, nodata=options.nodata, mask=options.mask)
    product = product and coarse.parts is not None
    if options.nearest is not None:
        coarse = coarse.with_nearest(options.nearest)
    guide = _guide(options)
    if options.bands is not None and not product:
        coarse = coarse.select(options.bands)
    window = None if product else window_asked(options, coarse)
    adapt = _adapting(options)
    made = sharpen(
        coarse,
        guide,
        options.model,
        bands=options.bands if product else None,
        with_guide=options.with_guide,
        register={"auto": None, "yes": True, "no": False}[options.register],
        **work_asked(options),
        conserve=not options.no_conserve,
        adapt=adapt,
    )
    provenance = made.provenance
    factor = provenance.model.factor or 1
    if product:  # whose parts all are sharpened: windows are of the finest, and hold whole pixels of the coarsest
        window, factor = whole_pixels(window_asked(options, made), made), 1
    part = part_asked(options, made, window, factor)
    written = write(
        part,
        options.dst,
        **writing_asked(options),
    )
    seconds = time.perf_counter() - started
    adapted = None if adapt is None else _adapted(adapt, provenance)
    facts = {
        **_facts(part, options.dst),
        "adapted": adapted,
        "regions": written.regions,
        "resumed": written.resumed,
        "provenance": dict(part.provenance),
        "seconds": round(seconds, 3),
    }
    if options.json:
        print_json(facts)
    elif not options.quiet:
        print(f"{options.dst}: {facts['what']}, {seconds:.1f} s")
        if provenance.model.guide:
            print(f"the guide: {provenance.model.guide}")
        if adapted is not None:
            print(f"adapted: {adapted['what']}")
        if written.resumed:
            print(f"went on after a stop: {written.resumed} of {written.regions} regions were there")


def _guide(options: argparse.Namespace) -> Scene | None:
    """The guide, its bands alone that were chosen."""
    if options.guide is None:
        if options.guide_bands is not None:
            raise InputError("--guide-bands without --guide", "a guide", "add --guide FILE, or leave it out")
        return None
    guide = open_scene(options.guide, nodata=options.nodata)
    return guide if options.guide_bands is None else guide.select(options.guide_bands)


def _adapting(options: argparse.Namespace) -> Adapting | None:
    """How the model is adapted, and where it goes: beside the result, with its name.

    Raises:
        OutputError: the result is there already, which is told before minutes are spent.
    """
    if options.adapt is None:
        return None
    if os.path.lexists(options.dst) and not options.overwrite:
        raise exists(Path(options.dst))
    path = f"{os.path.splitext(options.dst)[0]}.model.safetensors"
    return Adapting(path, **options.adapt, overwrite=options.overwrite, progress=not options.quiet)


def _adapted(how: Adapting, provenance: Provenance) -> dict[str, Any]:
    """What came of adapting: the model's file, if it gained, and how it did on what was kept out."""
    made = load_model(how.path) if os.path.isfile(how.path) else None
    if made is None or made.sha256 not in [step.sha256 for step in provenance.steps]:
        return {"model": None, "what": "nothing gained, the model is as it was"}
    card = made.descriptor
    steps, metrics = card.training["stages"]["content"]["steps"], card.metrics
    what = f"{steps} steps, {how.path}"
    if metrics:
        what += f"; on what was kept out {metrics['psnr_before']:.2f} → {metrics['psnr']:.2f} dB"
    return {"model": os.fspath(how.path), "steps": steps, **metrics, "what": what}


def _facts(made: Scene, dst: str) -> dict[str, Any]:
    """What came out."""
    _, bands, height, width = made.shape
    provenance = made.provenance
    ways = [f"{Factors.in_plane(s.factor or 1).words} by {s.model} {s.version}" for s in provenance.steps]
    ways = ways or ["carried over"]
    return {
        "output": dst,
        "what": f"{width} × {height} pixels, {bands} × {made.dtype}, {'; '.join(ways)}",
        "width": width,
        "height": height,
        "bands": [b.name for b in made.bands],
        "nearest": [b.name for b in made.bands if b.kind == "nearest"],
        "dtype": str(made.dtype),
        "guide": provenance.model.guide,
    }
