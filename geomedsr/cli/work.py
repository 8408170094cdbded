"""How a command line asks for results to be computed and written: the keyword arguments of the library's functions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from geomedsr.errors import InputError


def work_asked(options: argparse.Namespace) -> dict[str, Any]:
    """Tile, memory, device and precision."""
    return {name: getattr(options, name) for name in ("tile", "memory", "device", "precision")}


def check_unworked(options: argparse.Namespace, what: str) -> None:
    """Raise an InputError where work is asked of a network that there is none for."""
    for name, usual in (("tile", None), ("memory", None), ("device", "auto"), ("precision", None)):
        if getattr(options, name) != usual:
            raise InputError(f"--{name} with {what}, which takes no network", "neither", "leave it out")


def check_unasked(options: argparse.Namespace, names: Sequence[str], what: str, expected: str) -> None:
    """Raise an InputError for the first of some options that is given, where there is no use for it."""
    for name in names:
        if getattr(options, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} with {what}", expected, "leave it out")


def writing_asked(options: argparse.Namespace) -> dict[str, Any]:
    """What :func:`geomedsr.write` takes besides results and destinations; a format and a seed of UIDs if given."""
    given = {name: getattr(options, name, None) for name in ("uid_seed", "format")}
    return {
        "overwrite": options.overwrite,
        "cluster": options.cluster,
        "progress": not options.quiet,
        "stac": options.stac,
        **{name: value for name, value in given.items() if value is not None},
    }
