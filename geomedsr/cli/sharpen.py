"""``geomedsr sharpen``."""

from __future__ import annotations

import argparse
import time
from typing import Any

from geomedsr.cli.adapting import adapted_facts, adapting_asked
from geomedsr.cli.output import print_json
from geomedsr.cli.places import part_asked, whole_pixels, window_asked
from geomedsr.cli.work import work_asked, writing_asked
from geomedsr.devices import keep_memory
from geomedsr.errors import InputError
from geomedsr.geometry import Factors
from geomedsr.inference import write
from geomedsr.io import open_part, open_scene
from geomedsr.scene.scene import Scene
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
    adapt = adapting_asked(options, options.dst)
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
    adapted = None if adapt is None else adapted_facts(adapt, provenance)
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
