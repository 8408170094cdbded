"""``geomedsr fuse``."""

from __future__ import annotations

import argparse
import os
import time

from geomedsr.cli.output import print_json
from geomedsr.cli.places import part_asked, window_asked
from geomedsr.cli.work import work_asked, writing_asked
from geomedsr.devices import keep_memory
from geomedsr.errors import InputError
from geomedsr.fusion.fuse import fuse_with_report
from geomedsr.fusion.report import FrameReport
from geomedsr.inference import write
from geomedsr.io import open_scene
from geomedsr.scene.scene import Scene


def run(options: argparse.Namespace) -> None:
    """Open all images, register them, write the fused one."""
    keep_memory()  # before threads are started
    started = time.perf_counter()
    _check_apart(options.src)
    reference = _reference(options.src, options.reference)
    scenes = [_open(path, options) for path in options.src]
    window = window_asked(options, scenes[reference])
    fused, report = fuse_with_report(
        scenes,
        reference=reference,
        factor=options.factor,
        model=options.model,
        prior=options.prior,
        conserve=options.conserve,
        realism=options.realism,
        **work_asked(options),
    )
    fused = part_asked(options, fused, window, report.factor)
    written = write(
        fused,
        options.output,
        **writing_asked(options),
    )
    seconds = time.perf_counter() - started
    _, bands, height, width = fused.shape
    if options.json:
        facts = {
            "output": options.output,
            "width": width,
            "height": height,
            "bands": [band.name for band in fused.bands],
            "dtype": str(fused.dtype),
            "resumed": written.resumed,
            "registration": report.as_dict(),
            "provenance": dict(fused.provenance),
            "seconds": round(seconds, 3),
        }
        print_json(facts)
    elif not options.quiet:
        print(
            f"{options.output}: {width} × {height} pixels, {bands} × {fused.dtype}, ×{report.factor}, {seconds:.1f} s"
        )
        for frame in report.frames[0]:
            print(_words(frame))
        if report.used > 1 and not options.conserve:
            off, noise = max(report.deviation), max(report.noise)
            kept = "the averaged frames" if fused.domain == "MR" else "block means"
            print(f"  {kept} within {off:.2g} of the reference (root mean square; its noise: {noise:.2g})")


def _check_apart(paths: list[str]) -> None:
    """Raise an InputError where an image is named twice: its noise would count for less than it is."""
    seen = set()
    for path in paths:
        if (real := os.path.realpath(path)) in seen:
            raise InputError(f"{path} twice", "each image once", "leave one out")
        seen.add(real)


def _open(path: str, options: argparse.Namespace) -> Scene:
    scene = open_scene(path, force=options.force, nodata=options.nodata)
    return scene if options.bands is None else scene.select(options.bands)


def _reference(paths: list[str], named: str | None) -> int:
    """The position of the reference among the inputs, by default the first.

    Raises:
        InputError: it is none of them.
    """
    if named is None:
        return 0
    for number, path in enumerate(paths):
        if os.path.abspath(path) == os.path.abspath(named):
            return number
    raise InputError(f"the reference {named}, which is no input", "one of the images", "name it among them, too")


def _words(frame: FrameReport) -> str:
    """A frame in a line."""
    if frame.dropped:
        return f"  left out {frame.name}: {frame.dropped}"
    shift = f"{frame.x:+.3f}, {frame.y:+.3f} pixels (right, down)"
    return f"  {frame.name}: {shift}, correlation {frame.alike:.2f}, {frame.trust:.0%} trusted"
