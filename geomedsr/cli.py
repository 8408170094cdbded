"""The command line: ``geomedsr upscale | info | models | train``.

Exit 0: done. 2: bad usage or input, with one ``error: …`` line on standard error. 1: an internal fault.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import math
import re
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from geomedsr._version import __version__
from geomedsr.errors import GeomedsrError

# Options whose value may begin with a minus sign, which argparse takes for another option.
_SIGNED = ("--bbox", "--range", "--window")


class _UsageError(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}; see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    logging.getLogger("rasterio").addHandler(logging.NullHandler())  # GDAL's words are in our errors
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminated)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no ×
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        options = _parse(_join_signed(words))
        options.run(options)
    except (GeomedsrError, _UsageError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        traceback.print_exc()
        print(f"internal fault: {type(error).__name__}; please report it with the lines above", file=sys.stderr)
        return 1
    return 0


def _terminated(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _join_signed(words: list[str]) -> list[str]:
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _SIGNED:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(words)
    if options.command == "train":  # argparse takes a list of words in one place only: gather the others
        options.overrides += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="geomedsr", description="Super-resolution of satellite scenes, with nothing lost.")
    parser.add_argument("--version", action="version", version=f"geomedsr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    sub = commands.add_parser("upscale", help="make a scene finer", description="Make a scene finer with a model.")
    sub.add_argument("src", metavar="SRC", help="any raster GDAL reads, /vsi… paths and URLs too")
    sub.add_argument("dst", metavar="DST", help="result: .tif (Cloud-Optimized GeoTIFF), .png or .jpg")
    sub.add_argument("--model", default="satellite-x4", metavar="NAME_OR_FILE", help="default: %(default)s")
    sub.add_argument("--bands", type=_names, metavar="B04,B03,…", help="bands by name or number from 1, in this order")
    place = sub.add_mutually_exclusive_group()
    place.add_argument("--window", type=_window, metavar="COL,ROW,W,H", help="only this window, in input pixels")
    place.add_argument("--bbox", type=_bbox, metavar="W,S,E,N", help="only this box, in units of the scene's CRS")
    sub.add_argument("--tile", type=int, metavar="N", help="tile side in input pixels (memory, not result)")
    sub.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="default: %(default)s")
    sub.add_argument("--range", type=_range, metavar="LO,HI", help="stored values that the model sees as 0 and 1")
    sub.add_argument("--nearest", type=_names, metavar="BAND,…", help="bands of classes or flags: resampled nearest")
    sub.add_argument("--no-conserve", action="store_true", help="do not make block means equal the input")
    sub.add_argument("--overwrite", action="store_true", help="replace DST if it exists")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")
    sub.add_argument("--json", action="store_true", help="print what was done as JSON")
    sub.set_defaults(run=_upscale)

    sub = commands.add_parser("info", help="what a file holds", description="What a file holds; headers only.")
    sub.add_argument("path", metavar="PATH")
    sub.add_argument("--json", action="store_true", help="as JSON")
    sub.set_defaults(run=_info)

    sub = commands.add_parser("models", help="the models shipped", description="The models shipped.")
    sub.add_argument("--json", action="store_true", help="their whole cards, as JSON")
    sub.set_defaults(run=_models)

    sub = commands.add_parser(
        "train", help="make a model from a recipe", description="Train a model; the same command goes on after a stop."
    )
    sub.add_argument("config", metavar="CONFIG", help="a YAML recipe, such as configs/satellite-x4.yaml")
    sub.add_argument("overrides", nargs="*", metavar="key=value", help="dotted overrides, such as data.root=FOLDER")
    sub.add_argument("--out", metavar="DIR", help="default: runs/NAME")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")
    sub.set_defaults(run=_train)
    return parser


def _upscale(options: argparse.Namespace) -> None:
    from geomedsr import open as open_scene
    from geomedsr import upscale, write

    started = time.perf_counter()
    scene = open_scene(options.src)
    if options.nearest is not None:
        scene = scene.with_nearest(options.nearest)
    if options.bands is not None:
        scene = scene.select(options.bands)
    if options.range is not None:
        scene = scene.with_range(*options.range)
    window = options.window
    if options.bbox:
        window = scene.grid.window_of(*options.bbox)
    if window:
        scene.check(window)  # before any work
    sr = upscale(scene, options.model, tile=options.tile, device=options.device, conserve=not options.no_conserve)
    factor = int(sr.provenance["GEOMEDSR_FACTOR"])
    if window:  # a part of the whole result: the model sees what lies around it
        sr = sr.crop(window.scaled(factor))
    write(sr, options.dst, overwrite=options.overwrite, progress=not options.quiet)
    _, bands, height, width = sr.shape
    seconds = time.perf_counter() - started
    model = f"{sr.provenance['GEOMEDSR_MODEL']} {sr.provenance['GEOMEDSR_MODEL_VERSION']}"
    if options.json:
        _print_json(
            {
                "output": options.dst,
                "width": width,
                "height": height,
                "bands": [b.name for b in sr.bands],
                "nearest": [b.name for b in sr.bands if b.kind == "nearest"],
                "dtype": str(sr.dtype),
                "seconds": round(seconds, 3),
                "provenance": dict(sr.provenance),
            }
        )
    elif not options.quiet:
        print(f"{options.dst}: {width} × {height} pixels, {bands} × {sr.dtype}, ×{factor} by {model}, {seconds:.1f} s")
        carried = [b.name for b in sr.bands if b.kind == "nearest"]
        if carried:
            print(f"carried over nearest-neighbour: {', '.join(carried)}")
    if options.dst.lower().endswith((".jpg", ".jpeg")) and not options.quiet:
        print("note: JPEG is lossy, so block means hold only roughly; write .tif or .png", file=sys.stderr)


def _info(options: argparse.Namespace) -> None:
    from geomedsr import open as open_scene

    scene = open_scene(options.path)
    frames, _, height, width = scene.shape
    grid = scene.grid
    facts: dict[str, Any] = {
        "path": options.path,
        "width": width,
        "height": height,
        "frames": frames,
        "dtype": str(scene.dtype),
        "crs": _crs_name(grid.crs or grid.gcp_crs),
        "affine": None if grid.affine is None else list(grid.affine[:6]),
        "bounds": None if grid.affine is None else list(grid.bounds),
        "gcps": len(grid.gcps),
        "rpcs": grid.rpcs is not None,
        "mask": scene.masked,
        "bands": [
            {
                "number": i,
                "name": b.name,
                "kind": b.kind,
                "nodata": b.nodata,
                "scale": b.scale,
                "offset": b.offset,
                "units": b.units,
                "interpretation": b.interpretation,
            }
            for i, b in enumerate(scene.bands, 1)
        ],
        "tags": {ns or "default": dict(tags) for ns, tags in scene.tags.items()},
    }
    if options.json:
        _print_json(facts)
        return
    print(f"{options.path}: {width} × {height} pixels, {len(scene.bands)} × {scene.dtype}")
    if grid.affine is not None:
        west, south, east, north = grid.bounds
        size_x, size_y = (grid.affine.a**2 + grid.affine.d**2) ** 0.5, (grid.affine.b**2 + grid.affine.e**2) ** 0.5
        print(f"  CRS    {facts['crs'] or 'none'}; pixel {size_x:.10g} × {size_y:.10g}")
        print(f"  bounds {west:.10g}, {south:.10g}, {east:.10g}, {north:.10g} (W, S, E, N)")
    else:
        place = [f"{len(grid.gcps)} GCPs"] * bool(grid.gcps) + ["RPCs"] * facts["rpcs"]
        print(f"  placed by {' and '.join(place)}" if place else "  not georeferenced")
    print(f"  mask   {'of the whole data set' if scene.masked else 'none, or by nodata value'}")
    for band in facts["bands"]:
        extras = [f"nodata {band['nodata']}"] * (band["nodata"] is not None)
        extras += [f"× {band['scale']:g} + {band['offset']:g}"] * ((band["scale"], band["offset"]) != (1.0, 0.0))
        extras += [str(band["units"])] * bool(band["units"]) + ["nearest"] * (band["kind"] == "nearest")
        print(
            f"  band {band['number']:>3} {band['name']:<12} {band['interpretation']:<10} {', '.join(extras)}".rstrip()
        )
    for namespace, tags in facts["tags"].items():
        for key, value in tags.items():
            print(f"  tag    {'' if namespace == 'default' else namespace + ':'}{key} = {value}"[:160])


def _models(options: argparse.Namespace) -> None:
    from geomedsr.models import available, load_model

    models = [load_model(name) for name in sorted(available())]
    if options.json:
        _print_json([{**m.descriptor.model_dump(mode="json"), "sha256": m.sha256} for m in models])
        return
    for model in models:
        card = model.descriptor
        bands = "any bands" if card.channels == 1 else f"{card.channels} bands"
        gain = ""
        if card.metrics:
            gain = f", {card.metrics['psnr'] - card.metrics['psnr_bicubic']:+.2f} dB over bicubic in validation"
        print(f"{card.name} {card.version}: ×{card.scale}, {bands}, {card.architecture}{gain}")
        print(f"  {card.description}")
        print(f"  {card.licence}")
        print(f"  sha256 {model.sha256}")


def _train(options: argparse.Namespace) -> None:
    from geomedsr.training import load_recipe, train

    recipe = load_recipe(options.config, options.overrides)
    path = train(recipe, options.out or f"runs/{recipe.name}", quiet=options.quiet)
    if not options.quiet:
        print(path)


def _crs_name(wkt: str | None) -> str | None:
    if wkt is None:
        return None
    name = wkt.split('"')[1] if '"' in wkt else wkt
    code = re.search(r'(?:AUTHORITY|ID)\["(\w+)",\s*"?(\w+)"?\]\s*\]$', wkt.strip())
    return f"{code[1]}:{code[2]} ({name})" if code else name


def _print_json(value: Any) -> None:
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become text."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _names(text: str) -> list[str]:
    return [part for part in (p.strip() for p in text.split(",")) if part]


def _numbers(text: str, count: int, kind: type, form: str) -> list[Any]:
    parts = text.split(",")
    try:
        numbers = [kind(p) for p in parts]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {count} numbers {form}")
    return numbers


def _window(text: str) -> Any:
    from geomedsr.grid import Window

    return Window(*_numbers(text, 4, int, "COL,ROW,W,H"))


def _bbox(text: str) -> list[float]:
    return _numbers(text, 4, float, "W,S,E,N")


def _range(text: str) -> list[float]:
    low, high = _numbers(text, 2, float, "LO,HI")
    if not low < high:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected LO below HI")
    return [low, high]


if __name__ == "__main__":
    sys.exit(main())
