"""What the command line takes. Each command is a module of its name beside this one, imported when it is run."""

from __future__ import annotations

import argparse
from typing import NoReturn

from geomedsr._version import __version__
from geomedsr.cli.arguments import (
    add_adapting,
    add_nodata,
    add_place,
    add_resolution,
    add_telling,
    add_what,
    add_work,
    level,
    names,
    range_,
    window,
)
from geomedsr.cli.parser_models import add_models

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
    add_adapting(sub, "with --slices: ")
    sub.add_argument("--force", action="store_true", help="accept series and volumes made by geomedsr, too")
    sub.add_argument("--uid-seed", metavar="TEXT", help="reproducible DICOM UIDs, from this text and the job")
    sub.add_argument(
        "--bands",
        type=names,
        metavar="B04,B03,…",
        help="bands by name or number from 1, in this order; red=3: band 3 shows red; =3: it has no role",
    )
    add_resolution(sub)
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
    add_place(sub)
    sub.add_argument(
        "--realism", type=float, metavar="0…1", help="0 most faithful, 1 most lifelike; default: the model's"
    )
    add_work(sub)
    values = sub.add_mutually_exclusive_group()
    values.add_argument("--range", type=range_, metavar="LO,HI", help="stored values that the model sees as 0 and 1")
    values.add_argument(
        "--values-per-frame", action="store_true", help="percentiles of each date of a stack by itself, not of all"
    )
    add_nodata(sub)
    sub.add_argument("--nearest", type=names, metavar="BAND,…", help="bands of classes or flags: resampled nearest")
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
    add_telling(sub)

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
    add_adapting(sub)
    sub.add_argument("--with-guide", action="store_true", help="the guide's bands in the result, too, after COARSE's")
    sub.add_argument(
        "--bands", type=names, metavar="B05,B06,…", help="bands by name or number from 1, in this order; default: all"
    )
    sub.add_argument("--guide-bands", type=names, metavar="BAND,…", help="those of the guide; default: by their names")
    sub.add_argument(
        "--register",
        choices=("auto", "yes", "no"),
        default="auto",
        help="measure how far the guide lies off, and move it; auto: a guide of one band",
    )
    add_place(sub)
    add_work(sub)
    add_nodata(sub)
    sub.add_argument("--nearest", type=names, metavar="BAND,…", help="bands of classes or flags: resampled nearest")
    sub.add_argument("--no-conserve", action="store_true", help="do not make the result agree with COARSE")
    add_telling(sub)

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
    sub.add_argument("--bands", type=names, metavar="B04,B03,…", help="bands by name or number from 1, in this order")
    add_place(sub)
    add_work(sub)
    add_nodata(sub)
    sub.add_argument("--realism", type=float, metavar="0…1", help="of the prior; default: the model's")
    sub.add_argument("--force", action="store_true", help="accept series and volumes made by geomedsr, too")
    add_telling(sub)

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
    add_what(
        sub,
        "; stripes, alone: a gain and an offset of each detector line are taken off; jpeg, alone: its artefacts; "
        "spikes, alone: in the k-space of MR",
    )
    sub.add_argument(
        "--residual",
        metavar="FILE",
        help="of stripes: what lets them be undone; default: DST's name with .residual.tif",
    )
    sub.add_argument(
        "--from",
        metavar="OTHER",
        help="another date on the same grid, which tells of what is missing; where it is no data, nothing changes",
    )
    sub.add_argument("--marks", metavar="FILE", help="write which pixels were filled, 1, to a file of its own")
    sub.add_argument("--always", action="store_true", help="write DST even if there is no defect")
    sub.add_argument("--model", metavar="NAME_OR_FILE", help="default: repair-gaps; for jpeg repair-jpeg")
    sub.add_argument("--series", metavar="UID|NUMBER", help="one DICOM series, or one volume of a file, of several")
    sub.add_argument("--slice-axis", type=int, choices=(1, 2, 3), help="the axis of a volume along which slices lie")
    sub.add_argument("--force", action="store_true", help="accept series and volumes made by geomedsr, too")
    sub.add_argument("--uid-seed", metavar="TEXT", help="reproducible DICOM UIDs, from this text and the job")
    add_place(sub)
    add_work(sub)
    add_nodata(sub)
    sub.add_argument(
        "--nearest", type=names, metavar="BAND,…", help="bands of classes or flags, which stay as they are"
    )
    sub.add_argument("--report", metavar="PAGE.html", help="write a page about the result, too")
    add_telling(sub)

    sub = commands.add_parser(
        "defects",
        help="what looks broken in a scene",
        description="Look for gaps, lost lines and dead pixels, and count them. The scene stays as it is.",
    )
    sub.add_argument("src", metavar="SRC", help="a raster, a folder of DICOM slices, a volume, or arrays")
    sub.add_argument("-o", "--output", metavar="MASK", help="write them as a mask: 1 in gaps, 2 in lost lines, 3 dead")
    sub.add_argument("--picture", metavar="FILE.png", help="write a picture of the scene with its defects in colour")
    add_what(sub)
    sub.add_argument("--series", metavar="UID|NUMBER", help="one DICOM series, or one volume of a file, of several")
    sub.add_argument("--force", action="store_true", help="accept series and volumes made by geomedsr, too")
    add_nodata(sub)
    sub.add_argument("--nearest", type=names, metavar="BAND,…", help="bands of classes or flags, which are left out")
    sub.add_argument("--overwrite", action="store_true", help="replace MASK and FILE.png if they exist")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")
    sub.add_argument("--json", action="store_true", help="print the counts as JSON")

    sub = commands.add_parser("info", help="what a file holds", description="What a file holds; headers only.")
    sub.add_argument("path", metavar="PATH")
    sub.add_argument("--series", metavar="TILE", help="which tile of a product, or series of a folder, of several")
    add_resolution(sub)
    add_nodata(sub)
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
    add_nodata(sub)
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
    sub.add_argument(
        "--beside", nargs="+", default=[], metavar="FILE", help="its half-widths or invented pixels, to be shown, too"
    )
    sub.add_argument("--series", metavar="UID|NUMBER", help="which DICOM series, or volume, of SRC")
    add_nodata(sub)
    sub.add_argument("--window", type=window, metavar="COL,ROW,W,H", help="what the viewer shows, in pixels of SRC")
    sub.add_argument("--bands", type=names, metavar="B04,B03,B02", help="one band, or three: red, green, blue")
    sub.add_argument("--level", type=level, metavar="NAME|C,W", help="a CT window: lung, bone, brain, soft tissue")
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
    sub.add_argument("--bands", type=names, metavar="B04,B03,…", help="bands by name or number from 1, in this order")
    add_nodata(sub)
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

    add_models(commands)
    return parser
