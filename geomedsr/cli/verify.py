"""``geomedsr verify``."""

from __future__ import annotations

import argparse

from geomedsr.cli.output import print_json
from geomedsr.errors import InputError
from geomedsr.verification.verify import verify


def run(options: argparse.Namespace) -> int:
    """Print each promise as kept or broken; 1 if one is broken."""
    inputs = dict(map(_named, options.input))
    checks = verify(options.src, options.dst, series=options.series, nodata=options.nodata, inputs=inputs)
    if options.json:
        print_json([{"promise": c.promise, "kept": c.kept, "detail": c.detail} for c in checks])
    else:
        for check in checks:
            word = "kept" if check.kept else "BROKEN" if check.kept is False else "-"
            print(f"{word:<7} {check.promise}" + (f": {check.detail}" if check.detail else ""))
    return 1 if any(c.kept is False for c in checks) else 0


def _named(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise InputError(f"--input {text}", "NAME=FILE, such as mask=MASK.tif", "write it so")
    return name, path
