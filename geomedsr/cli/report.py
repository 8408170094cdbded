"""``geomedsr report``."""

from __future__ import annotations

import argparse

from geomedsr.viewing.report import report


def run(options: argparse.Namespace) -> int:
    """Write the page; 1 if a promise is broken."""
    made = report(
        options.src,
        options.dst,
        options.output,
        reference=options.reference,
        beside=options.beside,
        series=options.series,
        nodata=options.nodata,
        window=options.window,
        bands=options.bands if options.bands is None or len(options.bands) != 1 else options.bands[0],
        level=options.level,
        overwrite=options.overwrite,
    )
    if not options.quiet:
        kept = sum(check.kept is True for check in made.checks)
        print(f"{options.output}: {kept} promises kept, {len(made.broken)} broken")
        for check in made.broken:
            print(f"BROKEN  {check.promise}: {check.detail}")
    return 1 if made.broken else 0
