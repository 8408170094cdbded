"""What the command line takes. Each command is a module of its name beside this one, imported when it is run."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any, NoReturn

from geomedsr._version import __version__
from geomedsr.geometry.grid import Window

# Options whose value may begin with a minus sign, which argparse takes for another option.
_SIGNED = ("--above", "--realism", "--bbox", "--level", "--nodata", "--range", "--window")


class UsageError(Exception):
    """A command line that makes no sense."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _join_signed(words: list[str]) -> list[str]:
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _SIGNED:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def parse(words: list[str]) -> argparse.Namespace:
    """The options of a command line; ``command`` is the command's name.

    Raises:
        UsageError: it makes no sense.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(_join_signed(words))
    if options.command == "train":  # argparse takes a list of words in one place only: gather the others
        options.overrides += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name, in the order of the help text."""
    (commands,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="geomedsr", description="Super-resolution of satellite scenes and CT/MR series.")
    parser.add_argument("--version", action="version", version=f"geomedsr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    sub = commands.add_parser("upscale", help="super-resolve a scene", description="Super-resolve a scene or a series.")
    sub.add_argument(
        "src", metavar="SRC", help="a raster (any that GDAL reads), a folder of DICOM slices, a volume, or arrays"
    )
    sub.add_argument(
        "dst",
        metavar="DST",
        help="result: .tif (Cloud-Optimized GeoTIFF), .zarr, .npy, .npz, .png or .jpg; a folder for a series",
    )
    sub.add_argument("--model", metavar="NAME_OR_FILE", help="a shipped model or a model file; default: as SRC needs")
    many = sub.add_mutually_exclusive_group()
    many.add_argument("--series", metavar="UID|NUMBER", help="one DICOM series, or one volume of a file, of several")
    many.add_argument("--all", action="store_true", help="every usable DICOM series under SRC, into a matching tree")
    sub.add_argument(
        "--slice-axis",
        type=int,
        choices=(1, 2, 3),
        help="the axis of a volume along which its slices lie; default: from its header or its voxel sizes",
    )
    thin = sub.add_mutually_exclusive_group()
    thin.add_argument("--slices", type=int, metavar="N", help="N slices from each slice of a series, by ct-slices, say")
    thin.add_argument("--isotropic", action="store_true", help="slices as near to each other as pixels are")
    sub.add_argument(
        "--in-plane", type=int, choices=(1, 2), default=1, help="with --slices: how much finer in plane, too"
    )
    sub.add_argument("--in-plane-model", metavar="NAME_OR_FILE", help="by which model; default: ct-x2 or mr-x2")
    sub.add_argument(
        "--profile",
        metavar="box|FWHM|header|estimate",
        help="with --slices: slices are boxes, or bells so many mm wide at half height; default: header, else estimate",
    )
    _add_adapting(sub, "with --slices: ")
    sub.add_argument("--force", action="store_true", help="accept series and volumes made by geomedsr, too")
    sub.add_argument("--uid-seed", metavar="TEXT", help="reproducible DICOM UIDs, from this text and the job")
    sub.add_argument(
        "--bands",
        type=_names,
        metavar="B04,B03,…",
        help="bands by name or number from 1, in this order; red=3: band 3 shows red; =3: it has no role",
    )
    _add_resolution(sub)
    sub.add_argument("--alternate", metavar="NAME", help="by which alternate a STAC item's assets are read, such as s3")
    sub.add_argument(
        "--mask", metavar="clouds,…", help="what a product marks so becomes no data: clouds, shadows, saturated"
    )
    sub.add_argument(
        "--sharpen", action="store_true", help="all bands of a product, or its --bands, sharpened to the finest first"
    )
    sub.add_argument(
        "--physical", action="store_true", help="write reflectance or kelvin, as floats, not stored numbers"
    )
    _add_place(sub)
    sub.add_argument(
        "--realism", type=float, metavar="0…1", help="0 most faithful, 1 most lifelike; default: the model's"
    )
    _add_work(sub)
    values = sub.add_mutually_exclusive_group()
    values.add_argument("--range", type=_range, metavar="LO,HI", help="stored values that the model sees as 0 and 1")
    values.add_argument(
        "--values-per-frame", action="store_true", help="percentiles of each date of a stack by itself, not of all"
    )
    _add_nodata(sub)
    sub.add_argument("--nearest", type=_names, metavar="BAND,…", help="bands of classes or flags: resampled nearest")
    sub.add_argument("--no-conserve", action="store_true", help="do not make the result agree with the input")
    sub.add_argument(
        "--interval",
        type=float,
        metavar="0.5…0.99",
        help="also half-widths of an interval around the result at realism 0, to cover this share of the pixels",
    )
    sub.add_argument("--interval-to", metavar="FILE", help="half-widths into a file of their own, not as bands of DST")
    sub.add_argument(
        "--invented-to", metavar="FILE", help="where the result leaves the interval of realism 0, 0 and 1, into a file"
    )
    sub.add_argument(
        "--interval-conservative", action="store_true", help="wider: so that most scenes reach that coverage"
    )
    sub.add_argument(
        "--self-test", action="store_true", help="also tell how well the model does on SRC brought one factor down"
    )
    _add_telling(sub)

    sub = commands.add_parser(
        "sharpen",
        help="make coarse bands as fine as a guide",
        description="Make the bands of COARSE as fine as a guide of the same place: a panchromatic band, or finer "
        "bands of the same instrument. Of a product, all bands at its finest resolution.",
    )
    sub.add_argument(
        "src", metavar="COARSE|PRODUCT", help="a raster; or a product of several resolutions, without --guide"
    )
    sub.add_argument("dst", metavar="DST", help="result: .tif (Cloud-Optimized GeoTIFF) or .zarr")
    sub.add_argument(
        "--mask", metavar="clouds,…", help="what a product marks so becomes no data: clouds, shadows, saturated"
    )
    sub.add_argument("--guide", metavar="FINE", help="a finer raster of the same place, in the same CRS")
    sub.add_argument(
        "--model",
        metavar="NAME_OR_FILE",
        help="default: the one shipped for such bands; `regression` is estimated on the scene, and takes any guide",
    )
    _add_adapting(sub)
    sub.add_argument("--with-guide", action="store_true", help="the guide's bands in the result, too, after COARSE's")
    sub.add_argument(
        "--bands", type=_names, metavar="B05,B06,…", help="bands by name or number from 1, in this order; default: all"
    )
    sub.add_argument("--guide-bands", type=_names, metavar="BAND,…", help="those of the guide; default: by their names")
    sub.add_argument(
        "--register",
        choices=("auto", "yes", "no"),
        default="auto",
        help="measure how far the guide lies off, and move it; auto: a guide of one band",
    )
    _add_place(sub)
    _add_work(sub)
    _add_nodata(sub)
    sub.add_argument("--nearest", type=_names, metavar="BAND,…", help="bands of classes or flags: resampled nearest")
    sub.add_argument("--no-conserve", action="store_true", help="do not make the result agree with COARSE")
    _add_telling(sub)

    sub = commands.add_parser(
        "fuse",
        help="one finer image of several of one place",
        description="Fuse several images of one place, shifted by parts of a pixel, into a finer one.",
    )
    sub.add_argument("src", nargs="+", metavar="SRC", help="images of one sensor; or one stack, such as a cine series")
    sub.add_argument("-o", "--output", required=True, metavar="DST", help="the result, as for upscale")
    sub.add_argument("--reference", metavar="SRC", help="the image that the result lies on; default: the first")
    sub.add_argument("--factor", type=int, choices=(2, 4), help="default: 4 for rasters, 2 for series")
    sub.add_argument("--model", metavar="NAME_OR_FILE", help="whose result of the reference alone is the prior")
    sub.add_argument("--prior", default="model", choices=("model", "bicubic"), help="bicubic: no model, as of old")
    sub.add_argument("--conserve", action="store_true", help="keep block means of the reference, noise and all")
    sub.add_argument("--bands", type=_names, metavar="B04,B03,…", help="bands by name or number from 1, in this order")
    _add_place(sub)
    _add_work(sub)
    _add_nodata(sub)
    sub.add_argument("--realism", type=float, metavar="0…1", help="of the prior; default: the model's")
    sub.add_argument("--force", action="store_true", help="accept series and volumes made by geomedsr, too")
    _add_telling(sub)

    sub = commands.add_parser(
        "repair",
        help="fill gaps, lost lines and dead pixels, or take off stripes or JPEG's artefacts; all else stays",
        description="Fill what a mask marks as broken, or what looks so, at the same size. Every other pixel stays, "
        "bit for bit. Or take off JPEG's artefacts: coefficients stay.",
    )
    sub.add_argument("src", metavar="SRC", help="a raster, a folder of DICOM slices, a volume, or arrays")
    sub.add_argument("dst", metavar="DST", help="result, as for upscale")
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--mask", metavar="MASK", help="on the same grid: pixels that are not 0 are defects")
    which.add_argument("--find", action="store_true", help="find gaps, lost lines and dead pixels; see `defects`")
    which.add_argument("--undo", action="store_true", help="put stripes back that were taken off SRC, bit for bit")
    _add_what(
        sub,
        "; stripes, alone: a gain and an offset of each detector line are taken off; jpeg, alone: its artefacts; "
        "spikes, alone: in the k-space of MR",
    )
    sub.add_argument(
        "--residual",
        metavar="FILE",
        help="of stripes: what lets them be undone; default: DST's name with .residual.tif",
    )
    sub.add_argument("--marks", metavar="FILE", help="write which pixels were filled, 1, to a file of its own")
    sub.add_argument("--always", action="store_true", help="write DST even if there is no defect")
    sub.add_argument("--model", metavar="NAME_OR_FILE", help="default: repair-gaps; for jpeg repair-jpeg")
    sub.add_argument("--series", metavar="UID|NUMBER", help="one DICOM series, or one volume of a file, of several")
    sub.add_argument("--slice-axis", type=int, choices=(1, 2, 3), help="the axis of a volume along which slices lie")
    sub.add_argument("--force", action="store_true", help="accept series and volumes made by geomedsr, too")
    sub.add_argument("--uid-seed", metavar="TEXT", help="reproducible DICOM UIDs, from this text and the job")
    _add_place(sub)
    _add_work(sub)
    _add_nodata(sub)
    sub.add_argument(
        "--nearest", type=_names, metavar="BAND,…", help="bands of classes or flags, which stay as they are"
    )
    sub.add_argument("--report", metavar="PAGE.html", help="write a page about the result, too")
    _add_telling(sub)

    sub = commands.add_parser(
        "defects",
        help="what looks broken in a scene",
        description="Look for gaps, lost lines and dead pixels, and count them. The scene stays as it is.",
    )
    sub.add_argument("src", metavar="SRC", help="a raster, a folder of DICOM slices, a volume, or arrays")
    sub.add_argument("-o", "--output", metavar="MASK", help="write them as a mask: 1 in gaps, 2 in lost lines, 3 dead")
    sub.add_argument("--picture", metavar="FILE.png", help="write a picture of the scene with its defects in colour")
    _add_what(sub)
    sub.add_argument("--series", metavar="UID|NUMBER", help="one DICOM series, or one volume of a file, of several")
    sub.add_argument("--force", action="store_true", help="accept series and volumes made by geomedsr, too")
    _add_nodata(sub)
    sub.add_argument("--nearest", type=_names, metavar="BAND,…", help="bands of classes or flags, which are left out")
    sub.add_argument("--overwrite", action="store_true", help="replace MASK and FILE.png if they exist")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")
    sub.add_argument("--json", action="store_true", help="print the counts as JSON")

    sub = commands.add_parser("info", help="what a file holds", description="What a file holds; headers only.")
    sub.add_argument("path", metavar="PATH")
    sub.add_argument("--series", metavar="TILE", help="which tile of a product, or series of a folder, of several")
    _add_resolution(sub)
    _add_nodata(sub)
    sub.add_argument(
        "--fitness", action="store_true", help="read a sample: noise, sharpness, traces; beside what a model knows"
    )
    sub.add_argument("--model", metavar="NAME_OR_FILE", help="of --fitness; default: as PATH needs")
    sub.add_argument("--json", action="store_true", help="as JSON")

    sub = commands.add_parser(
        "verify",
        help="check a result against its source",
        description="Check a result against its source, guarantee by guarantee; exit 1 if one is broken.",
    )
    sub.add_argument("src", metavar="SRC", help="the source")
    sub.add_argument("dst", metavar="DST", help="the result")
    sub.add_argument("--series", metavar="UID|NUMBER", help="which DICOM series, or volume, of SRC")
    _add_nodata(sub)
    sub.add_argument(
        "--input",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="another input of the model, such as mask=MASK.tif; may be repeated",
    )
    sub.add_argument("--json", action="store_true", help="as JSON")

    sub = commands.add_parser(
        "report",
        help="a page about a result",
        description="One self-contained page: before and after, checks, figures, histograms, provenance. Exit 1 if a "
        "guarantee is broken.",
    )
    sub.add_argument("src", metavar="SRC", help="the source")
    sub.add_argument("dst", metavar="DST", help="the result")
    sub.add_argument("-o", "--output", required=True, metavar="PAGE.html", help="the page")
    sub.add_argument("--reference", metavar="REF", help="the truth, at the result's resolution")
    sub.add_argument("--series", metavar="UID|NUMBER", help="which DICOM series, or volume, of SRC")
    _add_nodata(sub)
    sub.add_argument("--window", type=_window, metavar="COL,ROW,W,H", help="what the viewer shows, in pixels of SRC")
    sub.add_argument("--bands", type=_names, metavar="B04,B03,B02", help="one band, or three: red, green, blue")
    sub.add_argument("--level", type=_level, metavar="NAME|C,W", help="a CT window: lung, bone, brain, soft tissue")
    sub.add_argument("--overwrite", action="store_true", help="replace the page if it exists")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")

    sub = commands.add_parser(
        "selftest",
        help="how well a model does on a scene, without a reference",
        description="Bring a scene one factor down by the model's operator, upscale that, and compare it with what it "
        "was: on up to a million values, in seconds.",
    )
    sub.add_argument("src", metavar="SRC", help="a raster, a folder of DICOM slices, a volume, or arrays")
    sub.add_argument("--model", metavar="NAME_OR_FILE", help="a shipped model or a model file; default: as SRC needs")
    sub.add_argument("--realism", type=float, metavar="0…1", help="default: the model's")
    sub.add_argument("--series", metavar="UID|NUMBER", help="which DICOM series, or volume of a file, of several")
    sub.add_argument("--bands", type=_names, metavar="B04,B03,…", help="bands by name or number from 1, in this order")
    _add_nodata(sub)
    sub.add_argument("--json", action="store_true", help="as JSON")

    sub = commands.add_parser(
        "split",
        help="a small preview, and the detail that restores the original",
        description="Split a scene into a preview that anyone can open and a detail file; `join` makes it whole again.",
    )
    sub.add_argument("src", metavar="SRC", help="a raster, or a folder of DICOM slices")
    sub.add_argument("preview", metavar="PREVIEW", help="the preview: .tif; a folder for a series")
    sub.add_argument("detail", metavar="DETAIL.gdsr", help="what the preview lacks")
    sub.add_argument("--factor", type=int, default=4, metavar="N", help="how many times coarser; default: %(default)s")
    sub.add_argument("--series", metavar="UID|NUMBER", help="which DICOM series of several")
    sub.add_argument("--overwrite", action="store_true", help="replace PREVIEW and DETAIL if they exist")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")
    sub.add_argument("--json", action="store_true", help="print what was done as JSON")

    sub = commands.add_parser(
        "join",
        help="the original, of a preview and its detail",
        description="Restore the original of a preview and its detail file; both are checked first.",
    )
    sub.add_argument("preview", metavar="PREVIEW", help="what `split` made")
    sub.add_argument("detail", metavar="DETAIL.gdsr", help="the detail file of the same split")
    sub.add_argument("dst", metavar="OUT", help="the original: .tif; a folder for a series")
    sub.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")

    sub = commands.add_parser("models", help="the shipped models", description="The shipped models.")
    sub.add_argument("--json", action="store_true", help="their full cards, as JSON")

    sub = commands.add_parser(
        "evaluate",
        help="measure a model on references",
        description="Degrade references, super-resolve them, and compare; interpolations and peers do the same.",
    )
    sub.add_argument("--model", required=True, metavar="NAME_OR_FILE")
    sub.add_argument(
        "data",
        nargs="+",
        metavar="DATA",
        help="references, or a recipe (its validation scenes) and key=value overrides",
    )
    sub.add_argument("--reference", metavar="HR", help="the truth; DATA is then one real input")
    sub.add_argument("--bands", type=_names, metavar="BAND,…", help="bands by name or number from 1, in this order")
    sub.add_argument(
        "--reference-bands", type=_names, metavar="BAND,…", help="bands of the reference; default: the same"
    )
    sub.add_argument("--realism", type=_amounts, metavar="R,…", help="default: 0, and 1 where the model has it")
    sub.add_argument(
        "--against", type=_names, metavar="NAME,…", help="default: bicubic,lanczos; realesrgan needs the extra `peers`"
    )
    _add_nodata(sub)
    sub.add_argument("--operator", metavar="NAME", help="how references are degraded; default: the model's")
    sub.add_argument("--range", type=_range, metavar="LO,HI", help="clip physical values to it; its width is the peak")
    sub.add_argument("--above", type=float, metavar="VALUE", help="count only pixels above this physical value")
    sub.add_argument(
        "--interval", type=float, metavar="0.5…0.99", help="also how well intervals of this share cover the truth"
    )
    sub.add_argument("--vgg", metavar="FILE", help="a torchvision state dict of VGG-19, instead of the extra `vgg`")
    sub.add_argument("--csv", metavar="FILE", help="write the scores to FILE")
    sub.add_argument("--markdown", metavar="FILE", help="write the table to FILE")
    sub.add_argument("--html", metavar="PAGE.html", help="write a page with tables, spectra and pictures")
    sub.add_argument("--overwrite", action="store_true", help="replace PAGE.html if it exists")
    sub.add_argument("--json", action="store_true", help="as JSON")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")

    sub = commands.add_parser(
        "calibrate",
        help="write what a model knows into its file",
        description="Measure scenes, and write into a model's file what they tell; its weights stay the same. Its "
        "recipe: the usual ranges of fitness, and the interval from its validation scenes. Scenes or series that it "
        "was not trained on, 3 or more: the interval.",
    )
    sub.add_argument("--model", required=True, metavar="NAME_OR_FILE", help="the model; a file is replaced")
    sub.add_argument(
        "data", nargs="+", metavar="DATA", help="its recipe and key=value overrides, and scenes: each a unit of its own"
    )
    sub.add_argument("--kind", metavar="WORD", help="what units are, such as patients; default: as the model's domain")
    sub.add_argument("--out", metavar="FILE", help="write another file; needed of a shipped model")
    sub.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    sub.add_argument("--json", action="store_true", help="as JSON")

    sub = commands.add_parser(
        "export",
        help="a model as an ONNX file",
        description="Write a model's generator as ONNX, checked with onnxruntime.",
    )
    sub.add_argument("model", metavar="NAME_OR_FILE")
    sub.add_argument("dst", metavar="OUT.onnx")
    sub.add_argument("--realism", type=float, metavar="0…1", help="default: the model's")
    sub.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    sub.add_argument("--json", action="store_true", help="as JSON")

    sub = commands.add_parser(
        "train", help="train a model from a recipe", description="Train a model; the same command goes on after a stop."
    )
    sub.add_argument("config", metavar="CONFIG", help="a YAML recipe, or a shipped one's name, such as satellite-x4")
    sub.add_argument("overrides", nargs="*", metavar="key=value", help="dotted overrides, such as data=FOLDER")
    sub.add_argument("--out", metavar="DIR", help="default: runs/NAME")
    sub.add_argument(
        "--interval-of",
        metavar="NAME_OR_FILE",
        help="train the recipe's head of half-widths for this model; its weights stay the same",
    )
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _add_place(sub: argparse.ArgumentParser) -> None:
    """What part of a scene a result is to show."""
    place = sub.add_mutually_exclusive_group()
    place.add_argument("--window", type=_window, metavar="COL,ROW,W,H", help="only this window, in input pixels")
    place.add_argument("--bbox", type=_bbox, metavar="W,S,E,N", help="only this box, in units of the scene's CRS")
    place.add_argument(
        "--aoi", metavar="FILE.geojson", help="only what lies in its polygons; the rest around is no data"
    )
    sub.add_argument("--bbox-crs", metavar="CRS", help="what --bbox is in, such as EPSG:4326; default: the scene's")


def _add_work(sub: argparse.ArgumentParser) -> None:
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


def _add_telling(sub: argparse.ArgumentParser) -> None:
    """What is there already, what lies beside the result, and what is printed."""
    sub.add_argument("--stac", action="store_true", help="describe DST by a STAC item beside it, DST's name with .json")
    sub.add_argument("--overwrite", action="store_true", help="replace DST if it exists")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")
    sub.add_argument("--json", action="store_true", help="print what was done as JSON")


def _add_what(sub: argparse.ArgumentParser, more: str = "") -> None:
    """Which defects are looked for."""
    sub.add_argument(
        "--what",
        type=_names,
        default=["gaps", "lines", "dead"],
        metavar="gaps,lines,dead",
        help=f"which defects to look for; default: all of these{more}",
    )


def _add_nodata(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--nodata",
        metavar="VALUE",
        help="the value that means no data in the source, if not the file's own; or none",
    )


def _add_resolution(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--resolution",
        type=float,
        metavar="SIZE",
        help="which part of a product, by its pixel size: 10, 20 or 60; default: the finest that holds all --bands",
    )


def _add_adapting(sub: argparse.ArgumentParser, when: str = "") -> None:
    """``when`` says with which other options it goes."""
    sub.add_argument(
        "--adapt",
        nargs="?",
        type=_adapting,
        const={"minutes": 3.0},
        metavar="MINUTES|Nsteps",
        help=f"{when}let the model go on training on the scene first, 3 minutes by default; leaves "
        "DST.model.safetensors",
    )


def _amounts(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


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


def _adapting(text: str) -> dict[str, float]:
    steps, found = text.endswith("steps"), None
    with suppress(ValueError):
        found = int(text.removesuffix("steps")) if steps else float(text)
    if found is None or not 0 < found < 1e9:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected minutes, such as 5, or steps, such as 400steps; without either put it last"
        )
    return {"steps" if steps else "minutes": found}


def _window(text: str) -> Window:
    return Window(*_numbers(text, 4, int, "COL,ROW,W,H"))


def _bbox(text: str) -> list[float]:
    return _numbers(text, 4, float, "W,S,E,N")


def _level(text: str) -> str | tuple[float, float]:
    if "," not in text:
        return text
    centre, width = _numbers(text, 2, float, "CENTRE,WIDTH")
    return centre, width


def _range(text: str) -> list[float]:
    low, high = _numbers(text, 2, float, "LO,HI")
    if not low < high:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected LO below HI")
    return [low, high]
