"""``geomedsr repair --what stripes`` and ``geomedsr repair --undo``."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

from geomedsr.cli.output import print_json
from geomedsr.cli.work import check_unasked, check_unworked, writing_asked
from geomedsr.errors import InputError
from geomedsr.inference import write
from geomedsr.io import open_scene
from geomedsr.repairing.destriping import Unstriped, destripe, restripe
from geomedsr.scene.scene import Scene

#: Options that go with filling alone.
_OTHERS = ("mask", "from", "marks", "model", "window", "bbox", "aoi", "report", "uid_seed", "slice_axis", "nearest")


def stripes(options: argparse.Namespace) -> None:
    """Take stripes off, or put them back."""
    started = time.perf_counter()
    check_unasked(options, _OTHERS, "stripes", "the whole scene, and no mask")
    check_unworked(options, "stripes")
    if options.undo:
        _undo(options, started)
        return
    if options.what != ["stripes"]:
        raise InputError(
            f"--what {','.join(options.what)}", "stripes alone, or other defects", "take stripes off first"
        )
    scene = open_scene(options.src, series=options.series, force=options.force, nodata=options.nodata)
    found = destripe(scene)
    if found is None and not options.always:
        if options.json:
            print_json({"output": None, "lines": None})
        elif not options.quiet:
            print(f"no stripes in {options.src}: nothing is written")
        return
    scenes = {options.dst: scene if found is None else found.scene}
    if found is not None and found.residual is not None:
        scenes[residual_of(options.dst) if options.residual is None else options.residual] = found.residual
    facts = _written(scenes, options)
    if found is not None:
        facts |= {"lines": found.lines, "alike": [round(share, 3) for share in found.alike]}
    _tell(options, facts, started, "stripes taken off" if found is not None else "as it was", found)


def _undo(options: argparse.Namespace, started: float) -> None:
    """Put stripes back, with the residual beside the result if there is one."""
    scene = open_scene(options.src, force=True)
    beside = options.residual or residual_of(options.src)
    there = options.residual is not None or os.path.exists(beside)
    residual = open_scene(beside, force=True) if there else None
    made = restripe(scene, residual)
    if residual is None and np.dtype(made.dtype).kind != "f":
        raise InputError(f"no residual {beside}", "the file that was written with it", "name it: --residual FILE")
    facts = _written({options.dst: made}, options)
    _tell(options, facts, started, "stripes put back", None)


def residual_of(path: str) -> str:
    """Where the residual of a result lies."""
    return f"{os.path.splitext(path)[0]}.residual.tif"


def _written(scenes: dict[str, Scene], options: argparse.Namespace) -> dict[str, Any]:
    """Write, and say what was written."""
    written = write(
        scenes,
        **writing_asked(options),
    )
    first = written[options.dst]
    return {"output": options.dst, "regions": first.regions, "resumed": first.resumed, "files": list(map(str, scenes))}


def _tell(
    options: argparse.Namespace, facts: dict[str, Any], started: float, what: str, found: Unstriped | None
) -> None:
    """Print what was done."""
    seconds = time.perf_counter() - started
    if options.json:
        print_json({**facts, "seconds": round(seconds, 3)})
    elif not options.quiet:
        along = "" if found is None else f" of {found.lines}"
        print(f"{options.dst}: {what}{along}, {seconds:.1f} s")
