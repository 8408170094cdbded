"""``geomedsr repair``."""

from __future__ import annotations

import argparse
import time
from typing import Any

from geomedsr.cli.jpeg import jpeg
from geomedsr.cli.output import print_json
from geomedsr.cli.places import part_asked, window_asked
from geomedsr.cli.spikes import spikes
from geomedsr.cli.stripes import stripes
from geomedsr.cli.work import work_asked, writing_asked
from geomedsr.devices import keep_memory
from geomedsr.errors import InputError, OutputError
from geomedsr.inference import write
from geomedsr.io import open_scene
from geomedsr.repairing.finding import find_defects
from geomedsr.repairing.repair import Repaired, repaired
from geomedsr.scene.scene import Scene
from geomedsr.viewing.report import report


def run(options: argparse.Namespace) -> None:
    """Fill what the mask marks, or what is found; nothing is written if that is nothing. Or stripes, spikes, JPEG."""
    keep_memory()  # before threads are started
    if options.undo or "stripes" in options.what:
        stripes(options)
        return
    if "jpeg" in options.what:
        jpeg(options)
        return
    if "spikes" in options.what:
        spikes(options)
        return
    if not options.find and options.mask is None:
        raise InputError("neither --mask nor --find", "what to repair", "add --find, or --mask FILE")
    started = time.perf_counter()
    if options.residual is not None:
        raise InputError(f"--residual {options.residual} without stripes", "--undo, or --what stripes", "leave it out")
    if options.marks is not None and options.marks == options.dst:
        raise OutputError(f"--marks {options.marks}, which is DST", "a file of its own", "choose another name")
    another = vars(options)["from"]  # no name in Python
    scene = open_scene(
        options.src,
        series=options.series,
        force=options.force,
        nodata=options.nodata,
        slice_axis=options.slice_axis,
    )
    if options.nearest is not None:
        scene = scene.with_nearest(options.nearest)
    window = window_asked(options, scene)
    mask = find_defects(scene, options.what).mask if options.find else open_scene(options.mask, force=True)
    done = repaired(
        scene,
        mask,
        options.model,
        other=None if another is None else open_scene(another, force=True),
        **work_asked(options),
    )
    if not done.marked and not options.always:
        _tell_none(options, done)
        return
    made = part_asked(options, done.scene, window, 1)
    scenes = {options.dst: made}
    if options.marks is not None:
        scenes[options.marks] = part_asked(options, done.marks, window, 1)
    written = write(
        scenes,
        **writing_asked(options),
    )[options.dst]
    if options.report is not None:
        report(options.src, options.dst, options.report, series=options.series, nodata=options.nodata)
    seconds = time.perf_counter() - started
    facts = {
        **_facts(done, made, options.dst),
        "stac": written.item,
        "regions": written.regions,
        "resumed": written.resumed,
        "provenance": dict(made.provenance),
        "seconds": round(seconds, 3),
    }
    if options.json:
        print_json(facts)
    elif not options.quiet:
        print(f"{options.dst}: {done.words}, all others as in {scene.name}, {seconds:.1f} s")
        if written.resumed:
            print(f"went on after a stop: {written.resumed} of {written.regions} regions were there")


def _tell_none(options: argparse.Namespace, done: Repaired) -> None:
    """That nothing is marked, so nothing is written."""
    if options.json:
        print_json({"output": None, "pixels": done.pixels, "marked": 0, "filled": 0, "left": 0})
    elif not options.quiet:
        print(f"no defects in {options.src}: nothing is written; --always writes {options.dst} all the same")


def _facts(done: Repaired, made: Scene, dst: str) -> dict[str, Any]:
    """What came out."""
    frames, _, height, width = made.shape
    return {
        "output": dst,
        "width": width,
        "height": height,
        "frames": frames,
        "bands": [band.name for band in made.bands],
        "dtype": str(made.dtype),
        "pixels": done.pixels,
        "marked": done.marked,
        "filled": done.filled,
        "left": done.left,
    }
