"""``geomedsr repair --what jpeg``."""

from __future__ import annotations

import argparse
import time

from geomedsr.cli.output import print_json
from geomedsr.cli.places import part_asked, window_asked
from geomedsr.cli.work import check_unasked, work_asked, writing_asked
from geomedsr.errors import InputError, OutputError
from geomedsr.inference import write
from geomedsr.io import open_scene
from geomedsr.operators.jpeg_bins import Count
from geomedsr.repairing.deblocking import deblocked
from geomedsr.viewing.report import report

#: Options that go with filling alone.
_OTHERS = ("mask", "from", "marks", "residual", "aoi", "nearest")


def jpeg(options: argparse.Namespace) -> None:
    """Take JPEG's artefacts off, and count what of the written result holds the file's coefficients."""
    started = time.perf_counter()
    check_unasked(options, _OTHERS, "--what jpeg", "a JPEG file, whole or a window of it")
    if options.what != ["jpeg"]:
        raise InputError(f"--what {','.join(options.what)}", "jpeg alone, or other defects", "take it off first")
    if options.dst.lower().endswith((".jpg", ".jpeg")):
        raise OutputError(f"{options.dst} for what was JPEG", "a format without loss", "write a .tif or .png")
    scene = open_scene(
        options.src, series=options.series, force=options.force, nodata=options.nodata, slice_axis=options.slice_axis
    )
    window = window_asked(options, scene)
    done = deblocked(scene, options.model, **work_asked(options))
    made = part_asked(options, done.scene, window, 1)
    written = write({options.dst: made}, **writing_asked(options))[options.dst]
    found = done.counted(open_scene(options.dst, force=True)) if window is None else None
    if options.report is not None:
        report(options.src, options.dst, options.report, series=options.series, nodata=options.nodata)
    seconds = time.perf_counter() - started
    if options.json:
        print_json(
            {
                "output": options.dst,
                "width": made.shape[3],
                "height": made.shape[2],
                "frames": made.shape[0],
                "bands": [band.name for band in made.bands],
                "dtype": str(made.dtype),
                "units": None if found is None else found.units,
                "holding": None if found is None else found.holding,
                "as_decoded": None if found is None else found.decoded,
                "compressed_before": done.earlier,
                "stac": written.item,
                "regions": written.regions,
                "resumed": written.resumed,
                "provenance": dict(made.provenance),
                "seconds": round(seconds, 3),
            }
        )
    elif not options.quiet:
        print(f"{options.dst}: JPEG's artefacts taken off{_words(found)}, {seconds:.1f} s")


def _words(found: Count | None) -> str:
    """How many units hold."""
    if found is None:
        return ", `geomedsr verify` counts the blocks of a window"
    text = f"; {found.holding} of {found.units} units of blocks have the file's coefficients"
    if found.decoded:
        text += f", {found.decoded} are as decoded"
    return text + (f", {found.changed} have neither" if found.changed else "")
