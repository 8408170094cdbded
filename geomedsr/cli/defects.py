"""``geomedsr defects``."""

from __future__ import annotations

import argparse

from geomedsr.cli.output import print_json
from geomedsr.errors import OutputError
from geomedsr.inference import write
from geomedsr.io import open_scene
from geomedsr.io.files import page_target, write_page
from geomedsr.repairing.finding import find_defects


def run(options: argparse.Namespace) -> None:
    """Look for defects, count them, and show them if that is asked for; the scene stays as it is."""
    if options.picture is not None and options.picture == options.output:
        raise OutputError(f"--picture {options.picture}, which is the mask", "another file", "choose another name")
    scene = open_scene(options.src, series=options.series, force=options.force, nodata=options.nodata)
    if options.nearest is not None:
        scene = scene.with_nearest(options.nearest)
    target = None if options.picture is None else page_target(options.picture, (".png",), options.overwrite)
    found = find_defects(scene, options.what)
    if options.output is not None:
        write(found.mask, options.output, overwrite=options.overwrite, progress=not options.quiet)
    if target is not None:
        from geomedsr.viewing.defects import defects_picture

        write_page(target, defects_picture(scene, found.mask))
    if options.json:
        print_json({"pixels": found.pixels, **found.counts, "mask": options.output, "picture": options.picture})
    elif not options.quiet:
        words = {"gaps": "in gaps", "lines": "in lost lines", "dead": "dead or hot"}
        listed = ", ".join(f"{count} {words[kind]}" for kind, count in found.counts.items())
        print(f"{options.src}: of {found.pixels} pixels, {listed}")
