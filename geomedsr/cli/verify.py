"""``geomedsr verify``."""

from __future__ import annotations

import argparse

from geomedsr.cli.output import print_json
from geomedsr.promises import verify


def run(options: argparse.Namespace) -> int:
    """Print each promise as kept or broken; 1 if one is broken."""
    checks = verify(options.src, options.dst, series=options.series, nodata=options.nodata)
    if options.json:
        print_json([{"promise": c.promise, "kept": c.kept, "detail": c.detail} for c in checks])
    else:
        for check in checks:
            word = "kept" if check.kept else "BROKEN" if check.kept is False else "-"
            print(f"{word:<7} {check.promise}" + (f": {check.detail}" if check.detail else ""))
    return 1 if any(c.kept is False for c in checks) else 0
