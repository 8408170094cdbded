"""Options that several commands share, and the types of options, for :mod:`geomedsr.cli.parser`."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from geomedsr.geometry.grid import Window


def add_place(sub: argparse.ArgumentParser) -> None:
    """What part of a scene a result is to show."""
    place = sub.add_mutually_exclusive_group()
    place.add_argument("--window", type=window, metavar="COL,ROW,W,H", help="only this window, in input pixels")
    place.add_argument("--bbox", type=bbox, metavar="W,S,E,N", help="only this box, in units of the scene's CRS")
    place.add_argument(
        "--aoi", metavar="FILE.geojson", help="only what lies in its polygons; the rest around is no data"
    )
    sub.add_argument("--bbox-crs", metavar="CRS", help="what --bbox is in, such as EPSG:4326; default: the scene's")


def add_work(sub: argparse.ArgumentParser) -> None:
    """How a result is computed and stored."""
    sub.add_argument("--tile", type=int, metavar="N", help="tile side in input pixels (memory, not result)")
    sub.add_argument("--memory", metavar="SIZE", help="the most memory to take, such as 2GiB; default: 1.5GiB")
    sub.add_argument(
        "--cluster", metavar="ADDRESS|local:N", help="a Dask scheduler's address, or N processes on this machine"
    )
    sub.add_argument(
        "--format", metavar="NAME", help="cog, gtiff, png, jpeg, zarr or zarr2; default: as DST's suffix says"
    )
    sub.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="default: %(default)s")
    sub.add_argument(
        "--precision", metavar="float32|bfloat16", help="default: bfloat16 where the model loses nothing and it is fast"
    )


def add_telling(sub: argparse.ArgumentParser) -> None:
    """What is there already, what lies beside the result, and what is printed."""
    sub.add_argument("--stac", action="store_true", help="describe DST by a STAC item beside it, DST's name with .json")
    sub.add_argument("--overwrite", action="store_true", help="replace DST if it exists")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")
    sub.add_argument("--json", action="store_true", help="print what was done as JSON")


def add_what(sub: argparse.ArgumentParser, more: str = "") -> None:
    """Which defects are looked for."""
    sub.add_argument(
        "--what",
        type=names,
        default=["gaps", "lines", "dead"],
        metavar="gaps,lines,dead",
        help=f"which defects to look for; default: all of these{more}",
    )


def add_nodata(sub: argparse.ArgumentParser) -> None:
    """The value that means no data."""
    sub.add_argument(
        "--nodata",
        metavar="VALUE",
        help="the value that means no data in the source, if not the file's own; or none",
    )


def add_resolution(sub: argparse.ArgumentParser) -> None:
    """Which part of a product is opened."""
    sub.add_argument(
        "--resolution",
        type=float,
        metavar="SIZE",
        help="which part of a product, by its pixel size: 10, 20 or 60; default: the finest that holds all --bands",
    )


def add_adapting(sub: argparse.ArgumentParser, when: str = "") -> None:
    """``when`` says with which other options it goes."""
    sub.add_argument(
        "--adapt",
        nargs="?",
        type=adapting,
        const={"minutes": 3.0},
        metavar="MINUTES|Nsteps",
        help=f"{when}let the model go on training on the scene first, 3 minutes by default; leaves "
        "DST.model.safetensors",
    )


def amounts(text: str) -> list[float]:
    """Numbers with commas between them."""
    return [float(part) for part in text.split(",")]


def names(text: str) -> list[str]:
    """Names with commas between them."""
    return [part for part in (p.strip() for p in text.split(",")) if part]


def numbers(text: str, count: int, kind: type, form: str) -> list[Any]:
    """So many numbers with commas between them; ``form`` names them in the message if they are not."""
    parts = text.split(",")
    try:
        found = [kind(p) for p in parts]
    except ValueError:
        found = []
    if len(found) != count:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {count} numbers {form}")
    return found


def adapting(text: str) -> dict[str, float]:
    """Minutes, or steps, to go on training for."""
    steps, found = text.endswith("steps"), None
    with suppress(ValueError):
        found = int(text.removesuffix("steps")) if steps else float(text)
    if found is None or not 0 < found < 1e9:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected minutes, such as 5, or steps, such as 400steps; without either put it last"
        )
    return {"steps" if steps else "minutes": found}


def window(text: str) -> Window:
    """A window in pixels: its first column and row, its width and height."""
    return Window(*numbers(text, 4, int, "COL,ROW,W,H"))


def bbox(text: str) -> list[float]:
    """A box: west, south, east, north."""
    return numbers(text, 4, float, "W,S,E,N")


def level(text: str) -> str | tuple[float, float]:
    """A CT window by name, or its centre and width."""
    if "," not in text:
        return text
    centre, width = numbers(text, 2, float, "CENTRE,WIDTH")
    return centre, width


def range_(text: str) -> list[float]:
    """The lower and the higher end of a range."""
    low, high = numbers(text, 2, float, "LO,HI")
    if not low < high:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected LO below HI")
    return [low, high]
