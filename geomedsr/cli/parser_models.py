"""The options of commands about models: models, evaluate, calibrate, export, train."""

from __future__ import annotations

import argparse
from typing import Any

from geomedsr.cli.arguments import add_nodata, amounts, names, range_


def add_models(commands: argparse._SubParsersAction[Any]) -> None:
    """Add these commands, with their options."""
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
    sub.add_argument("--bands", type=names, metavar="BAND,…", help="bands by name or number from 1, in this order")
    sub.add_argument(
        "--reference-bands", type=names, metavar="BAND,…", help="bands of the reference; default: the same"
    )
    sub.add_argument("--realism", type=amounts, metavar="R,…", help="default: 0, and 1 where the model has it")
    sub.add_argument(
        "--against", type=names, metavar="NAME,…", help="default: bicubic,lanczos; realesrgan needs the extra `peers`"
    )
    add_nodata(sub)
    sub.add_argument("--operator", metavar="NAME", help="how references are degraded; default: the model's")
    sub.add_argument("--range", type=range_, metavar="LO,HI", help="clip physical values to it; its width is the peak")
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
