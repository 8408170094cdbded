"""``geomedsr selftest``."""

from __future__ import annotations

import argparse

from geomedsr.cli.output import print_json
from geomedsr.io import open_part
from geomedsr.metrics.selftest import selftest


def run(options: argparse.Namespace) -> None:
    """Tell how well a model does on a scene."""
    scene = open_part(options.src, options.bands or (), series=options.series, force=True, nodata=options.nodata)
    if options.bands is not None:
        scene = scene.select(options.bands)
    found = selftest(scene, options.model, realism=options.realism)
    if options.json:
        print_json(found.json())
    else:
        print(found)
