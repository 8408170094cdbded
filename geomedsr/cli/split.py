"""``geomedsr split``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from geomedsr.cli.output import print_json
from geomedsr.io import open_scene
from geomedsr.transfer import split


def run(options: argparse.Namespace) -> None:
    """Split a scene, and say how large its parts are."""
    scene = open_scene(options.src, series=options.series, force=True)
    parts = split(
        scene,
        options.preview,
        options.detail,
        factor=options.factor,
        overwrite=options.overwrite,
        progress=not options.quiet,
    )
    if options.json:
        print_json(asdict(parts))
    elif not options.quiet:
        height, width = parts.size
        print(f"{parts.preview}: {width} × {height} pixels, {_size(parts.preview_bytes)}")
        print(f"{parts.detail}: {_size(parts.detail_bytes)}")


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
