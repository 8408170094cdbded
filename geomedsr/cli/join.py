"""``geomedsr join``."""

from __future__ import annotations

import argparse

from geomedsr.transfer import join


def run(options: argparse.Namespace) -> None:
    """Restore an original."""
    quiet = options.quiet
    scene = join(options.preview, options.detail, options.dst, overwrite=options.overwrite, progress=not quiet)
    if not quiet:
        frames, bands, height, width = scene.shape
        slices = f"{frames} slice{'s' * (frames != 1)} of " if scene.grid.planes else ""
        print(f"{options.dst}: {slices}{width} × {height} pixels, {bands} × {scene.dtype}, as they were")
