"""``geomedsr repair --what spikes``."""

from __future__ import annotations

import argparse
import time

from geomedsr.cli.output import print_json
from geomedsr.cli.work import check_unasked, check_unworked, writing_asked
from geomedsr.errors import InputError
from geomedsr.inference import write
from geomedsr.io import open_scene
from geomedsr.repairing.spikes import despiked

#: Options without use: frames are repaired whole, and without a network.
_OTHERS = ("mask", "from", "marks", "model", "residual", "window", "bbox", "aoi", "report", "nearest")


def spikes(options: argparse.Namespace) -> None:
    """Take spikes out of the k-space of MR frames; nothing is written if there are none."""
    started = time.perf_counter()
    check_unasked(options, _OTHERS, "--what spikes", "whole frames, without a network")
    check_unworked(options, "--what spikes")
    if options.what != ["spikes"]:
        raise InputError(f"--what {','.join(options.what)}", "spikes alone, or other defects", "take spikes out first")
    scene = open_scene(
        options.src, series=options.series, force=options.force, nodata=options.nodata, slice_axis=options.slice_axis
    )
    found = despiked(scene)
    if found is None and not options.always:
        if options.json:
            print_json({"output": None, "frames": 0, "samples": 0})
        elif not options.quiet:
            print(f"no spikes in {options.src}: nothing is written; --always writes {options.dst} all the same")
        return
    made = scene if found is None else found.scene
    written = write({options.dst: made}, **writing_asked(options))[options.dst]
    frames, samples = (0, 0) if found is None else (found.frames, found.samples)
    seconds = time.perf_counter() - started
    if options.json:
        print_json(
            {
                "output": options.dst,
                "frames": frames,
                "samples": samples,
                "regions": written.regions,
                "resumed": written.resumed,
                "seconds": round(seconds, 3),
            }
        )
    elif not options.quiet:
        print(f"{options.dst}: {samples} samples of k-space interpolated in {frames} frames, {seconds:.1f} s")
